# A lab as one value: its programs, images and manifests.
{
  nixpkgs,
  crane,
  kubenix,
}:
{
  system,
  # kubenix modules that change the workload: `{ evenkeel.replicas = 5; }`.
  modules ? [ ],
  # The image in the pods, made by dockerTools; null for Evenkeel's own server.
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
  # The manifests as they are committed. `evenkeel deploy` sets the image.
  committed = render [ ];
  # The manifests as this lab applies them, with the image that it builds: another image leads to a rollout.
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
