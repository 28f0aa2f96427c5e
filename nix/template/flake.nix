{
  description = "A service, and a lab that shows what it does behind a Kubernetes load balancer";

  # The path or URL of Evenkeel.
  inputs.evenkeel.url = "path:/where/evenkeel/is";
  inputs.nixpkgs.follows = "evenkeel/nixpkgs";

  outputs =
    { evenkeel, nixpkgs, ... }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};
      service = pkgs.rustPlatform.buildRustPackage {
        pname = "hello";
        version = "0.1.0";
        src = ./.;
        cargoLock.lockFile = ./Cargo.lock;
        # A static program needs no other file in its image.
        env.RUSTFLAGS = "-C target-feature=+crt-static -L native=${pkgs.glibc.static}/lib";
      };
      lab = evenkeel.lib.mkLab {
        inherit pkgs;
        image = pkgs.dockerTools.buildLayeredImage {
          name = "hello.local/hello";
          config.Entrypoint = [ "${service}/bin/hello" ];
        };
        modules = [ { evenkeel.port = 8080; } ]; # the options: docs/nix.md of Evenkeel
      };
    in
    {
      packages.${system} = lab.packages;
      apps.${system} = lab.apps;
      checks.${system} = lab.checks;
      devShells.${system}.default = lab.devShell;
    };
}
