//! Whether pods answered that are not those of the Service that the load was sent to.

use std::collections::BTreeSet;

use super::run_data::pod_readings;
use crate::cluster::Access;
use crate::workload::{PodCounters, Subject, pod_counters};
use evenkeel_load::RunResult;
use evenkeel_measure::{Measurement, PodUse};

/// How many pods there are before a run, where that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KnownPods {
    /// Of the Service under test.
    pub(super) subject: Option<u32>,
    /// Of the Service that the load is sent to.
    pub(super) own: Option<u32>,
}

/// The counters of a Service's pods before a run, and what they used in it.
pub(super) struct ServicePods<'a> {
    access: &'a Access,
    subject: &'a Subject,
    before: Option<Vec<PodCounters>>,
}

/// What the pods of a Service used in a run.
#[derive(Default)]
pub(super) struct ServiceUse {
    /// The names of all pods that were there before or after it.
    pub(super) names: BTreeSet<String>,
    /// What each used.
    pub(super) pods: Vec<PodUse>,
}

impl<'a> ServicePods<'a> {
    /// Finds the pods.
    pub(super) async fn find(access: &'a Access, subject: &'a Subject) -> Self {
        Self { access, subject, before: pod_counters(access, subject).await.ok() }
    }

    /// The same pods with their current counters.
    pub(super) fn again(self) -> Self {
        let again = |pods: Vec<PodCounters>| pods.iter().map(|pod| pod.again(self.access)).collect();
        Self { before: self.before.map(again), ..self }
    }

    /// What they and their successors used since then.
    pub(super) async fn end(self) -> ServiceUse {
        let after = pod_counters(self.access, self.subject).await.ok();
        let Some((before, after)) = self.before.zip(after) else { return ServiceUse::default() };
        ServiceUse {
            names: before.iter().chain(&after).map(|pod| pod.name.clone()).collect(),
            pods: PodUse::between(&pod_readings(&before), &pod_readings(&after)),
        }
    }
}

/// Whether pods answered, and none of them is one of these.
pub(super) fn is_proxied(run: &RunResult, own: &ServiceUse) -> bool {
    let mut named = run.pods.iter().map(|pod| &pod.name).filter(|name| !name.is_empty()).peekable();
    !own.names.is_empty() && named.peek().is_some() && !named.any(|name| own.names.contains(name))
}

/// The measurement with what the pods used: `own` are those of the Service that the load was sent to, `subject` those of
/// the Service under test where it is another one.
pub(super) fn with_use(
    measured: Measurement,
    proxied: bool,
    own: ServiceUse,
    subject: Option<ServiceUse>,
) -> Measurement {
    if proxied {
        measured.with_pod_use(subject.unwrap_or_default().pods).through_proxy(own.pods)
    } else {
        measured.with_pod_use(own.pods)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use evenkeel_load::{LoadPlan, Pod};

    #[test]
    fn a_proxy_is_seen_by_the_names_of_the_pods() {
        let run = |names: &[&str]| {
            let plan = LoadPlan::new(NonZeroU32::MIN, Duration::from_secs(1));
            let pod = |name: &&str| Pod { name: (*name).to_owned(), requests: 1, ..Pod::default() };
            RunResult { pods: names.iter().map(pod).collect(), ..crate::experiment::run_data::tests::empty(plan) }
        };
        let own =
            |names: &[&str]| ServiceUse { names: names.iter().map(|name| (*name).into()).collect(), pods: vec![] };
        assert!(is_proxied(&run(&["web-1", "web-2"]), &own(&["envoy-1"])));
        assert!(!is_proxied(&run(&["web-1", "web-2"]), &own(&["web-2", "web-3"])), "web-1 was replaced");
        assert!(!is_proxied(&run(&[""]), &own(&["envoy-1"])), "no response named its pod");
        assert!(!is_proxied(&run(&["web-1"]), &own(&[])), "the pods are not known");
    }
}
