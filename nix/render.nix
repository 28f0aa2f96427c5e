# `nix run .#render`: writes the manifests that nix/workload.nix renders to manifests/.
lab:
let
  program = lab.pkgs.writeShellApplication {
    name = "evenkeel-render";
    runtimeInputs = [ lab.pkgs.coreutils ];
    text = ''
      if [ ! -f nix/workload.nix ]; then
        echo "Run this in the directory of flake.nix: it writes to manifests/ there." >&2
        exit 1
      fi
      install -m 0644 ${lab.committed}/*.yaml manifests/
      ls manifests/*.yaml
    '';
  };
in
{
  render = {
    type = "app";
    program = lab.lib.getExe program;
    meta.description = "Render nix/workload.nix to manifests/";
  };
}
