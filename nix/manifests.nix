# The objects of a workload as YAML, one file for each kind. With several services, each has files of its own.
{
  lib,
  pkgs,
  evalModules,
  # For each service, kubenix modules that set options of the workload. The name "" is that of the only one.
  services,
}:
let
  objects =
    modules: (evalModules { modules = [ ./workload.nix ] ++ modules; }).config.kubernetes.objects;
  header = pkgs.writeText "header" ''
    # Rendered from nix/workload.nix by `nix run .#render`: change it there.
  '';
  # All services are in one namespace.
  shared = object: object.kind == "Namespace";
  ofService =
    name: modules:
    map (object: {
      inherit object;
      file =
        lib.optionalString (name != "" && !shared object) "${name}-" + "${lib.toLower object.kind}.yaml";
    }) (objects modules);
  files = lib.concatLists (lib.mapAttrsToList ofService services);
  write = { object, file }: ''
    { cat ${header}; yq --prettyPrint --output-format yaml . ${pkgs.writeText "object.json" (builtins.toJSON object)}; } >$out/${file}
  '';
in
pkgs.runCommand "evenkeel-manifests" {
  nativeBuildInputs = [ pkgs.yq-go ];
  passthru.objects = map (one: one.object) files;
} ("mkdir $out\n" + lib.concatMapStrings write files)
