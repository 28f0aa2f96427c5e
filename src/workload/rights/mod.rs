//! The rights that each activity needs in a cluster: the one list from which manifests are printed, and which is checked
//! before anything happens.

mod list;
mod manifest;
mod review;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

pub use manifest::{Grantee, manifests};
pub use review::{Review, review};

/// What is done in a cluster: a verb, or an event of a load test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// Show the Service and its pods.
    Status,
    /// Show the pods' logs.
    Logs,
    /// Scale, also as an event.
    Scale,
    /// Send load.
    Test,
    /// Send load from agents in the cluster.
    Agents,
    /// Deploy Evenkeel's server.
    Deploy,
    /// Deploy manifests of the user, besides the rights for their kinds.
    Apply,
    /// Remove what was deployed.
    Undeploy,
    /// The events `rollout` and `rollout:IMAGE`.
    Rollout,
    /// The event `delete-pod`.
    DeletePod,
    /// The event `drain`.
    Drain,
    /// The events `cordon` and `uncordon`.
    Cordon,
    /// Compare external traffic policies.
    TrafficPolicy,
    /// The part `pods` of a soak.
    Soak,
}

impl Activity {
    /// All activities.
    pub const ALL: [Self; 14] = [
        Self::Status,
        Self::Logs,
        Self::Scale,
        Self::Test,
        Self::Agents,
        Self::Deploy,
        Self::Apply,
        Self::Undeploy,
        Self::Rollout,
        Self::DeletePod,
        Self::Drain,
        Self::Cordon,
        Self::TrafficPolicy,
        Self::Soak,
    ];

    /// Its name, as a user writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Logs => "logs",
            Self::Scale => "scale",
            Self::Test => "test",
            Self::Agents => "agents",
            Self::Deploy => "deploy",
            Self::Apply => "apply",
            Self::Undeploy => "undeploy",
            Self::Rollout => "rollout",
            Self::DeletePod => "delete-pod",
            Self::Drain => "drain",
            Self::Cordon => "cordon",
            Self::TrafficPolicy => "traffic-policy",
            Self::Soak => "soak",
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Status => "show the pods and the Services",
            Self::Logs => "show the logs of the pods",
            Self::Scale => "scale the pods, also as an event of a test",
            Self::Test => "send load",
            Self::Agents => "send load from agents in the cluster, and remove those that are left over",
            Self::Deploy => "deploy the server",
            Self::Apply => "deploy manifests of your own, with further rights for their kinds",
            Self::Undeploy => "remove what deploy applied",
            Self::Rollout => "the events rollout and rollout:IMAGE of a test",
            Self::DeletePod => "the event delete-pod of a test",
            Self::Drain => "the event drain of a test",
            Self::Cordon => "the events cordon and uncordon of a test",
            Self::TrafficPolicy => "compare external traffic policies in a test",
            Self::Soak => "the part pods of a soak",
        }
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Activity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|activity| activity.name() == text).ok_or(())
    }
}

/// Where a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// In the Service's namespace.
    Namespace,
    /// In the whole cluster.
    Cluster,
}

/// The right to do one thing with one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// Where.
    pub reach: Reach,
    /// The group of the API; empty for the core.
    pub group: &'static str,
    /// The resource, perhaps with a subresource: `pods/log`.
    pub resource: &'static str,
    /// What is done: `list`.
    pub verb: &'static str,
    /// What is missing without the right, if everything else works; `None` if it is needed.
    pub without: Option<&'static str>,
}

impl Right {
    /// "list deployments.apps in namespace shop", "patch nodes".
    #[must_use]
    pub fn describe(&self, namespace: &str) -> String {
        let (resource, subresource) = self.split();
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        let subresource = subresource.map(|name| format!("/{name}")).unwrap_or_default();
        let place = match self.reach {
            Reach::Namespace => format!(" in namespace {namespace}"),
            Reach::Cluster if self.is_namespaced() => " in all namespaces".to_owned(),
            Reach::Cluster => String::new(),
        };
        format!("{} {resource}{group}{subresource}{place}", self.verb)
    }

    /// The resource and its subresource.
    fn split(&self) -> (&'static str, Option<&'static str>) {
        match self.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (self.resource, None),
        }
    }

    fn is_namespaced(&self) -> bool {
        !matches!(self.split().0, "nodes" | "namespaces")
    }
}

/// The rights that these activities need together. A right that one of them needs is no optional right of another.
#[must_use]
pub fn rights_of(activities: &[Activity]) -> Vec<Right> {
    let all: BTreeSet<Right> = activities.iter().flat_map(|activity| list::of(*activity)).collect();
    let needed = |right: &Right| all.contains(&Right { without: None, ..*right });
    let mut kept: Vec<Right> = Vec::new();
    for right in &all {
        let is_same = |kept: &Right| Right { without: None, ..*kept } == Right { without: None, ..*right };
        if (right.without.is_none() || !needed(right)) && !kept.iter().any(is_same) {
            kept.push(*right);
        }
    }
    kept
}

/// The rights without those in the namespace that a right in the whole cluster contains.
#[must_use]
pub fn least(rights: &[Right]) -> Vec<Right> {
    let is_contained = |right: &Right| {
        let wider = |other: &Right| Right { reach: Reach::Cluster, without: other.without, ..*right } == *other;
        right.reach == Reach::Namespace && rights.iter().any(wider)
    };
    rights.iter().filter(|right| !is_contained(right)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for activity in Activity::ALL {
            assert_eq!(activity.name().parse(), Ok(activity));
        }
        assert_eq!("kill".parse::<Activity>(), Err(()));
    }

    #[test]
    fn a_right_is_there_once_and_needed_if_one_activity_needs_it() {
        let all = rights_of(&Activity::ALL);
        for right in &all {
            let same = |other: &&Right| {
                (other.reach, other.group, other.resource, other.verb)
                    == (right.reach, right.group, right.resource, right.verb)
            };
            assert_eq!(all.iter().filter(same).count(), 1, "{right:?}");
        }
        let nodes = |activities: &[Activity]| {
            rights_of(activities).into_iter().find(|right| (right.resource, right.verb) == ("nodes", "list")).unwrap()
        };
        assert!(nodes(&[Activity::Status]).without.is_some());
        assert!(nodes(&[Activity::Status, Activity::Cordon]).without.is_none());
    }

    #[test]
    fn a_right_in_the_whole_cluster_contains_that_in_the_namespace() {
        let lists = |rights: &[Right]| {
            let of_pods = rights.iter().filter(|right| (right.resource, right.verb) == ("pods", "list"));
            of_pods.map(|right| right.reach).collect::<Vec<_>>()
        };
        let drain = rights_of(&[Activity::Drain]);
        assert_eq!(lists(&drain), [Reach::Namespace, Reach::Cluster]);
        assert_eq!(lists(&least(&drain)), [Reach::Cluster]);
        assert_eq!(least(&rights_of(&[Activity::Scale])), rights_of(&[Activity::Scale]));
    }

    #[test]
    fn rights_are_described_with_their_place() {
        let described: Vec<String> =
            rights_of(&[Activity::Scale, Activity::Drain]).iter().map(|right| right.describe("shop")).collect();
        for one in [
            "patch deployments.apps/scale in namespace shop",
            "list pods in namespace shop",
            "create pods/eviction in all namespaces",
            "patch nodes",
        ] {
            assert!(described.contains(&one.to_owned()), "{one}: {described:#?}");
        }
    }
}
