//! What each node of a lab used during a run.

use serde::{Deserialize, Serialize};

/// A node's counters at one moment. What is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeReading {
    /// Its name.
    pub name: String,
    /// Processor time of its components, in microseconds.
    pub components_cpu_us: Option<u64>,
    /// Processor time of its pods, in microseconds.
    pub pods_cpu_us: Option<u64>,
    /// The working set of its components, in bytes.
    pub components_memory_bytes: Option<u64>,
    /// The working set of its pods, in bytes.
    pub pods_memory_bytes: Option<u64>,
}

/// What one node used. What is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeUse {
    /// Its name.
    pub name: String,
    /// Processor time of its components: kubelet, containerd, kube-proxy, and those of the control plane where it runs.
    pub components_cpu_seconds: Option<f64>,
    /// Processor time of all of its pods.
    pub pods_cpu_seconds: Option<f64>,
    /// The working set of its components at the end, in bytes: memory without inactive file pages.
    pub components_memory_bytes: Option<u64>,
    /// The working set of all of its pods at the end.
    pub pods_memory_bytes: Option<u64>,
}

impl NodeUse {
    /// What the nodes of `after` used since `before`. A counter that is lower than before was started again, so all of
    /// it belongs to the run.
    #[must_use]
    pub fn between(before: &[NodeReading], after: &[NodeReading]) -> Vec<Self> {
        let of = |after: &NodeReading| {
            let before = before.iter().find(|before| before.name == after.name);
            let since = |of: fn(&NodeReading) -> Option<u64>| {
                let (now, then) = (of(after)?, before.map_or(Some(0), of)?);
                Some(seconds(now.checked_sub(then).unwrap_or(now)))
            };
            Self {
                name: after.name.clone(),
                components_cpu_seconds: since(|node| node.components_cpu_us),
                pods_cpu_seconds: since(|node| node.pods_cpu_us),
                components_memory_bytes: after.components_memory_bytes,
                pods_memory_bytes: after.pods_memory_bytes,
            }
        };
        after.iter().map(of).collect()
    }
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of a run")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, components: Option<u64>, pods: Option<u64>) -> NodeReading {
        NodeReading {
            name: name.into(),
            components_cpu_us: components,
            pods_cpu_us: pods,
            components_memory_bytes: Some(400_000_000),
            pods_memory_bytes: None,
        }
    }

    #[test]
    fn what_a_node_used_is_the_difference() {
        let before = [node("lab-0", Some(5_000_000), Some(1_000_000)), node("lab-1", Some(9_000_000), None)];
        let after = [
            node("lab-0", Some(6_500_000), Some(3_000_000)),
            node("lab-1", Some(2_000_000), Some(7)),
            node("lab-2", Some(250_000), Some(0)),
        ];
        let used = NodeUse::between(&before, &after);
        let cpu: Vec<_> = used.iter().map(|node| (node.components_cpu_seconds, node.pods_cpu_seconds)).collect();
        // lab-1 was restarted meanwhile, and lab-2 was added.
        assert_eq!(cpu, [(Some(1.5), Some(2.0)), (Some(2.0), None), (Some(0.25), Some(0.0))]);
        assert_eq!((used[0].components_memory_bytes, used[0].pods_memory_bytes), (Some(400_000_000), None));
    }
}
