# The checks of `nix flake check`.
{
  self,
  lab,
  mkLab,
}:
let
  inherit (lab) lib pkgs rust;
  inherit (lib) fileset;
  check = import ./check.nix pkgs;

  # The project's files with this extension.
  files =
    extension:
    fileset.toSource {
      root = ../.;
      fileset = fileset.unions [
        (fileset.fileFilter (file: file.hasExt extension) ../.)
        ../.taplo.toml
      ];
    };

  anywhere = {
    inherit (lab) evenkeel;
    inherit (rust.checks) fmt deny;
    nix-format = check "nix-format" [ pkgs.nixfmt ] ''
      find ${files "nix"} -name '*.nix' -exec nixfmt --check {} +
    '';
    nix-dead-code = check "nix-dead-code" [ pkgs.deadnix ] ''
      deadnix --fail ${files "nix"}
    '';
    nix-lints = check "nix-lints" [ pkgs.statix ] ''
      statix check ${files "nix"}
    '';
    toml-format = check "toml-format" [ pkgs.taplo ] ''
      cd ${files "toml"}
      taplo format --check
    '';
  };
in
anywhere
// lib.optionalAttrs lab.isLinux (
  lab.checks
  // {
    inherit (rust) server;
    inherit (rust.checks) clippy tests docs;
    inherit (lab.packages) agent-image pause-image;
    images = import ./images-check.nix { inherit lab check; };
    manifests = import ./manifests-check.nix { inherit lab check mkLab; };
    template = import ./template-check.nix { inherit self lab check; };
  }
)
