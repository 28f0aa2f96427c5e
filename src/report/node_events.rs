//! Nodes that events acted on: when Kubernetes and the load balancer noticed.

use super::number::count;
use super::pods::some;
use evenkeel_measure::{Event, Gap, NodeEffect};

/// "drain lab-1: 4 pods were evicted; the Service had no endpoint there from 0.1 s on." `None` if nothing is known.
pub(super) fn told(event: &Event) -> Option<String> {
    let node = event.node.as_ref()?;
    let said: Vec<String> = [
        node.evicted_pods.map(evicted),
        gap(&format!("{} was not Ready", node.node), node.not_ready),
        gap(&format!("the Service had no endpoint on {}", node.node), node.no_endpoints),
        gap(&format!("the router sent no new connection to {}", node.node), node.no_route),
        failed(event, node),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!said.is_empty()).then(|| format!("{}: {}.", event.what, said.join("; ")))
}

fn evicted(pods: u64) -> String {
    let were = if pods == 1 { "was" } else { "were" };
    format!("{} {were} evicted", some(pods, "pod"))
}

/// How many of the failures were on the node's pods, among those whose pod is known.
fn failed(event: &Event, node: &NodeEffect) -> Option<String> {
    let kinds = event.impact.iter().flat_map(|impact| &impact.kinds);
    let known: u64 = kinds.filter(|kind| kind.pod.is_some()).map(|kind| kind.count).sum();
    (known > 0).then_some(())?;
    Some(format!(
        "of {} on connections to known pods, {} were to its pods",
        some(known, "failure"),
        count(node.failures?)
    ))
}

fn gap(what: &str, gap: Gap) -> Option<String> {
    let from = gap.from_seconds?;
    Some(match gap.to_seconds {
        Some(to) => format!("{what} from {from:.1} s to {to:.1} s"),
        None => format!("{what} from {from:.1} s on"),
    })
}

/// An event with everything that can be known of its node.
#[cfg(test)]
pub(super) fn sample() -> Event {
    use evenkeel_measure::{FailureKind, Impact};

    let gap = |from, to| Gap { from_seconds: Some(from), to_seconds: to };
    Event {
        second: 2.0,
        what: "drain lab-1, and uncordon it after 10 s".into(),
        over_second: Some(15.5),
        node: Some(NodeEffect {
            node: "lab-1".into(),
            evicted_pods: Some(4),
            not_ready: gap(8.25, Some(12.0)),
            no_endpoints: gap(0.11, None),
            no_route: gap(0.3, None),
            pods: vec!["server-a".into(), "server-b".into()],
            failures: Some(7),
        }),
        impact: Some(Impact {
            failures: 12,
            kinds: vec![
                FailureKind { kind: "reset".into(), pod: Some("server-a".into()), count: 9 },
                FailureKind { kind: "refused".into(), pod: None, count: 3 },
            ],
            ..Impact::default()
        }),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_has_what_is_known_of_the_node() {
        let mut event = sample();
        let all = "drain lab-1, and uncordon it after 10 s: 4 pods were evicted; lab-1 was not Ready from 8.2 s to 12.0 s; \
                   the Service had no endpoint on lab-1 from 0.1 s on; the router sent no new connection to lab-1 from 0.3 s \
                   on; of 9 failures on connections to known pods, 7 were to its pods.";
        assert_eq!(told(&event).as_deref(), Some(all));
        event.node = Some(NodeEffect { node: "lab-1".into(), evicted_pods: Some(1), ..NodeEffect::default() });
        assert!(told(&event).unwrap().ends_with(": 1 pod was evicted."));
        event.node = Some(NodeEffect { node: "lab-1".into(), ..NodeEffect::default() });
        assert_eq!(told(&event), None, "a cordon changes nothing of this");
    }
}
