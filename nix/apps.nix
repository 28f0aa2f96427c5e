# `nix run .#VERB`: one app for each verb of the CLI, and `push`.
lab:
let
  inherit (lab) lib pkgs evenkeel;
  verbs = {
    up = "Boot the cluster";
    deploy = "Deploy the server, or another image, and follow the rollout";
    undeploy = "Remove what deploy applied";
    scale = "Scale to N pods, and wait until each of them gets connections";
    test = "Send load, and report throughput, latency, failures and the spread over the pods";
    logs = "Show the logs of the pods, or of a component of the cluster";
    status = "Show nodes, components, pods and Service";
    node = "Add a node to the lab, or remove one without a lost request";
    down = "Remove everything the lab put on this machine";
    demo = "Boot, deploy, send load at 2, 5 and 10 pods, report, remove";
    soak = "Play faults under load, and check that no request is lost";
    build = "Show the images of the lab and where they are, or push them";
    rbac = "Print the rights that verbs need in a cluster, as manifests";
    toolbox = "Take the programs that were built for a lab to another machine";
    doctor = "Check that this machine has what a lab needs";
    report = "Make a page of charts, Markdown, CSV or tables from the JSON of a test";
    completions = "Print the completions for a shell";
  };
  app = name: arguments: description: {
    type = "app";
    program = lib.getExe (
      pkgs.writeShellApplication {
        name = "evenkeel-${name}";
        text = ''exec ${lib.getExe evenkeel} ${arguments} "$@"'';
      }
    );
    meta = { inherit description; };
  };
in
lib.mapAttrs (name: app name name) verbs
// {
  # The first argument is the repository: `nix run .#push -- ghcr.io/me/evenkeel`.
  push = app "push" "build --push" "Push the images of the lab to a repository of a registry";
  default = {
    type = "app";
    program = lib.getExe evenkeel;
    meta.description = "The command line of Evenkeel";
  };
}
