# What Kubernetes' own schemas and kube-score think of the workload.
{ lab, check }:
let
  inherit (lab) lib pkgs;

  # Each of these asks for what a lab must not have.
  waived = [
    # The lab puts its images on the nodes; there is no registry to pull from.
    "container-image-pull-policy"
    # A CPU limit throttles, and throttling ruins the tail of the latency that is to be measured.
    "container-resources"
    # The root file system is read-only and there is no volume: what is left is the log, which the kubelet rotates.
    "container-ephemeral-storage-request-and-limit"
    # Nothing in the lab enforces a policy, and one that is not enforced is worse than none.
    "pod-networkpolicy"
    # Topology spread keeps the pods apart where there are several nodes, and does not fail them where there is one.
    "deployment-has-host-podantiaffinity"
  ];

  # kubeconform wants JSON schemas; Kubernetes' own sources describe every kind, as definitions that refer to each other.
  schemas =
    pkgs.runCommand "kubernetes-schemas-${pkgs.kubernetes.version}"
      {
        nativeBuildInputs = [ pkgs.jq ];
      }
      ''
        mkdir $out
        jq --compact-output --from-file ${./schemas.jq} ${pkgs.kubernetes.src}/api/openapi-spec/swagger.json >definitions.json
        for kind in ${lab.manifests}/*.yaml; do
          kind=$(basename "$kind" .yaml)
          jq --compact-output --arg kind "$kind" '. as $all
            | [ .definitions | to_entries[]
                | select(any(.value["x-kubernetes-group-version-kind"][]?; (.kind | ascii_downcase) == $kind)) ] as $found
            | $all + { "$ref": "#/definitions/\($found[0].key)" }' definitions.json >$out/$kind.json
        done
      '';
in
check "kubernetes-manners"
  [
    pkgs.kubeconform
    pkgs.kube-score
  ]
  ''
    kubeconform -strict -summary -schema-location '${schemas}/{{.ResourceKind}}.json' ${lab.manifests}/*.yaml
    kube-score score --output-format ci --ignore-test ${lib.concatStringsSep "," waived} ${lab.manifests}/*.yaml
  ''
