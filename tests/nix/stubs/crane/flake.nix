{
  description = "Stands in for crane: its functions make derivations that depend on what they are given";
  outputs = _: {
    mkLib =
      pkgs:
      let
        make =
          suffix: arguments:
          let
            environment = removeAttrs arguments [
              "env"
              "meta"
              "nativeBuildInputs"
            ];
          in
          pkgs.package "${arguments.pname}${suffix}-${arguments.version}" {
            environment = builtins.mapAttrs (_: toString) environment;
            meta = arguments.meta or { };
            passthru = {
              inherit (arguments) pname version src;
            };
          };
        withArtifacts =
          suffix: arguments: make suffix ({ inherit (arguments) cargoArtifacts; } // arguments);
      in
      {
        vendorCargoDeps = { cargoLock }: pkgs.package "vendored" { environment = { inherit cargoLock; }; };
        buildDepsOnly = arguments: make "-deps" arguments;
        buildPackage = make "";
        cargoClippy = withArtifacts "-clippy";
        cargoDeny = make "-deny";
        cargoDoc = withArtifacts "-doc";
        cargoFmt = make "-fmt";
        cargoTest = withArtifacts "-test";
        devShell =
          { packages, inputsFrom }:
          pkgs.package "nix-shell" {
            environment = {
              inherit packages inputsFrom;
            };
          };
      };
  };
}
