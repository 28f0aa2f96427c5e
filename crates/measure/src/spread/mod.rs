//! Spread: how requests and connections fell on pods, and whether that is what chance would do. See docs/spread.md.

mod chance;
mod evenness;
mod occupancy;
mod pairs;
mod sentence;
mod tracked;
mod uniformity;

use serde::{Deserialize, Serialize};

pub use chance::{Band, Chance};
pub use evenness::Evenness;
pub use sentence::sentence;
pub use tracked::CountedBy;
pub use uniformity::Uniformity;

use super::PodLoad;

/// What fell on one pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodShare {
    /// Its name.
    pub name: String,
    /// Requests it answered.
    pub requests: u64,
    /// Connections that led to it.
    pub connections: u64,
    /// Its part of all requests that named a pod, 0 to 1.
    pub share: f64,
    /// How many connections a uniform choice gives a pod, where the number of pods is known.
    #[serde(default)]
    pub expected_connections: Option<Band>,
    /// How often its containers were restarted during the run, where that is known.
    #[serde(default)]
    pub restarts: Option<u32>,
    /// How long its answers took; none of the 513th pod and those after.
    #[serde(default)]
    pub latency_us: Option<PodLatency>,
}

/// How long a pod's answers took, in microseconds, each at most 1% off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodLatency {
    /// Half of them.
    pub p50: u64,
    /// 99% of them.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

/// Who chose the pod of each connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balancer {
    /// kube-proxy, for a Service of the lab.
    KubeProxy,
    /// The client, which knew the pods.
    Client,
    /// Nobody knows.
    #[default]
    Unknown,
}

/// How a run fell on pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The pods that answered, or to which connections led, the busiest first.
    pub pods: Vec<PodShare>,
    /// What told which pod a connection led to. Where it was not the answers, the pods' requests are 0, for they are not
    /// known.
    #[serde(default)]
    pub counted_by: CountedBy,
    /// Connections of the run of which nobody could tell any more where they led.
    #[serde(default)]
    pub uncounted: u64,
    /// Requests whose answer named no pod.
    pub unnamed: u64,
    /// Connections that led to the named pods.
    pub connections: u64,
    /// Pods that should have taken part: the replicas where they are known, at least those that answered.
    pub expected: u32,
    /// Of those, how many never answered.
    pub idle: u32,
    /// The busiest pod's share divided by the even one; 1 is perfect, 0 where no pod is known.
    pub busiest: f64,
    /// Who chose the pods.
    #[serde(default)]
    pub balancer: Balancer,
    /// How even the requests fell, over all expected pods.
    #[serde(default)]
    pub evenness_of_requests: Option<Evenness>,
    /// How even the connections fell, over all expected pods.
    #[serde(default)]
    pub evenness_of_connections: Option<Evenness>,
    /// Whether the connections fell as a uniform choice lets them; only where the pods were as many as the replicas.
    #[serde(default)]
    pub uniformity: Option<Uniformity>,
    /// What a uniform choice of as many connections over as many pods gives on average.
    #[serde(default)]
    pub chance: Option<Chance>,
}

