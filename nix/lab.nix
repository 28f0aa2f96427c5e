# A lab as one value: its programs, images, manifests, apps, checks and shell.
{
  nixpkgs,
  crane,
  kubenix,
}:
{
  system ? null,
  pkgs ? nixpkgs.legacyPackages.${system},
  # kubenix modules that change the workload: `{ evenkeel.replicas = 5; }`.
  modules ? [ ],
  # The image in the pods, made by dockerTools; null for Evenkeel's own server.
  image ? null,
  # Programs to use instead of those of nixpkgs, by the names in toolbox.nix.
  toolbox ? { },
}:
let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) isLinux;

  rust = import ./rust.nix {
    inherit lib pkgs;
    craneLib = crane.mkLib pkgs;
  };
  images = import ./image.nix { inherit lib pkgs rust; };
  ofNixpkgs = import ./toolbox.nix { inherit lib pkgs; };
  programs = ofNixpkgs // toolbox;
  unknown = lib.attrNames (removeAttrs toolbox (lib.attrNames ofNixpkgs));

  server = if image == null then images.server else archive image;
  # An image of streamLayeredImage is a program that writes the archive. The other functions of dockerTools make archives.
  archive =
    image:
    if image.isExe or false && !(image ? stream) then
      pkgs.runCommand "${baseNameOf image.imageName}.tar" {
        passthru = { inherit (image) imageName imageTag; };
      } "${image} >$out"
    else
      image;

  render =
    modules:
    import ./manifests.nix {
      inherit lib pkgs modules;
      evalModules = kubenix.evalModules.${pkgs.stdenv.hostPlatform.system};
    };
  rendered = render (modules ++ [ { evenkeel.image = "${server.imageName}:${server.imageTag}"; } ]);

  evenkeel =
    if isLinux then
      import ./evenkeel.nix {
        inherit lib pkgs;
        inherit (rust) cli;
        toolbox = programs;
        image = server;
        pauseImage = images.pause;
        # Without modules, the program's own manifests are the same, and the apps need not evaluate kubenix.
        manifests = if modules == [ ] then null else rendered;
      }
    else
      rust.cli;

  lab = {
    inherit
      lib
      pkgs
      isLinux
      rust
      evenkeel
      ;
    toolbox = lib.attrValues programs;
    # What nix/workload.nix renders without options: the files in manifests/.
    committed = render [ ];
    manifests = rendered;
    packages = {
      default = evenkeel;
      inherit evenkeel;
    }
    // lib.optionalAttrs isLinux {
      inherit (rust) server;
      image = server;
      pause-image = images.pause;
      manifests = rendered;
      # `nix flake check` does not build packages: this one needs KVM.
      vm-test = import ./vm-test.nix { inherit lab; };
    };
    apps = import ./apps.nix lab;
    devShell = import ./lab-shell.nix lab;
    checks = lib.optionalAttrs isLinux (import ./lab-checks.nix lab);
  };
in
assert lib.assertMsg (
  unknown == [ ]
) "mkLab: toolbox has no program ${lib.concatStringsSep ", " unknown}";
lab
