//! The promises: events, and what each guarantees.

use std::time::Duration;

use crate::cluster::NodeFault;
use crate::config::{NODE_GRACE_SECONDS, Replicas};
use crate::workload::event::{Action, ComponentRef, NodeAction, Planned};
use evenkeel_measure::{Around, Measurement, some};

/// The components, in the order in which they are killed.
const COMPONENTS: [&str; 7] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "containerd"];
/// The length of the pause of the API server.
const PAUSE: Duration = Duration::from_secs(30);
/// How long a node stays cordoned after its drain.
const DRAINED: Duration = Duration::from_secs(1);
/// The longest time until a component is ready again, in seconds.
const BACK: f64 = 5.0;
/// How long a node is cut off.
const CUT_OFF: Duration = Duration::from_secs(10);
/// The longest time until throughput is full again, in seconds.
const FULL_AGAIN: f64 = 1.5;
/// The longest time until a lost node is not Ready, in seconds: its kubelet must be silent for the grace period, which is looked at
/// once a second.
const UNTIL_NOTICED: f64 = NODE_GRACE_SECONDS as f64 + 1.0;
/// The longest time until the kubelet of a node that is back reports that its pods are ready, in seconds: the period in which it
/// compares its pods with those of the API server.
const UNTIL_REPORTED: f64 = 10.0;

/// What is guaranteed during an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guarantee {
    /// No request fails.
    NoFailure,
    /// No request fails, the component is ready again in time, and no pod is restarted.
    ComponentReturns,
    /// At most two requests fail for each connection to the pod, and the throughput, added up over all rounds, is full
    /// again in time. In a single round on a busy machine, noise alone exceeds the tenth that "full" allows.
    FewFailures,
    /// At most two requests fail for each connection of the load, none on a connection to a pod of another node, and throughput,
    /// added up over all rounds, is full again in time: each connection has one request in flight, and may be opened once more
    /// through the node before the router stops that.
    NodeIsLost {
        /// The connections of the load.
        connections: u32,
        /// What happened to the node.
        loss: NodeLoss,
    },
    /// At least one request fails.
    SomeFailure,
}

/// How a node is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeLoss {
    /// Its processes are killed.
    Killed,
    /// Its link is down for a while. No pod is restarted.
    CutOff,
}

impl NodeLoss {
    /// The longest time until throughput is full again, in seconds.
    fn full_again(self) -> f64 {
        match self {
            Self::Killed => UNTIL_NOTICED + FULL_AGAIN,
            Self::CutOff => CUT_OFF.as_secs_f64().max(UNTIL_NOTICED) + UNTIL_REPORTED + FULL_AGAIN,
        }
    }
}

/// An event, and its guarantee.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    pub(super) name: String,
    /// The actions of one round. If there are several lists, the rounds take turns.
    rounds: Vec<Vec<Action>>,
    pub(super) guarantee: Guarantee,
}

impl Promise {
    fn new(name: impl Into<String>, guarantee: Guarantee, rounds: Vec<Vec<Action>>) -> Self {
        Self { name: name.into(), rounds, guarantee }
    }

    /// Whether an event of a run belongs to this promise.
    pub(super) fn owns(&self, what: &str) -> bool {
        self.rounds.iter().flatten().any(|action| action.to_string() == what)
    }

    /// The number of events in a round.
    pub(super) fn events_a_round(&self) -> usize {
        self.rounds.first().map_or(1, |round| round.len().max(1))
    }
}

/// Scaling from `from` pods to `to` and back, rolling out and deleting; with two images, also rolling these out in turn.
pub(super) fn of_pods(from: Replicas, to: Replicas, images: Option<[String; 2]>) -> Vec<Promise> {
    let steps = [to, from].map(Action::Scale).into();
    let of_images = |images: [String; 2]| {
        Promise::new("new image", Guarantee::NoFailure, images.map(|image| vec![Action::NewImage(image)]).into())
    };
    let first = [
        Promise::new(format!("scale {from} → {to} → {from}"), Guarantee::NoFailure, vec![steps]),
        Promise::new("rolling restart", Guarantee::NoFailure, vec![vec![Action::Restart]]),
    ];
    let last = Promise::new("pod delete", Guarantee::NoFailure, vec![vec![Action::DeletePod]]);
    first.into_iter().chain(images.map(of_images)).chain([last]).collect()
}