impl Spread {
    /// The spread over the pods that answered, of `replicas` that were there to. Where those are known, it is kube-proxy
    /// that chose; [`Spread::chosen_by`] says otherwise.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    pub fn new(pods: &[PodLoad], replicas: Option<u32>) -> Self {
        let mut named: Vec<&PodLoad> = pods.iter().filter(|pod| !pod.name.is_empty()).collect();
        named.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.name.cmp(&b.name)));
        let requests: Vec<u64> = named.iter().map(|pod| pod.requests).collect();
        let connections: Vec<u64> = named.iter().map(|pod| pod.connections).collect();
        let (total, landed) = (requests.iter().sum::<u64>(), connections.iter().sum::<u64>());
        let answered = u32::try_from(named.len()).unwrap_or(u32::MAX);
        let expected = replicas.unwrap_or(0).max(answered);
        // Where pods came and went, or nobody knows how many there were, no connection's chances are known.
        let steady = replicas == Some(expected);
        let chance = if steady && answered > 0 { Chance::new(landed, expected) } else { None };
        let share = |requests: u64| if total == 0 { 0.0 } else { requests as f64 / total as f64 };
        let pod_share = |pod: &PodLoad| PodShare {
            name: pod.name.clone(),
            requests: pod.requests,
            connections: pod.connections,
            share: share(pod.requests),
            expected_connections: chance.map(|chance| chance.pod),
            restarts: None,
            latency_us: pod.latency,
        };
        let evenness_of_requests = Evenness::of(&requests, expected);
        Self {
            pods: named.iter().map(|pod| pod_share(pod)).collect(),
            counted_by: CountedBy::Answers,
            uncounted: 0,
            unnamed: pods.iter().map(|pod| pod.requests).sum::<u64>() - total,
            connections: landed,
            expected,
            idle: expected - answered,
            busiest: evenness_of_requests.map_or(0.0, |evenness| evenness.busiest),
            balancer: if replicas.is_some() { Balancer::KubeProxy } else { Balancer::Unknown },
            evenness_of_requests,
            evenness_of_connections: Evenness::of(&connections, expected),
            uniformity: if steady { Uniformity::of(&connections, expected) } else { None },
            chance,
        }
    }

    /// The same, where another than kube-proxy chose the pods. A client chooses by what is under way, so nothing is said of
    /// chance then.
    #[must_use]
    pub fn chosen_by(mut self, balancer: Balancer) -> Self {
        self.balancer = balancer;
        if balancer == Balancer::Client { self.of_changing_pods() } else { self }
    }

    /// The same as one of `tests` runs of an invocation that are tested for a uniform choice.
    #[must_use]
    pub fn as_one_of(mut self, tests: u32) -> Self {
        if let Some(uniformity) = &mut self.uniformity {
            uniformity.tests = tests;
        }
        self
    }

    /// The same where pods came or went meanwhile, or nobody chose by chance: what a uniform choice would have done is not
    /// known.
    #[must_use]
    pub fn of_changing_pods(mut self) -> Self {
        (self.uniformity, self.chance) = (None, None);
        for pod in &mut self.pods {
            pod.expected_connections = None;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, requests: u64, connections: u64) -> PodLoad {
        PodLoad { name: name.into(), requests, connections, ..PodLoad::default() }
    }

    #[test]
    fn the_busiest_comes_first_and_is_compared_with_the_even_share() {
        let spread = Spread::new(&[pod("a", 100, 1), pod("b", 300, 3), pod("", 7, 1)], Some(4));
        assert_eq!(spread.pods.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!((spread.expected, spread.idle, spread.unnamed, spread.connections), (4, 2, 7, 4));
        assert!((spread.busiest - 3.0).abs() < 1e-9 && (spread.pods[0].share - 0.75).abs() < 1e-9);
    }

    #[test]
    fn without_replicas_no_pod_is_missed() {
        let spread = Spread::new(&[pod("a", 5, 1), pod("b", 5, 1)], None);
        assert_eq!((spread.expected, spread.idle), (2, 0));
        assert!((spread.busiest - 1.0).abs() < 1e-9);
    }

    #[test]
    fn more_pods_than_replicas_are_all_counted() {
        assert_eq!(Spread::new(&[pod("a", 5, 1), pod("b", 5, 1)], Some(1)).expected, 2);
    }

    #[test]
    fn nothing_answered() {
        let spread = Spread::new(&[], Some(3));
        assert_eq!((spread.idle, spread.busiest), (3, 0.0));
    }

    #[test]
    fn chance_is_told_where_the_pods_are_known() {
        let pods = [pod("a", 100, 20), pod("b", 100, 10)];
        let known = Spread::new(&pods, Some(3));
        assert_eq!(known.pods[1].expected_connections, Some(known.chance.unwrap().pod));
        assert_eq!(known.uniformity.unwrap().degrees_of_freedom, 2);
        assert!((known.evenness_of_connections.unwrap().busiest - 2.0).abs() < 1e-9);
        assert!((known.evenness_of_requests.unwrap().busiest - 1.5).abs() < 1e-9);
        for replicas in [None, Some(1)] {
            let unknown = Spread::new(&pods, replicas);
            assert_eq!((unknown.chance, unknown.uniformity, unknown.pods[0].expected_connections), (None, None, None));
        }
    }

    #[test]
    fn a_client_that_chooses_leaves_nothing_to_chance() {
        let spread = Spread::new(&[pod("a", 100, 20), pod("b", 100, 10)], Some(2)).chosen_by(Balancer::Client);
        assert_eq!((spread.chance, spread.uniformity, spread.pods[0].expected_connections), (None, None, None));
        assert!(spread.evenness_of_requests.is_some());
    }

    #[test]
    fn an_older_report_can_be_read() {
        let older = r#"{"pods": [{"name": "a", "requests": 5, "connections": 1, "share": 1.0}], "unnamed": 0,
            "connections": 1, "expected": 1, "idle": 0, "busiest": 1.0}"#;
        let spread: Spread = serde_json::from_str(older).unwrap();
        assert_eq!((spread.balancer, spread.chance, spread.pods[0].restarts), (Balancer::Unknown, None, None));
    }
}
