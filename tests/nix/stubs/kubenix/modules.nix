{ lib }:
pkgs:
{ modules }:
let
  kinds = {
    deployments = [
      "apps/v1"
      "Deployment"
    ];
    namespaces = [
      "v1"
      "Namespace"
    ];
    podDisruptionBudgets = [
      "policy/v1"
      "PodDisruptionBudget"
    ];
    serviceAccounts = [
      "v1"
      "ServiceAccount"
    ];
    services = [
      "v1"
      "Service"
    ];
  };

  call =
    module:
    if builtins.isPath module then
      call (import module)
    else if builtins.isFunction module then
      module {
        inherit config lib pkgs;
        kubenix.modules.k8s = { };
      }
    else
      module;
  flatten =
    module:
    let
      called = call module;
    in
    lib.concatMap flatten (called.imports or [ ]) ++ [ called ];
  all = lib.concatMap flatten modules;
  merge = lib.foldl' lib.recursiveUpdate { };
  options = merge (map (module: module.options or { }) all);
  given = merge (
    map (
      module:
      module.config or (removeAttrs module [
        "imports"
        "options"
      ])
    ) all
  );

  # The values of `options` where `values` define them, else their defaults.
  resolve =
    path: options: values:
    let
      unknown = lib.attrNames (removeAttrs values (lib.attrNames options));
    in
    assert lib.assertMsg (unknown == [ ]) "The option `${path}.${lib.head unknown}' does not exist.";
    lib.mapAttrs (
      name: option:
      let
        value = values.${name} or option.default;
      in
      if option._type or null != "option" then
        resolve "${path}.${name}" option (values.${name} or { })
      else if option.type.check value then
        value
      else
        throw "A definition for option `${path}.${name}' is not of type `${option.type.name}'."
    ) options;

  object =
    plural: name: resource:
    lib.recursiveUpdate {
      apiVersion = lib.head kinds.${plural};
      kind = builtins.elemAt kinds.${plural} 1;
      metadata = {
        inherit name;
        annotations = {
          "kubenix/k8s-version" = config.kubernetes.version;
          "kubenix/project-name" = config.kubenix.project;
        };
      };
    } resource;

  config = given // {
    evenkeel = resolve "evenkeel" options.evenkeel (given.evenkeel or { });
    kubernetes = given.kubernetes // {
      objects = lib.concatMap (
        plural: lib.mapAttrsToList (object plural) given.kubernetes.resources.${plural}
      ) (lib.attrNames given.kubernetes.resources);
    };
  };
in
{
  inherit config;
}
