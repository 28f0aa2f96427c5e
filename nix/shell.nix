# `nix develop`: the pinned toolchain, the lab's programs, and tools to inspect a cluster.
lab:
let
  inherit (lab) lib pkgs;
  apps = removeAttrs (import ./apps.nix lab) [
    "default"
    "render"
  ];
  width = lib.foldl' lib.max 0 (map lib.stringLength (lib.attrNames apps));
  pad = name: name + lib.concatStrings (lib.genList (_: " ") (width - lib.stringLength name));
  verbs = lib.mapAttrsToList (name: app: "  evenkeel ${pad name}  ${app.meta.description}") apps;
in
lab.rust.craneLib.devShell {
  packages =
    (with pkgs; [
      lab.evenkeel
      cargo-deny
      cargo-nextest
      deadnix
      go
      jq
      k9s
      kubectl
      nixfmt
      oha
      rust-analyzer
      skopeo
      statix
      wrk
    ])
    ++ lib.optionals lab.isLinux (
      lab.toolbox
      # `evenkeel build` links to the static C library.
      ++ [ pkgs.glibc.static ]
    );

  shellHook = ''
    cat ${pkgs.writeText "verbs" (lib.concatLines verbs)}
    if [[ $- == *i* ]]; then
      source <(evenkeel completions bash)
    fi
  '';
}
