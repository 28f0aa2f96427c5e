# The Rust programs and their checks.
#
# Each program is built from its own files only, so that a change of the command line does not build the server again.
{
  lib,
  pkgs,
  craneLib,
}:
let
  inherit (lib) fileset;
  root = ../.;
  source =
    files:
    fileset.toSource {
      inherit root;
      fileset = fileset.unions (
        [
          ../Cargo.toml
          ../Cargo.lock
          # Cargo reads the manifests of all crates of the workspace, whichever it builds.
          (fileset.fileFilter (file: file.name == "Cargo.toml") ../crates)
        ]
        ++ files
      );
    };

  common = {
    version = (lib.importTOML ../Cargo.toml).workspace.package.version;
    strictDeps = true;
    # The checks below run the tests.
    doCheck = false;
  };

  inherit (pkgs.stdenv.hostPlatform.rust) cargoEnvVarTarget cargoShortTarget;

  # A static binary for an image. It is linked to the static glibc, as without Nix.
  static =
    {
      name,
      files,
    }:
    let
      arguments = common // {
        pname = name;
        src = source files;
        cargoExtraArgs = "--locked --package evenkeel-server --bin ${name}";
        CARGO_PROFILE = "server";
        # With an explicit target, the flags apply neither to build scripts nor to macros.
        CARGO_BUILD_TARGET = cargoShortTarget;
        # The directory of the static library is given here, since as one of buildInputs it would also apply to build
        # scripts and macros, and a program that is linked to both C libraries crashes.
        "CARGO_TARGET_${cargoEnvVarTarget}_RUSTFLAGS" =
          "-C target-feature=+crt-static -L native=${pkgs.glibc.static}/lib";
      };
    in
    craneLib.buildPackage (
      arguments
      // {
        # The checks below lint the whole workspace, so there is nothing to lint here.
        cargoArtifacts = craneLib.buildDepsOnly (arguments // { cargoCheckCommand = "true"; });
        meta.mainProgram = name;
      }
    );

  cliFiles = [
    ../src
    ../crates
    ../manifests
    (fileset.fileFilter (
      file:
      lib.elem file.name [
        "go.mod"
        "go.sum"
      ]
    ) ../toolbox)
  ];
  cliArguments = common // {
    pname = "evenkeel";
    src = source cliFiles;
  };
  # The dependencies, built once for the CLI and all checks.
  cargoArtifacts = craneLib.buildDepsOnly (
    common
    // {
      pname = "evenkeel";
      src = source cliFiles;
      doCheck = true;
    }
  );
  checked = cliArguments // {
    inherit cargoArtifacts;
    src = source (
      cliFiles
      ++ [
        ../clippy.toml
        ../rustfmt.toml
        ../deny.toml
        ../docs/report.schema.json
        ../benches
        ../tests
      ]
    );
  };
in
{
  inherit craneLib;

  server = static {
    name = "evenkeel-server";
    files = [ ../crates/server/src ];
  };

  pause = static {
    name = "evenkeel-pause";
    files = [ ../crates/server/src/bin/evenkeel-pause.rs ];
  };

  cli = craneLib.buildPackage (
    cliArguments
    // {
      inherit cargoArtifacts;
      cargoExtraArgs = "--locked --bin evenkeel";
      nativeBuildInputs = [ pkgs.installShellFiles ];
      postInstall = ''
        installShellCompletion --cmd evenkeel \
          --bash <($out/bin/evenkeel completions bash) \
          --fish <($out/bin/evenkeel completions fish) \
          --zsh <($out/bin/evenkeel completions zsh)
      '';
      meta = {
        description = "A load-balancing lab on real Kubernetes";
        license = lib.licenses.asl20;
        mainProgram = "evenkeel";
      };
    }
  );

  checks = {
    clippy = craneLib.cargoClippy (
      checked // { cargoClippyExtraArgs = "--all-targets -- --deny warnings"; }
    );
    fmt = craneLib.cargoFmt checked;
    # Without the tests of the lab, which need root (the VM test covers them), and those of the flake, which need Nix.
    tests = craneLib.cargoTest (
      checked
      // {
        doCheck = true;
        cargoTestExtraArgs = "--lib --bins --test architecture --test cli --test load --test report --test server";
      }
    );
    docs = craneLib.cargoDoc (
      checked
      // {
        env.RUSTDOCFLAGS = "--deny warnings";
      }
    );
    deny = craneLib.cargoDeny checked;
  };
}
