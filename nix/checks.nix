# The checks of `nix flake check`.
{ lab, mkLab }:
let
  inherit (lab) lib pkgs rust;
  inherit (lib) fileset;

  nixFiles = fileset.toSource {
    root = ../.;
    fileset = fileset.unions [
      ../flake.nix
      (fileset.fileFilter (file: file.hasExt "nix") ../nix)
      (fileset.fileFilter (file: file.hasExt "nix") ../tests/nix)
    ];
  };

  # A check that runs `command` and has an empty output.
  check =
    name: tools: command:
    pkgs.runCommand "evenkeel-${name}" { nativeBuildInputs = tools; } ''
      ${command}
      touch $out
    '';

  anywhere = {
    inherit (lab) evenkeel;
    inherit (rust.checks) fmt deny;
    nix-format = check "nix-format" [ pkgs.nixfmt ] ''
      find ${nixFiles} -name '*.nix' -exec nixfmt --check {} +
    '';
    nix-dead-code = check "nix-dead-code" [ pkgs.deadnix ] ''
      deadnix --fail ${nixFiles}
    '';
    nix-lints = check "nix-lints" [ pkgs.statix ] ''
      statix check ${nixFiles}
    '';
  };
in
anywhere
// lib.optionalAttrs lab.isLinux {
  inherit (rust) server;
  inherit (rust.checks) clippy tests docs;
  inherit (lab.packages) image pause-image;
  manifests = import ./manifests-check.nix { inherit lab check mkLab; };
  images = import ./images-check.nix { inherit lab check; };
  kubernetes-manners = import ./manners-check.nix { inherit lab check; };
  vm-test = import ./vm-test.nix { inherit lab; };
}
