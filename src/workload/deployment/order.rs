//! The order in which objects are applied.

/// What must exist before something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Other objects are in them.
    Namespaces,
    /// Other objects are of their kinds.
    Definitions,
    /// What pods refer to: configuration, storage, accounts and rights.
    Referred,
    /// Everything else that is not a workload.
    Other,
    /// What creates pods.
    Workloads,
}

impl Phase {
    /// All phases, in their order.
    pub(super) const ALL: [Self; 5] =
        [Self::Namespaces, Self::Definitions, Self::Referred, Self::Other, Self::Workloads];

    /// The phase of an object of this group and kind.
    pub(super) fn of(group: &str, kind: &str) -> Self {
        match (group, kind) {
            ("", "Namespace") => Self::Namespaces,
            ("apiextensions.k8s.io", "CustomResourceDefinition") => Self::Definitions,
            (
                "",
                "ServiceAccount"
                | "Secret"
                | "ConfigMap"
                | "PersistentVolume"
                | "PersistentVolumeClaim"
                | "LimitRange"
                | "ResourceQuota",
            )
            | ("rbac.authorization.k8s.io" | "storage.k8s.io" | "scheduling.k8s.io" | "node.k8s.io", _) => {
                Self::Referred
            }
            ("apps" | "batch", _) | ("", "Pod" | "ReplicationController") => Self::Workloads,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_referred_to_comes_first() {
        let kinds = [
            ("apps", "Deployment"),
            ("", "Service"),
            ("", "ConfigMap"),
            ("example.org", "Widget"),
            ("apiextensions.k8s.io", "CustomResourceDefinition"),
            ("", "Namespace"),
        ];
        let mut phases: Vec<(Phase, &str)> =
            kinds.iter().map(|(group, kind)| (Phase::of(group, kind), *kind)).collect();
        phases.sort();
        let order: Vec<&str> = phases.into_iter().map(|(_, kind)| kind).collect();
        let all = ["Namespace", "CustomResourceDefinition", "ConfigMap", "Service", "Widget", "Deployment"];
        assert_eq!(order, all);
    }
}
