{ lib, system }:
let
  isLinux = lib.hasSuffix "linux" system;
  architecture = lib.head (builtins.split "-" system);

  # Arguments that nixpkgs' own function would not take are an error.
  known =
    function: names: arguments:
    let
      unknown = lib.attrNames (removeAttrs arguments names);
    in
    lib.assertMsg (
      unknown == [ ]
    ) "${function}: unexpected argument ${lib.concatStringsSep ", " unknown}";

  # A derivation that depends on all its arguments. Its output is an empty directory unless it has a command.
  package =
    name:
    {
      command ? "/bin/mkdir -p $out",
      environment ? { },
      meta ? { },
      passthru ? { },
    }:
    derivation (
      environment
      // {
        inherit name system;
        builder = "/bin/sh";
        args = [
          "-c"
          command
        ];
      }
    )
    // {
      inherit meta;
    }
    // passthru;

  onLinux = name: value: if isLinux then value else throw "${name} is not available on ${system}";

  named =
    name:
    package name {
      meta.mainProgram = name;
      passthru.version = "0";
    };
  onlyLinux = [
    "cni-plugins"
    "conntrack-tools"
    "containerd"
    "iproute2"
    "iptables"
    "kubernetes"
    "nftables"
    "runc"
    "util-linux"
  ];
  everywhere = [
    "cargo-deny"
    "cargo-nextest"
    "coredns"
    "coreutils"
    "curl"
    "deadnix"
    "etcd"
    "go"
    "installShellFiles"
    "jq"
    "k9s"
    "kube-score"
    "kubeconform"
    "kubectl"
    "makeBinaryWrapper"
    "nixfmt"
    "oha"
    "rust-analyzer"
    "skopeo"
    "statix"
    "taplo"
    "wrk"
    "yq-go"
  ];

  packages =
    lib.genAttrs everywhere named
    // lib.genAttrs onlyLinux (name: onLinux name (named name))
    // {
      kubernetes = onLinux "kubernetes" (
        named "kubernetes"
        // {
          version = "1.36.3";
          src = named "kubernetes-source";
        }
      );
      rustc = named "rustc" // {
        version = "1.96.0";
      };
      rustfmt = named "rustfmt";
      glibc = onLinux "glibc" (named "glibc" // { static = named "glibc-static"; });

      stdenv.hostPlatform = {
        inherit system isLinux;
        rust = {
          cargoShortTarget = "${architecture}-unknown-linux-gnu";
          cargoEnvVarTarget =
            {
              x86_64 = "X86_64_UNKNOWN_LINUX_GNU";
              aarch64 = "AARCH64_UNKNOWN_LINUX_GNU";
            }
            .${architecture};
        };
      };

      mkShell =
        {
          packages,
          shellHook ? "",
        }:
        package "nix-shell" {
          environment = {
            inherit packages shellHook;
          };
        };

      treefmt.withConfig =
        arguments@{ name, ... }:
        assert known "treefmt.withConfig" [
          "name"
          "runtimeInputs"
          "settings"
        ] arguments;
        package name {
          meta.mainProgram = "treefmt";
          environment.settings = builtins.toJSON arguments.settings;
        };

      writeText =
        name: text:
        package name {
          environment = {
            inherit text;
            passAsFile = [ "text" ];
          };
          command = "/bin/cp $textPath $out";
        };

      runCommand =
        name: attributes: script:
        package name {
          environment =
            removeAttrs attributes [
              "meta"
              "passthru"
            ]
            // {
              inherit script;
            };
          meta = attributes.meta or { };
          passthru = attributes.passthru or { };
        };

      writeShellApplication =
        arguments@{
          name,
          text,
          runtimeInputs ? [ ],
          ...
        }:
        assert known "writeShellApplication" [
          "name"
          "text"
          "runtimeInputs"
          "runtimeEnv"
          "meta"
          "passthru"
          "checkPhase"
          "excludeShellChecks"
          "extraShellCheckFlags"
          "bashOptions"
          "derivationArgs"
          "inheritPath"
        ] arguments;
        package name {
          meta.mainProgram = name;
          environment = {
            script = ''
              #!/usr/bin/env bash
              set -o errexit -o nounset -o pipefail
              export PATH="${lib.makeBinPath runtimeInputs}:$PATH"
            ''
            + text;
            passAsFile = [ "script" ];
          };
          command = "/bin/mkdir -p $out/bin; /bin/cp $scriptPath $out/bin/${name}";
        };

      dockerTools = import ./docker.nix { inherit package known; };

      rustPlatform.buildRustPackage =
        arguments@{ pname, version, ... }:
        package "${pname}-${version}" {
          environment.arguments = builtins.toJSON (removeAttrs arguments [ "src" ]);
        };

      testers.runNixOSTest =
        arguments@{ name, ... }:
        assert known "runNixOSTest" [
          "name"
          "nodes"
          "testScript"
        ] arguments;
        package "vm-test-${name}" {
          environment.test = builtins.toJSON {
            inherit (arguments) testScript;
            machine = removeAttrs arguments.nodes.machine [ "environment" ];
          };
        };
    };
in
packages
// {
  inherit lib package;
}
