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
  # Several services, by name, instead of `image` and `modules`. Each has an `image` and options of the workload:
  # `{ web = { image = …; port = 8080; }; }`.
  services ? { },
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

  # An image of streamLayeredImage is a program that writes the archive. The other functions of dockerTools make archives.
  archive =
    image:
    if image.isExe or false && !(image ? stream) then
      pkgs.runCommand "${baseNameOf image.imageName}.tar" {
        passthru = { inherit (image) imageName imageTag; };
      } "${image} >$out"
    else
      image;
  reference = image: "${image.imageName}:${image.imageTag}";

  hasSeveral = services != { };
  server = if image == null then images.server else archive image;
  ofServices = lib.mapAttrs (_: service: archive service.image) services;

  render =
    services:
    import ./manifests.nix {
      inherit lib pkgs services;
      evalModules = kubenix.evalModules.${pkgs.stdenv.hostPlatform.system};
    };
  ofService = name: service: [
    {
      evenkeel = removeAttrs service [ "image" ] // {
        inherit name;
        image = reference ofServices.${name};
      };
    }
  ];
  manifests = render (
    if hasSeveral then
      lib.mapAttrs ofService services
    else
      { "" = modules ++ [ { evenkeel.image = reference server; } ]; }
  );

  # What the command line deploys. Without modules, its own manifests are the same as those that are rendered, and the apps
  # need not evaluate kubenix.
  deployed =
    if hasSeveral then
      {
        EVENKEEL_FILES = manifests;
        EVENKEEL_LOAD = lib.concatStringsSep ":" (lib.attrValues ofServices);
      }
    else
      {
        EVENKEEL_SERVER_IMAGE = server;
      }
      // lib.optionalAttrs (modules != [ ]) { EVENKEEL_MANIFESTS = manifests; };

  evenkeel =
    if isLinux then
      import ./evenkeel.nix {
        inherit lib pkgs;
        inherit (rust) cli;
        toolbox = programs;
        variables = deployed // {
          EVENKEEL_AGENT_IMAGE = images.agent;
          EVENKEEL_PAUSE_IMAGE = images.pause;
        };
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
      manifests
      ;
    toolbox = lib.attrValues programs;
    # What nix/workload.nix renders without options: the files in manifests/.
    committed = render { "" = [ ]; };
    images = if hasSeveral then ofServices else { image = server; };
    packages = {
      default = evenkeel;
      inherit evenkeel;
    }
    // lib.optionalAttrs isLinux (
      {
        inherit manifests;
        inherit (rust) server;
        agent-image = images.agent;
        pause-image = images.pause;
        # `nix flake check` does not build packages: this one needs KVM.
        vm-test = import ./vm-test.nix { inherit lab; };
      }
      // lib.mapAttrs' (name: lib.nameValuePair (if hasSeveral then "image-${name}" else name)) lab.images
    );
    apps = import ./apps.nix lab;
    devShell = import ./lab-shell.nix lab;
    checks = lib.optionalAttrs isLinux (import ./lab-checks.nix lab);
  };
in
assert lib.assertMsg (
  unknown == [ ]
) "mkLab: toolbox has no program ${lib.concatStringsSep ", " unknown}";
assert lib.assertMsg (
  !hasSeveral || (image == null && modules == [ ])
) "mkLab: give services, or image and modules, but not both";
lab
