# `nix run .#VERB`: one app for each verb of the CLI, and `render`.
lab:
let
  inherit (lab) lib pkgs evenkeel;

  # The environment variables that a lab reads.
  environment = lib.concatStringsSep "," [
    "EVENKEEL_NAME"
    "EVENKEEL_STATE_DIR"
    "EVENKEEL_CACHE_DIR"
    "EVENKEEL_SERVER_IMAGE"
    "EVENKEEL_PAUSE_IMAGE"
    "EVENKEEL_MANIFESTS"
    "NO_COLOR"
  ];

  # This is the machine's own sudo: a sudo from the store is not setuid root.
  asRoot = ''
    if [ "$(id -u)" != 0 ]; then
      if ! command -v sudo >/dev/null; then
        echo "This needs root, and sudo was not found: run it again as root." >&2
        exit 1
      fi
      echo "This needs root: running it with sudo." >&2
      exec sudo --preserve-env=${environment} -- "$0" "$@"
    fi
  '';

  app =
    description:
    {
      name,
      text,
      runtimeInputs ? [ ],
    }:
    {
      type = "app";
      program = lib.getExe (
        pkgs.writeShellApplication {
          inherit name text;
          runtimeInputs = [ pkgs.coreutils ] ++ runtimeInputs;
        }
      );
      meta = { inherit description; };
    };

  verb =
    {
      name,
      description,
      # Whether it needs root: true, or a condition in bash.
      root ? null,
    }:
    app description {
      name = "evenkeel-${name}";
      text =
        lib.optionalString (lab.isLinux && root == true) asRoot
        + lib.optionalString (lab.isLinux && lib.isString root) "if ${root}; then\n${asRoot}fi\n"
        + ''
          exec ${lib.getExe evenkeel} ${name} "$@"
        '';
    };

  verbs = [
    {
      name = "up";
      description = "Boot the cluster";
      root = true;
    }
    {
      name = "deploy";
      description = "Deploy the server, or another image, and follow the rollout";
      root = true;
    }
    {
      name = "scale";
      description = "Scale to N pods, and wait until each of them gets connections";
      root = true;
    }
    {
      name = "test";
      description = "Send load, and report throughput, latency, failures and the spread over the pods";
      # Scaling, the route to the pods, and events need root.
      root = ''[[ " $*" =~ " --"(replicas|balance|compare|during) ]]'';
    }
    {
      name = "logs";
      description = "Show the logs of the pods, or of a component of the cluster";
    }
    {
      name = "status";
      description = "Show nodes, components, pods and Service";
    }
    {
      name = "down";
      description = "Remove everything the lab put on this machine";
      root = true;
    }
    {
      name = "demo";
      description = "Boot, deploy, send load at 2, 5 and 10 pods, report, remove";
      root = true;
    }
    {
      name = "soak";
      description = "Play faults under load, and check that no request is lost";
      root = true;
    }
    {
      name = "build";
      description = "Show the images of the lab and where they are";
    }
    {
      name = "doctor";
      description = "Check that this machine has what a lab needs";
    }
  ];
in
lib.listToAttrs (map (each: lib.nameValuePair each.name (verb each)) verbs)
// {
  default = {
    type = "app";
    program = lib.getExe evenkeel;
    meta.description = "The command line of Evenkeel";
  };
  render = app "Render nix/workload.nix to manifests/" {
    name = "evenkeel-render";
    text = ''
      if [ ! -f nix/workload.nix ]; then
        echo "Run this in the directory of flake.nix: it writes to manifests/ there." >&2
        exit 1
      fi
      install -m 0644 ${lab.committed}/*.yaml manifests/
      ls manifests/*.yaml
    '';
  };
}
