//! Spread: how requests and connections fell on pods.

use serde::{Deserialize, Serialize};

use crate::load::Pod;

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
}

/// How a run fell on pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The pods that answered, the busiest first.
    pub pods: Vec<PodShare>,
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
}

impl Spread {
    /// The spread over the pods that answered, of `replicas` that were there to.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    pub fn new(pods: &[Pod], replicas: Option<u32>) -> Self {
        let named = || pods.iter().filter(|pod| !pod.name.is_empty());
        let total: u64 = named().map(|pod| pod.requests).sum();
        let share = |requests: u64| if total == 0 { 0.0 } else { requests as f64 / total as f64 };
        let mut shares: Vec<PodShare> = named()
            .map(|pod| PodShare {
                name: pod.name.clone(),
                requests: pod.requests,
                connections: pod.connections,
                share: share(pod.requests),
            })
            .collect();
        shares.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.name.cmp(&b.name)));
        let answered = u32::try_from(shares.len()).unwrap_or(u32::MAX);
        let expected = replicas.unwrap_or(0).max(answered);
        Self {
            unnamed: pods.iter().map(|pod| pod.requests).sum::<u64>() - total,
            connections: shares.iter().map(|pod| pod.connections).sum(),
            expected,
            idle: expected - answered,
            busiest: shares.first().map_or(0.0, |pod| pod.share * f64::from(expected)),
            pods: shares,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, requests: u64, connections: u64) -> Pod {
        Pod { name: name.into(), requests, connections }
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
}
