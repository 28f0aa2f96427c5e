# A lab as one value: every program, image and manifest of it.
{
  nixpkgs,
  crane,
  kubenix,
}:
{
  system,
  # kubenix modules that change the workload: `{ evenkeel.replicas = 5; }`.
  modules ? [ ],
  # What runs in the pods, an image of dockerTools; without it, Evenkeel's own server.
  image ? null,
}:
let
  inherit (nixpkgs) lib;
  pkgs = nixpkgs.legacyPackages.${system};
  inherit (pkgs.stdenv.hostPlatform) isLinux;

  rust = import ./rust.nix {
    inherit lib pkgs;
    craneLib = crane.mkLib pkgs;
  };
  images = import ./image.nix { inherit lib pkgs rust; };
  toolbox = import ./toolbox.nix { inherit pkgs; };
  render =
    modules:
    import ./manifests.nix {
      inherit lib pkgs modules;
      evalModules = kubenix.evalModules.${system};
    };

  server = if image == null then images.server else image;
  # As they are committed: without an image, which `evenkeel deploy` puts in.
  committed = render [ ];
  # As this lab applies them: with the image that it builds, so that another image is another rollout.
  manifests = render (modules ++ [ { evenkeel.image = "${server.imageName}:${server.imageTag}"; } ]);

  evenkeel =
    if isLinux then
      import ./evenkeel.nix {
        inherit
          lib
          pkgs
          toolbox
          manifests
          ;
        inherit (rust) cli;
        image = server;
        pauseImage = images.pause;
      }
    else
      rust.cli;
in
{
  inherit
    lib
    pkgs
    isLinux
    rust
    toolbox
    committed
    manifests
    evenkeel
    ;
  packages = {
    default = evenkeel;
    inherit evenkeel;
  }
  // lib.optionalAttrs isLinux {
    inherit manifests;
    inherit (rust) server;
    image = server;
    pause-image = images.pause;
  };
}
