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

  inherit (lib.importTOML ../Cargo.toml) workspace;
  common = {
    inherit (workspace.package) version;
    # The same for all, so that Cargo.lock is evaluated once.
    cargoVendorDir = craneLib.vendorCargoDeps { cargoLock = ../Cargo.lock; };
    strictDeps = true;
    # The checks below run the tests.
    doCheck = false;
  };

  # Another compiler has other lints. Their warnings are shown, and are errors only with the version of the project's own
  # checks, so that an update of nixpkgs breaks nothing.
  denyWarnings = lib.optionalString (
    lib.versions.majorMinor pkgs.rustc.version == workspace.metadata.lints.rustc
  ) "--deny warnings";

  # The dependencies of what `arguments` build. The checks below lint the workspace, so there is nothing to lint here.
  dependencies = arguments: craneLib.buildDepsOnly (arguments // { cargoCheckCommand = "true"; });

  inherit (pkgs.stdenv.hostPlatform.rust) cargoEnvVarTarget cargoShortTarget;

  # The static binaries for the images are linked to the static glibc, as without Nix.
  staticArguments = common // {
    CARGO_PROFILE = "server";
    # With an explicit target, the flags apply neither to build scripts nor to macros.
    CARGO_BUILD_TARGET = cargoShortTarget;
    # The directory of the static library is given here, since as one of buildInputs it would also apply to build scripts
    # and macros, and a program that is linked to both C libraries crashes.
    # Packed relocations make each process 0.25 MB smaller.
    "CARGO_TARGET_${cargoEnvVarTarget}_RUSTFLAGS" = lib.concatStringsSep " " [
      "-Ctarget-feature=+crt-static"
      "-Clink-arg=-Wl,-z,pack-relative-relocs"
      "-Lnative=${pkgs.glibc.static}/lib"
    ];
  };
  staticDependencies =
    package:
    dependencies (
      staticArguments
      // {
        pname = package;
        src = source [ ];
        cargoExtraArgs = "--locked --package ${package}";
      }
    );
  static =
    { package, artifacts }:
    name: files:
    craneLib.buildPackage (
      staticArguments
      // {
        pname = name;
        src = source files;
        cargoArtifacts = artifacts;
        cargoExtraArgs = "--locked --package ${package} --bin ${name}";
        meta.mainProgram = name;
      }
    );
  # The binaries of one package share its dependencies.
  ofPackage =
    package:
    static {
      inherit package;
      artifacts = staticDependencies package;
    };
  ofServer = ofPackage "evenkeel-server";

  # The command line is built without the server.
  cliFiles = [
    ../src
    ../crates/agent/src
    ../crates/grpc/src
    ../crates/load/src
    ../crates/measure/src
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
    cargoExtraArgs = "--locked --package evenkeel --bin evenkeel";
  };

  checkedArguments = common // {
    pname = "evenkeel-workspace";
    # The checks compile without optimisation, as `cargo test` does.
    CARGO_PROFILE = "dev";
  };
  checked = checkedArguments // {
    # Dependencies of the tests included.
    cargoArtifacts = craneLib.buildDepsOnly (
      checkedArguments
      // {
        src = source [ ];
        doCheck = true;
      }
    );
    src = source (
      cliFiles
      ++ [
        ../crates
        ../clippy.toml
        ../rustfmt.toml
        ../deny.toml
        # Tests read the pages, and follow their links.
        ../README.md
        ../CHANGELOG.md
        ../SECURITY.md
        ../LICENSE
        ../docs
        ../examples
        ../benches
        ../tests
      ]
    );
  };
in
# rust-toolchain.toml asks rustup for the newest stable release, which is what nixpkgs has.
assert lib.assertMsg (lib.versionAtLeast pkgs.rustc.version workspace.package.rust-version)
  "nixpkgs has Rust ${pkgs.rustc.version}, and Evenkeel needs ${workspace.package.rust-version} or newer: use the nixpkgs of Evenkeel's flake.lock";
{
  inherit craneLib;

  server = ofServer "evenkeel-server" [ ../crates/server/src ];
  pause = ofServer "evenkeel-pause" [ ../crates/server/src/bin/evenkeel-pause.rs ];
  agent = ofPackage "evenkeel-agent" "evenkeel-agent" [
    ../crates/agent/src
    ../crates/load/src
  ];

  cli = craneLib.buildPackage (
    cliArguments
    // {
      cargoArtifacts = dependencies cliArguments;
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
      checked // { cargoClippyExtraArgs = "--all-targets -- ${denyWarnings}"; }
    );
    fmt = craneLib.cargoFmt checked;
    # Without the tests of the lab, which need root (the VM test covers them), those of the flake, which need Nix, and those
    # in modules that are called `online`, which need a network.
    tests = craneLib.cargoTest (
      checked
      // {
        doCheck = true;
        cargoTestExtraArgs = "--lib --bins --test architecture --test cli --test load --test report --test server --test agent -- --skip ::online::";
      }
    );
    docs = craneLib.cargoDoc (checked // { env.RUSTDOCFLAGS = denyWarnings; });
    deny = craneLib.cargoDeny checked;
  };
}
