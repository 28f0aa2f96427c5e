# Checks the manifests with Kubernetes' own schemas and with kube-score.
{ lab, check }:
let
  inherit (lab) lib pkgs;

  # The tests of kube-score that do not apply to a lab.
  waived = [
    # The lab imports its images into the nodes; there is no registry to pull from.
    "container-image-pull-policy"
    # A CPU limit throttles the server, which would distort the high percentiles of the latency that is measured.
    "container-resources"
    # The root file system is read-only and there is no volume. Only the log remains, which the kubelet rotates.
    "container-ephemeral-storage-request-and-limit"
    # Nothing in the lab enforces a network policy, and a policy that is not enforced suggests a protection that does not
    # exist.
    "pod-networkpolicy"
    # Topology spread does the same, and still schedules all pods on a single node.
    "deployment-has-host-podantiaffinity"
  ];

  # kubeconform needs JSON schemas. The sources of Kubernetes describe every kind in one OpenAPI document, whose definitions
  # refer to each other.
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
          kind=''${kind##*-}
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
