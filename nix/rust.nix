# The Rust programs and what is checked of them.
#
# Each program is built alone, from the files of its own crate: a change of the command line must not build the server
# again.
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

  # A static binary for an image. The C library is glibc's static one, as it is without Nix.
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
        # Named, so that the flags reach neither build scripts nor macros.
        CARGO_BUILD_TARGET = cargoShortTarget;
        # Nor does the library's directory reach them, as it would from buildInputs: a program that is linked to both
        # C libraries crashes.
        "CARGO_TARGET_${cargoEnvVarTarget}_RUSTFLAGS" =
          "-C target-feature=+crt-static -L native=${pkgs.glibc.static}/lib";
      };
    in
    craneLib.buildPackage (
      arguments
      // {
        # Nothing lints what is built for this program alone.
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
  # Built once; the CLI and all checks begin with it.
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
    # Not the tests of the lab, which want root and are the VM test's; nor those of the flake, which want Nix.
    tests = craneLib.cargoTest (
      checked
      // {
        doCheck = true;
        cargoTestExtraArgs = "--lib --bins --test architecture --test cli --test load --test server";
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
