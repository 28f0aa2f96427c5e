//! A spread where responses name no pod: the node's connection tracking tells the pods of connections.

use serde::{Deserialize, Serialize};

use super::{Balancer, Spread};
use crate::PodLoad;

/// How the pod of a connection was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountedBy {
    /// By responses, which name their pod.
    #[default]
    Answers,
    /// By the node's connection tracking, which does not see requests.
    Conntrack,
    /// In the same way, for connections whose requests the load generator counted one by one.
    Connections,
}

impl Spread {
    /// The spread of the connections that the node's connection tracking found on each pod, of `opened` in all, if no
    /// response named its pod. The number of requests of each pod is then not known.
    #[must_use]
    pub fn counted_by_conntrack(self, found: &[(String, u64)], opened: u64) -> Self {
        if !self.pods.is_empty() || found.is_empty() {
            return self;
        }
        let pod = |(name, connections): &(String, u64)| PodLoad {
            name: name.clone(),
            connections: *connections,
            ..PodLoad::default()
        };
        let mut pods: Vec<PodLoad> = found.iter().map(pod).collect();
        pods.sort_by(|a, b| b.connections.cmp(&a.connections).then_with(|| a.name.cmp(&b.name)));
        let replicas = (self.balancer != Balancer::Unknown).then_some(self.expected);
        let mut counted = Self::new(&pods, replicas);
        counted.pods.sort_by(|a, b| b.connections.cmp(&a.connections).then_with(|| a.name.cmp(&b.name)));
        Self {
            counted_by: CountedBy::Conntrack,
            unnamed: self.unnamed,
            uncounted: opened.saturating_sub(counted.connections),
            evenness_of_requests: None,
            busiest: 0.0,
            ..counted
        }
    }

    /// The same, where the pods have the requests of their connections.
    #[must_use]
    pub fn counted_by_connection(self) -> Self {
        Self { counted_by: CountedBy::Connections, ..self }
    }

    /// Whether it is known how many requests each pod answered.
    #[must_use]
    pub fn knows_requests(&self) -> bool {
        !self.pods.is_empty() && self.counted_by != CountedBy::Conntrack
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sentence;

    fn unnamed(requests: u64, replicas: Option<u32>) -> Spread {
        Spread::new(&[PodLoad { requests, connections: 30, ..PodLoad::default() }], replicas)
    }

    fn found(connections: &[u64]) -> Vec<(String, u64)> {
        connections.iter().enumerate().map(|(at, count)| (format!("server-{at}"), *count)).collect()
    }

    #[test]
    fn connections_are_known_and_requests_are_not() {
        let spread = unnamed(9_000, Some(3)).counted_by_conntrack(&found(&[12, 18]), 30);
        let pods: Vec<_> = spread.pods.iter().map(|pod| (pod.name.as_str(), pod.connections, pod.requests)).collect();
        assert_eq!(pods, [("server-1", 18, 0), ("server-0", 12, 0)]);
        assert_eq!((spread.connections, spread.uncounted, spread.unnamed), (30, 0, 9_000));
        assert_eq!((spread.expected, spread.idle), (3, 1));
        assert!(!spread.knows_requests() && spread.evenness_of_requests.is_none());
        let connections = spread.evenness_of_connections.unwrap();
        assert!((connections.busiest - 1.8).abs() < 1e-9);
        // Of 30 on three pods chance gives each 10: (2² + 8² + 10²) / 10.
        assert!((spread.uniformity.unwrap().chi_square - 16.8).abs() < 1e-9);
        assert_eq!(
            sentence(&spread),
            "30 connections landed on 2 of 3 pods, counted by the node's connection tracking, because this image does not \
             name its pod; the busiest has 1.80 × its share; kube-proxy's own choice does not look uniform (p = 0.00019)."
        );
    }

    #[test]
    fn requests_are_known_where_they_were_counted_by_connection() {
        let pod = |name: &str, requests| PodLoad { name: name.into(), requests, connections: 15, ..PodLoad::default() };
        let spread = Spread::new(&[pod("a", 6_000), pod("b", 3_000), pod("", 1_000)], Some(2)).counted_by_connection();
        assert!(spread.knows_requests() && spread.evenness_of_requests.is_some());
        assert_eq!(
            sentence(&spread),
            "30 keep-alive connections landed evenly on both pods, 15 each, as the node's connection tracking says, because \
             this image does not name its pod; the busiest served 1.33 × its share; kube-proxy's own choice looks uniform \
             (p > 0.99); the pod of 1,000 responses is not known."
        );
    }

    #[test]
    fn connections_that_the_node_forgot_are_told() {
        let spread = unnamed(90_000, Some(2)).counted_by_conntrack(&found(&[14_000, 14_000]), 90_000);
        assert_eq!(spread.uncounted, 62_000);
        assert!(sentence(&spread).contains("62,000 more connections could not be counted"), "{}", sentence(&spread));
    }

    #[test]
    fn names_in_answers_are_worth_more() {
        let named = PodLoad { name: "a".into(), requests: 5, connections: 1, ..PodLoad::default() };
        let spread = Spread::new(&[named], Some(2));
        assert_eq!(spread.clone().counted_by_conntrack(&found(&[1]), 1), spread);
        assert_eq!(unnamed(5, Some(2)).counted_by_conntrack(&[], 1), unnamed(5, Some(2)));
    }
}