/// A container is killed.
pub(super) fn kill_pod() -> Promise {
    Promise::new("SIGKILL of a container", Guarantee::FewFailures, vec![vec![Action::KillPod]])
}

/// Each component is killed.
pub(super) fn of_components() -> Vec<Promise> {
    let kill = |name: &'static str| {
        Promise::new(name, Guarantee::ComponentReturns, vec![vec![Action::Kill(ComponentRef::named(name))]])
    };
    COMPONENTS.into_iter().map(kill).collect()
}

/// The API server is paused.
pub(super) fn pause() -> Promise {
    let pause = Action::Pause(ComponentRef::named("kube-apiserver"), PAUSE);
    Promise::new("kube-apiserver paused 30 s", Guarantee::NoFailure, vec![vec![pause]])
}

/// Each of these nodes is drained in turn, one in each round, and its pods come back with a rolling restart.
pub(super) fn drain(nodes: &[String]) -> Promise {
    let drained = |node: &String| vec![Action::Node(node.clone(), NodeAction::Drain(Some(DRAINED))), Action::Restart];
    Promise::new("drain of a node, uncordon", Guarantee::NoFailure, nodes.iter().map(drained).collect())
}

/// A node is added, and the node of this name, which is the one that was added, is removed.
pub(super) fn add_node(added: String) -> Promise {
    let actions = vec![Action::AddNode, Action::Restart, Action::Node(added, NodeAction::Remove)];
    Promise::new("node added, removed", Guarantee::NoFailure, vec![actions])
}

/// kube-proxy is killed on each of these nodes in turn.
pub(super) fn kill_proxies(nodes: &[String]) -> Promise {
    let kill =
        |node: &String| Action::Kill(ComponentRef { node: Some(node.clone()), ..ComponentRef::named("kube-proxy") });
    let name = "kube-proxy on each node";
    Promise::new(name, Guarantee::ComponentReturns, vec![nodes.iter().map(kill).collect()])
}

/// The control plane is paused.
pub(super) fn pause_control_plane() -> Promise {
    let pause = Action::PauseControlPlane(PAUSE);
    Promise::new("control plane paused 30 s", Guarantee::NoFailure, vec![vec![pause]])
}

/// Each of these nodes is killed in turn, one in each round.
pub(super) fn kill_node(nodes: &[String], connections: u32) -> Promise {
    let kill = |node: &String| vec![Action::Node(node.clone(), NodeAction::Kill(None))];
    let guarantee = Guarantee::NodeIsLost { connections, loss: NodeLoss::Killed };
    Promise::new("kill of a node", guarantee, nodes.iter().map(kill).collect())
}

/// The node that was killed in the same round is started again.
pub(super) fn start_node(nodes: &[String]) -> Promise {
    let start = |node: &String| vec![Action::Node(node.clone(), NodeAction::Restart)];
    Promise::new("start of a killed node", Guarantee::NoFailure, nodes.iter().map(start).collect())
}

/// The link of each of these nodes is down in turn, one in each round.
pub(super) fn partition_node(nodes: &[String], connections: u32) -> Promise {
    let fault = |node: &String| vec![Action::Node(node.clone(), NodeAction::Fault(NodeFault::Partitioned, CUT_OFF))];
    let guarantee = Guarantee::NodeIsLost { connections, loss: NodeLoss::CutOff };
    Promise::new("partition of a node for 10 s", guarantee, nodes.iter().map(fault).collect())
}

/// A rolling restart in which requests must fail.
pub(super) fn control() -> Promise {
    Promise::new("restart without a drain", Guarantee::SomeFailure, vec![vec![Action::Restart]])
}

/// The events of the next `rounds` rounds of all promises, after `made` rounds.
pub(super) fn rounds(promises: &[Promise], rounds: u32, made: u32) -> Vec<Planned> {
    let round = |number: u32| {
        let of = move |promise: &Promise| {
            let turn = number as usize % promise.rounds.len().max(1);
            promise.rounds.get(turn).cloned().unwrap_or_default()
        };
        promises.iter().flat_map(of)
    };
    (made..made + rounds).flat_map(round).map(|action| Planned { at: None, action }).collect()
}

