# The shell of a lab: its command line, and tools to inspect the cluster and its images.
lab:
let
  inherit (lab) lib pkgs;
  verbs = removeAttrs lab.apps [ "default" ];
  width = lib.foldl' lib.max 0 (map lib.stringLength (lib.attrNames verbs));
  pad = name: name + lib.concatStrings (lib.genList (_: " ") (width - lib.stringLength name));
  lines = lib.mapAttrsToList (name: app: "  evenkeel ${pad name}  ${app.meta.description}") verbs;
in
pkgs.mkShell {
  packages = [
    lab.evenkeel
    pkgs.jq
    pkgs.k9s
    pkgs.kubectl
    pkgs.oha
    pkgs.skopeo
    pkgs.wrk
  ]
  ++ lib.optionals lab.isLinux lab.toolbox;

  # `nix develop --command evenkeel status --json | jq` must print nothing else to stdout.
  shellHook = ''
    if [[ $- == *i* ]]; then
      cat ${pkgs.writeText "verbs" (lib.concatLines lines)} >&2
      source <(evenkeel completions bash)
    fi
  '';
}
