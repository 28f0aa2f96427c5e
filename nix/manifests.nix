# The workload's objects as YAML, one file for each kind.
{
  lib,
  pkgs,
  evalModules,
  # kubenix modules that set options of the workload.
  modules,
}:
let
  inherit ((evalModules { modules = [ ./workload.nix ] ++ modules; }).config) kubernetes;
  header = pkgs.writeText "header" ''
    # Rendered from nix/workload.nix by `nix run .#render`: change it there.
  '';
  file = object: "${lib.toLower object.kind}.yaml";
in
pkgs.runCommand "evenkeel-manifests"
  {
    nativeBuildInputs = [ pkgs.yq-go ];
    passthru = { inherit (kubernetes) objects; };
  }
  (
    "mkdir $out\n"
    + lib.concatMapStrings (object: ''
      { cat ${header}; yq --prettyPrint --output-format yaml . ${pkgs.writeText "object.json" (builtins.toJSON object)}; } >$out/${file object}
    '') kubernetes.objects
  )