/// The observations for a promise over all its rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Observation {
    pub(super) events: usize,
    pub(super) requests: u64,
    pub(super) failed: u64,
    /// Failures on open connections to a pod. In a closed loop each connection has one request in flight.
    broken: u64,
    /// The longest time that an event took, in seconds.
    pub(super) took: f64,
    /// The time until throughput was full again, over all events, in seconds; `None` if it was not full again or not
    /// measured.
    pub(super) full_again: Option<f64>,
    /// Events that did not finish.
    pub(super) unfinished: usize,
    restarts: u32,
    /// Failures on connections to pods that were not on the node of the event.
    elsewhere: u64,
}

impl Observation {
    /// The events of `promise` in `runs`.
    pub(super) fn of(promise: &Promise, runs: &[Measurement]) -> Self {
        let mut observed = Self { restarts: restarts(runs), ..Self::default() };
        let events = runs.iter().flat_map(|run| &run.events).filter(|event| promise.owns(&event.what));
        let around = events.clone().filter_map(|event| Some(&event.impact.as_ref()?.around));
        observed.full_again = Around::together(around).dip().and_then(|dip| dip.full_again_seconds);
        for event in events {
            observed.events += 1;
            observed.unfinished += usize::from(event.trouble.is_some());
            observed.took = observed.took.max(event.took_seconds().unwrap_or_default());
            let Some(impact) = &event.impact else { continue };
            observed.requests += impact.requests;
            observed.failed += impact.failures;
            let on_a_pod = impact.kinds.iter().filter(|kind| kind.pod.is_some() && kind.kind != "refused");
            observed.broken += on_a_pod.map(|kind| kind.count).sum::<u64>();
            if let Some(node) = &event.node {
                let known = impact.kinds.iter().filter_map(|kind| Some((kind.pod.as_ref()?, kind.count)));
                observed.elsewhere +=
                    known.filter(|(pod, _)| !node.pods.contains(pod)).map(|(_, count)| count).sum::<u64>();
            }
        }
        observed
    }

    /// Why the guarantee does not hold, or `None`.
    pub(super) fn broke(&self, guarantee: Guarantee) -> Option<String> {
        if self.unfinished > 0 {
            return Some(format!("{} did not finish", some(self.unfinished as u64, "event")));
        }
        if self.events == 0 {
            return Some("no such event happened".into());
        }
        match guarantee {
            Guarantee::NoFailure | Guarantee::ComponentReturns if self.failed > 0 => {
                Some(some(self.failed, "request") + " failed")
            }
            Guarantee::ComponentReturns if self.took > BACK => {
                Some(format!("the component was ready after {:.1} s", self.took))
            }
            Guarantee::FewFailures if self.failed > 2 * self.broken => Some(format!(
                "{} failed, but only {} to the pods were open",
                some(self.failed, "request"),
                some(self.broken, "connection")
            )),
            Guarantee::FewFailures => self.stayed_low(FULL_AGAIN),
            Guarantee::NodeIsLost { connections, .. }
                if self.failed > 2 * u64::from(connections) * self.events as u64 =>
            {
                Some(format!("{} failed, more than two for each connection", some(self.failed, "request")))
            }
            Guarantee::NodeIsLost { .. } if self.elsewhere > 0 => {
                Some(format!("{} failed on other nodes", some(self.elsewhere, "request")))
            }
            Guarantee::ComponentReturns | Guarantee::NodeIsLost { loss: NodeLoss::CutOff, .. } if self.restarts > 0 => {
                Some(format!("{} of pods", some(self.restarts, "restart")))
            }
            Guarantee::NodeIsLost { loss, .. } => self.stayed_low(loss.full_again()),
            Guarantee::SomeFailure if self.failed == 0 => Some("no request failed".into()),
            _ => None,
        }
    }

    fn stayed_low(&self, limit: f64) -> Option<String> {
        match self.full_again {
            Some(seconds) if seconds <= limit => None,
            Some(seconds) => Some(format!("throughput was full again after {seconds:.1} s")),
            None => Some("throughput was not full again".into()),
        }
    }
}

