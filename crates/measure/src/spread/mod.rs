//! Spread: how requests and connections are distributed over pods, and whether that is to be expected of chance. See
//! docs/spread.md.

mod chance;
mod choice;
mod crossing;
mod evenness;
mod nodes;
mod occupancy;
mod pairs;
mod policy;
mod sentence;
mod squares;
mod tracked;
mod uniformity;

use serde::{Deserialize, Serialize};

pub use chance::{Band, Chance};
pub use crossing::Crossing;
pub use evenness::Evenness;
pub use nodes::{NodeShare, ZoneShare};
pub use policy::Policy;
pub use sentence::sentence;
pub use tracked::CountedBy;
pub use uniformity::Uniformity;

use super::PodLoad;

/// The part of one pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodShare {
    /// Its name.
    pub name: String,
    /// Requests it answered.
    pub requests: u64,
    /// Connections that led to it.
    pub connections: u64,
    /// Its part of all requests whose response named a pod, 0 to 1.
    pub share: f64,
    /// How many connections a random choice gives this pod, where the number of pods is known. The bands of several
    /// pods are not simultaneous.
    #[serde(default)]
    pub expected_connections: Option<Band>,
    /// How often its containers were restarted during the run, where that is known.
    #[serde(default)]
    pub restarts: Option<u32>,
    /// How long its responses took; `None` from the 513th pod on.
    #[serde(default)]
    pub latency_us: Option<PodLatency>,
    /// The node on which it runs, where that is known and there is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The zone of that node, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The share of the connections that it should have, 0 to 1, where that is known and there is more than one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_share: Option<f64>,
}

/// How long the responses of a pod took, in microseconds, with an error of at most 1%.
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
    /// A proxy between the Service and the pods that answered.
    Proxy,
    /// Not known.
    #[default]
    Unknown,
}

/// How a run is distributed over pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The pods that answered, or to which connections led, the busiest first.
    pub pods: Vec<PodShare>,
    /// How the pod of a connection was found. If it was not by responses, the requests of the pods are 0, because they
    /// are not known.
    #[serde(default)]
    pub counted_by: CountedBy,
    /// Connections of the run whose pod could not be found.
    #[serde(default)]
    pub uncounted: u64,
    /// Requests whose response named no pod.
    pub unnamed: u64,
    /// Connections that led to the named pods.
    pub connections: u64,
    /// The most requests that were in flight at the same time on each connection over HTTP/2, summed; 0 without HTTP/2.
    #[serde(default)]
    pub streams: u64,
    /// Connections whose responses came from more than one pod. Each counts for the pod of its first response.
    #[serde(default)]
    pub mixed_connections: u64,
    /// The number of pods: the replicas if they are known, but at least those that answered.
    pub expected: u32,
    /// Of those, how many never answered.
    pub idle: u32,
    /// The share of the busiest pod divided by the even share; 1 is even, 0 if no pod is known.
    pub busiest: f64,
    /// Who chose the pods.
    #[serde(default)]
    pub balancer: Balancer,
    /// The policies of the Service that decided between which pods kube-proxy chose, where they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    /// The nodes, by zone and name, if there is more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeShare>,
    /// The zones, if there is more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<ZoneShare>,
    /// How many connections were sent on to another node or zone, where that is known and there is more than one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crossing: Option<Crossing>,
    /// How even the requests are, over all expected pods.
    #[serde(default)]
    pub evenness_of_requests: Option<Evenness>,
    /// How even the connections are, over all expected pods.
    #[serde(default)]
    pub evenness_of_connections: Option<Evenness>,
    /// Whether the connections are distributed as by a random choice, which is uniform unless pods have their own expected
    /// shares; only if there were as many pods as replicas.
    #[serde(default)]
    pub uniformity: Option<Uniformity>,
    /// What a random choice of as many connections over as many pods gives on average.
    #[serde(default)]
    pub chance: Option<Chance>,
}

impl Spread {
    /// The spread over `pods` out of `replicas`. If the replicas are known, kube-proxy is taken for the balancer;
    /// [`Spread::chosen_by`] changes that.
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
        // If pods were added or removed, or their number is not known, the probabilities are not known either.
        let steady = replicas == Some(expected);
        let chance = if steady && answered > 0 { Chance::new(landed, expected) } else { None };
        let share = |requests: u64| if total == 0 { 0.0 } else { requests as f64 / total as f64 };
        let pod_share = |pod: &PodLoad| PodShare {
            name: pod.name.clone(),
            requests: pod.requests,
            connections: pod.connections,
            share: share(pod.requests),
            expected_connections: chance.and_then(|chance| chance.pod),
            restarts: None,
            latency_us: pod.latency,
            node: None,
            zone: None,
            expected_share: None,
        };
        let evenness_of_requests = Evenness::of(&requests, expected);
        Self {
            pods: named.iter().map(|pod| pod_share(pod)).collect(),
            counted_by: CountedBy::Answers,
            uncounted: 0,
            unnamed: pods.iter().map(|pod| pod.requests).sum::<u64>() - total,
            connections: landed,
            streams: 0,
            mixed_connections: 0,
            expected,
            idle: expected - answered,
            busiest: evenness_of_requests.map_or(0.0, |evenness| evenness.busiest),
            balancer: if replicas.is_some() { Balancer::KubeProxy } else { Balancer::Unknown },
            policies: Vec::new(),
            nodes: Vec::new(),
            zones: Vec::new(),
            crossing: None,
            evenness_of_requests,
            evenness_of_connections: Evenness::of(&connections, expected),
            uniformity: if steady { Uniformity::of(&connections, expected) } else { None },
            chance,
        }
    }

    /// The same with another balancer than kube-proxy. A client or a proxy need not choose at random, so nothing is said
    /// of chance then.
    #[must_use]
    pub fn chosen_by(mut self, balancer: Balancer) -> Self {
        self.balancer = balancer;
        if matches!(balancer, Balancer::Client | Balancer::Proxy) { self.of_changing_pods() } else { self }
    }

    /// The same over HTTP/2 with so many streams, if there are any, and with so many connections that led to more than one
    /// pod. Then a proxy chose the pods of requests, and nothing is said of the chance that connections have.
    #[must_use]
    pub fn over(mut self, streams: u64, mixed_connections: u64) -> Self {
        (self.streams, self.mixed_connections) = (streams, mixed_connections);
        if mixed_connections > 0 { self.of_changing_pods() } else { self }
    }

    /// The same as one of `tests` runs of an invocation that are tested for a uniform choice.
    #[must_use]
    pub fn as_one_of(mut self, tests: u32) -> Self {
        if let Some(uniformity) = &mut self.uniformity {
            uniformity.tests = tests;
        }
        self
    }

    /// The same without what to expect of a uniform choice, because pods were added or removed, or the choice was not
    /// random.
    #[must_use]
    pub fn of_changing_pods(mut self) -> Self {
        (self.uniformity, self.chance) = (None, None);
        for pod in &mut self.pods {
            (pod.expected_connections, pod.expected_share) = (None, None);
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
        assert_eq!(known.pods[1].expected_connections, known.chance.unwrap().pod);
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
