# Checks that manifests/ is what nix/workload.nix renders, and that the options of a lab reach its manifests.
{
  lab,
  check,
  mkLab,
}:
let
  inherit (lab) lib pkgs;
  deployment = (lib.findFirst (object: object.kind == "Deployment") null) changed.manifests.objects;
  container = lib.head deployment.spec.template.spec.containers;
  changed = mkLab {
    inherit (pkgs.stdenv.hostPlatform) system;
    modules = [
      {
        evenkeel = {
          replicas = 7;
          port = 8080;
          drainSeconds = 20;
        };
      }
    ];
  };
  expected = {
    replicas = 7;
    port = 8080;
    grace = 27;
  };
  actual = {
    inherit (deployment.spec) replicas;
    port = (lib.head container.ports).containerPort;
    grace = deployment.spec.template.spec.terminationGracePeriodSeconds;
  };
in
assert lib.assertMsg (
  actual == expected
) "the options of nix/workload.nix do not reach the Deployment";
check "manifests" [ pkgs.yq-go ] ''
  if ! diff --recursive --unified ${../manifests} ${lab.committed}; then
    echo "manifests/ is not what nix/workload.nix renders. Render it again: nix run .#render" >&2
    exit 1
  fi
''