fn restarts(runs: &[Measurement]) -> u32 {
    runs.iter().flat_map(|run| &run.pod_use).filter_map(|pod| pod.restarts).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_take_turns_and_images_alternate() {
        let promises = of_pods(Replicas::of::<2>(), Replicas::of::<10>(), Some(["b:2".into(), "a:1".into()]));
        let events = |rounds_now, made| -> Vec<Action> {
            rounds(&promises, rounds_now, made).into_iter().map(|event| event.action).collect()
        };
        assert_eq!(events(2, 0).len(), 10);
        assert_eq!(events(1, 0)[3], Action::NewImage("b:2".into()));
        assert_eq!(events(1, 1)[3], Action::NewImage("a:1".into()));
        assert!(promises[0].owns("scale to 10 pods") && !promises[0].owns("rolling restart"));
        assert_eq!((promises[0].name.as_str(), promises[0].events_a_round()), ("scale 2 → 10 → 2", 2));
    }

    #[test]
    fn rounds_drain_another_node_each_and_kill_every_proxy() {
        let nodes = ["lab-0".to_owned(), "lab-1".to_owned()];
        let said = |promise: Promise, rounds_now| -> Vec<String> {
            rounds(&[promise], rounds_now, 0).iter().map(|event| event.action.to_string()).collect()
        };
        let drain = |node: &str| format!("drain {node}, and uncordon it after 1 s");
        let restart = || "rolling restart".to_owned();
        let thrice = [drain("lab-0"), restart(), drain("lab-1"), restart(), drain("lab-0"), restart()];
        assert_eq!(said(super::drain(&nodes), 3), thrice);
        assert_eq!(said(kill_proxies(&nodes), 1), ["kill kube-proxy on lab-0", "kill kube-proxy on lab-1"]);
    }

    #[test]
    fn a_promise_is_broken_only_by_its_own_guarantee() {
        let observed = Observation { events: 3, requests: 9, full_again: Some(1.5), ..Observation::default() };
        for guarantee in [Guarantee::NoFailure, Guarantee::ComponentReturns, Guarantee::FewFailures] {
            assert_eq!(observed.broke(guarantee), None);
        }
        assert!(observed.broke(Guarantee::SomeFailure).is_some());
        let failed = Observation { failed: 4, broken: 2, ..observed };
        assert!(failed.broke(Guarantee::NoFailure).is_some() && failed.broke(Guarantee::ComponentReturns).is_some());
        assert_eq!((failed.broke(Guarantee::FewFailures), failed.broke(Guarantee::SomeFailure)), (None, None));
        assert!(Observation { failed: 5, ..failed }.broke(Guarantee::FewFailures).is_some());
        for full_again in [Some(1.6), None] {
            assert!(Observation { full_again, ..observed }.broke(Guarantee::FewFailures).is_some());
        }
        assert!(Observation { took: 5.1, ..observed }.broke(Guarantee::ComponentReturns).is_some());
        assert!(Observation { restarts: 1, ..observed }.broke(Guarantee::ComponentReturns).is_some());
        let lost = Guarantee::NodeIsLost { connections: 2, loss: NodeLoss::CutOff };
        let dead = Observation { failed: 12, full_again: Some(11.0), ..observed };
        assert_eq!(dead.broke(lost), None);
        for worse in [
            Observation { failed: 13, ..dead },
            Observation { elsewhere: 1, ..dead },
            Observation { restarts: 1, ..dead },
            Observation { full_again: Some(22.6), ..dead },
        ] {
            assert!(worse.broke(lost).is_some(), "{worse:?}");
        }
        let restarted = Observation { restarts: 1, ..dead };
        let killed = Guarantee::NodeIsLost { connections: 2, loss: NodeLoss::Killed };
        assert_eq!(restarted.broke(killed), None);
        assert!(Observation { full_again: Some(12.6), ..dead }.broke(killed).is_some());
        for guarantee in [Guarantee::NoFailure, Guarantee::SomeFailure] {
            assert!(Observation { unfinished: 1, failed: 1, ..observed }.broke(guarantee).is_some());
            assert!(Observation::default().broke(guarantee).is_some());
        }
    }
}
