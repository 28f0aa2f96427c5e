# `nix run .#VERB`: one app for each verb of the CLI, and `render`.
lab:
let
  inherit (lab) lib pkgs evenkeel;

  # What the lab is told by the environment.
  environment = lib.concatStringsSep "," [
    "EVENKEEL_NAME"
    "EVENKEEL_STATE_DIR"
    "EVENKEEL_CACHE_DIR"
    "EVENKEEL_SERVER_IMAGE"
    "EVENKEEL_PAUSE_IMAGE"
    "EVENKEEL_MANIFESTS"
    "NO_COLOR"
  ];

  # sudo is the machine's own: one from the store has no rights to give.
  asRoot = ''
    if [ "$(id -u)" != 0 ]; then
      if ! command -v sudo >/dev/null; then
        echo "This needs root, and there is no sudo here: become root, then run it again." >&2
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
      # A condition in bash, for a verb of which not every use needs root.
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
      description = "Send load, and tell what came of it and how it fell on the pods";
      # Scaling does, a way straight to the pods, and what is done to the lab meanwhile.
      root = ''[[ " $*" =~ " --"(replicas|balance|compare|during) ]]'';
    }
    {
      name = "logs";
      description = "Show what the pods say, or a component of the cluster";
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
      description = "All of it: boot, deploy, load at 2, 5 and 10 pods, sum up, remove";
      root = true;
    }
    {
      name = "soak";
      description = "Show under fault that no request is lost, event by event";
      root = true;
    }
    {
      name = "build";
      description = "Show the images of the lab and where they are";
    }
    {
      name = "doctor";
      description = "Show what a lab needs of this machine";
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
  render = app "Write the manifests that nix/workload.nix describes to manifests/" {
    name = "evenkeel-render";
    text = ''
      if [ ! -f nix/workload.nix ]; then
        echo "Run this where flake.nix is: it writes to manifests/ there." >&2
        exit 1
      fi
      install -m 0644 ${lab.committed}/*.yaml manifests/
      ls manifests/*.yaml
    '';
  };
}
