//! A spread in one sentence.

use super::uniformity::probability;
use super::{Balancer, CountedBy, Policy, Spread, Uniformity};
use crate::grouped_count;

/// Below this the busiest pod is not mentioned.
const NEARLY_EVEN: f64 = 1.05;

/// The spread in one sentence: "30 keep-alive connections landed on 9 of 10 pods; the busiest served 2.0 × its
/// share; kube-proxy's own choice looks uniform (p = 0.41)." Empty if nothing was answered.
#[must_use]
pub fn sentence(spread: &Spread) -> String {
    if spread.pods.is_empty() {
        return match spread.unnamed {
            0 => String::new(),
            _ => "No response named its pod, so the spread is not known.".to_owned(),
        };
    }
    let more = [busiest(spread), choice(spread), uncounted(spread), unnamed(spread)];
    let parts: Vec<String> = std::iter::once(landed(spread)).chain(more.into_iter().flatten()).collect();
    format!("{}{}.", by_connection(spread), parts.join("; "))
}

/// Whether the requests of a connection stayed together, with HTTP/2 and where a proxy divides them: "30 connections, 3,000
/// streams: all requests of a connection went to one pod. "
fn by_connection(spread: &Spread) -> String {
    if spread.connections == 0 || !spread.knows_requests() || (spread.streams == 0 && spread.mixed_connections == 0) {
        return String::new();
    }
    let streams = if spread.streams > 0 { format!(", {}", some(spread.streams, "stream")) } else { String::new() };
    let went = match spread.mixed_connections {
        0 => "all requests of a connection went to one pod".to_owned(),
        all if all >= spread.connections => "the requests of each connection went to several pods".to_owned(),
        mixed => format!("the requests of {} went to several pods", some(mixed, "connection")),
    };
    format!("{}{streams}: {went}. ", some(spread.connections, "connection"))
}

/// "30 connections".
fn some(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped_count(count), if count == 1 { "" } else { "s" })
}

/// "30 keep-alive connections landed on 9 of 10 pods".
fn landed(spread: &Spread) -> String {
    let hit = spread.pods.len();
    let on = match (spread.idle, hit) {
        (0, 1) => "the one pod".to_owned(),
        (0, 2) => "both pods".to_owned(),
        (0, hit) => format!("all {} pods", grouped_count(hit as u64)),
        (_, hit) => format!("{} of {} pods", grouped_count(hit as u64), grouped_count(spread.expected.into())),
    };
    let what = what(spread);
    let by = match spread.counted_by {
        CountedBy::Answers => "",
        CountedBy::Conntrack => ", counted by the node's connection tracking, because this image does not name its pod",
        CountedBy::Connections => ", as the node's connection tracking says, because this image does not name its pod",
    };
    match even(spread) {
        Some(each) => format!("{what} landed evenly on {on}, {each} each{by}"),
        None => format!("{what} landed on {on}{by}"),
    }
}

/// "30 keep-alive connections".
fn what(spread: &Spread) -> String {
    let requests = spread.pods.iter().map(|pod| pod.requests).fold(0, u64::saturating_add);
    match spread.connections {
        _ if spread.mixed_connections > 0 => some(requests, "request"),
        connections if !spread.knows_requests() => some(connections, "connection"),
        0 => some(requests, "request"),
        connections if requests == connections => {
            format!("{}, one for each request,", some(connections, "connection"))
        }
        connections if requests / 2 < connections => {
            format!("{}, about one for each request,", some(connections, "connection"))
        }
        connections => some(connections, "keep-alive connection"),
    }
}

/// "3" or "3 or 4", if the connections of the pods differ by one at most.
fn even(spread: &Spread) -> Option<String> {
    if spread.mixed_connections > 0 {
        return None;
    }
    let counts = || spread.pods.iter().map(|pod| pod.connections);
    let (least, most) = (counts().min()?, counts().max()?);
    if spread.expected < 2 || spread.idle > 0 || least == 0 || most - least > 1 {
        return None;
    }
    Some(if least == most {
        grouped_count(least)
    } else {
        format!("{} or {}", grouped_count(least), grouped_count(most))
    })
}

fn busiest(spread: &Spread) -> Option<String> {
    let (does, busiest) = if spread.knows_requests() {
        ("served", spread.busiest)
    } else {
        ("has", spread.evenness_of_connections?.busiest)
    };
    let told = spread.expected > 1 && (even(spread).is_none() || busiest >= NEARLY_EVEN);
    let times = |ratio: f64| format!("{ratio:.*} ×", if ratio < 1.995 { 2 } else { 1 });
    let expected = spread.chance.filter(|_| spread.has_unequal_shares()).map(|chance| times(chance.busiest));
    told.then(|| match expected {
        None => format!("the busiest {does} {} its share", times(busiest)),
        Some(expected) => format!(
            "the busiest {does} {} the even share, and {expected} are to be expected, because nodes have different \
             numbers of pods",
            times(busiest)
        ),
    })
}

/// Who chose the pods, and whether the choice looks uniform.
fn choice(spread: &Spread) -> Option<String> {
    match (spread.balancer, &spread.uniformity) {
        (Balancer::Client, _) if spread.expected > 1 => Some("the client itself chose the pods".to_owned()),
        (Balancer::Proxy, _) if spread.expected > 1 => Some("a proxy chose the pods".to_owned()),
        (Balancer::KubeProxy, Some(test)) => Some(at_random(spread, test)),
        (Balancer::KubeProxy, None) if spread.expected > 1 && spread.policies.contains(&Policy::ClientIpAffinity) => {
            Some(format!("kube-proxy sends all connections of a client to one pod{}", policies(spread)))
        }
        (Balancer::KubeProxy, None) if spread.expected > 1 && !spread.policies.is_empty() => {
            Some(format!("kube-proxy chose the pods{}", policies(spread)))
        }
        _ => None,
    }
}

/// " (externalTrafficPolicy: Local)"; empty if no policy is known.
fn policies(spread: &Spread) -> String {
    let policies: Vec<String> = spread.policies.iter().map(ToString::to_string).collect();
    if policies.is_empty() { String::new() } else { format!(" ({})", policies.join(", ")) }
}

/// The choice of kube-proxy, and of the router where it decides between which pods kube-proxy chooses.
fn at_random(spread: &Spread, test: &Uniformity) -> String {
    let by_router = spread.nodes.len() > 1 && spread.policies.contains(&Policy::ExternalLocal);
    let choice = if by_router { "the choice of the router and of kube-proxy" } else { "kube-proxy's own choice" };
    let uniform = if spread.has_unequal_shares() { "random" } else { "uniform" };
    let (finding, p) = if test.is_too_uneven() {
        (format!("does not look {uniform}"), test.p)
    } else if test.is_too_even() {
        (format!("is more even than a {uniform} choice"), test.p_of_evenness)
    } else {
        (format!("looks {uniform}"), test.p)
    };
    format!("{choice}{} {finding} (p {}{})", policies(spread), probability(p), correction(test))
}

/// What is corrected, where more than one run is tested.
fn correction(test: &Uniformity) -> String {
    if test.tests < 2 {
        return String::new();
    }
    let level = probability(test.significance_level());
    format!("; significant below {}, corrected for {} runs", level.trim_start_matches("= "), test.tests)
}

/// Connections that the node forgot before they could be counted.
fn uncounted(spread: &Spread) -> Option<String> {
    match spread.uncounted {
        0 => None,
        1 => Some("1 more connection could not be counted".to_owned()),
        many => Some(format!("{} more connections could not be counted", grouped_count(many))),
    }
}

fn unnamed(spread: &Spread) -> Option<String> {
    match spread.unnamed {
        0 => None,
        _ if spread.counted_by == CountedBy::Conntrack => None,
        many if spread.counted_by == CountedBy::Connections => {
            Some(format!("the pod of {} is not known", some(many, "response")))
        }
        1 => Some("1 response named no pod".to_owned()),
        many => Some(format!("{} responses named no pod", grouped_count(many))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PodLoad;

    /// A spread of these connections, each with a hundred requests.
    fn of(connections: &[u64], replicas: u32) -> Spread {
        of_requests(connections, |connections| connections * 100, replicas)
    }

    fn of_requests(connections: &[u64], requests: impl Fn(u64) -> u64, replicas: u32) -> Spread {
        let pod = |(at, &connections): (usize, &u64)| {
            let name = format!("server-{at}");
            PodLoad { name, requests: requests(connections), connections, ..PodLoad::default() }
        };
        Spread::new(&connections.iter().enumerate().map(pod).collect::<Vec<_>>(), Some(replicas))
    }

    #[test]
    fn a_proxy_is_named() {
        let said = sentence(&of(&[20, 10], 2).chosen_by(Balancer::Proxy));
        assert!(said.ends_with("; a proxy chose the pods.") && !said.contains("kube-proxy"), "{said}");
    }

    #[test]
    fn as_chance_has_it() {
        assert_eq!(
            sentence(&of(&[6, 5, 4, 4, 3, 3, 2, 2, 1], 10)),
            "30 keep-alive connections landed on 9 of 10 pods; the busiest served 2.0 × its share; kube-proxy's own \
             choice looks uniform (p = 0.37)."
        );
    }

    #[test]
    fn one_pod_needs_no_more_words() {
        assert_eq!(sentence(&of(&[30], 1)), "30 keep-alive connections landed on the one pod.");
        assert_eq!(sentence(&of(&[1], 1)), "1 keep-alive connection landed on the one pod.");
    }

    #[test]
    fn even_ones() {
        assert_eq!(
            sentence(&of(&[3; 10], 10)),
            "30 keep-alive connections landed evenly on all 10 pods, 3 each; kube-proxy's own choice is more even than a \
             uniform choice (p = 0.0000044)."
        );
        assert_eq!(
            sentence(&of(&[2, 1], 2)),
            "3 keep-alive connections landed evenly on both pods, 1 or 2 each; the busiest served 1.33 × its share; \
             kube-proxy's own choice looks uniform (p > 0.99)."
        );
    }

    #[test]
    fn no_accident() {
        assert_eq!(
            sentence(&of(&[30], 10)),
            "30 keep-alive connections landed on 1 of 10 pods; the busiest served 10.0 × its share; kube-proxy's own \
             choice does not look uniform (p < 0.000001)."
        );
    }

    #[test]
    fn policies_are_named_where_they_act() {
        let spread = of(&[20, 10], 2);
        assert_eq!(
            sentence(&spread.clone().under(&[Policy::ExternalLocal])),
            "30 keep-alive connections landed on both pods; the busiest served 1.33 × its share; kube-proxy's own choice \
             (externalTrafficPolicy: Local) looks uniform (p = 0.099)."
        );
        assert!(
            sentence(&spread.clone().under(&[Policy::ExternalLocal]).of_changing_pods())
                .ends_with("; kube-proxy chose the pods (externalTrafficPolicy: Local).")
        );
        assert!(!sentence(&spread.chosen_by(Balancer::Client).under(&[Policy::ExternalLocal])).contains("Policy"));
        assert_eq!(
            sentence(&of(&[30], 10).under(&[Policy::InternalCluster, Policy::ClientIpAffinity])),
            "30 keep-alive connections landed on 1 of 10 pods; the busiest served 10.0 × its share; kube-proxy sends all \
             connections of a client to one pod (internalTrafficPolicy: Cluster, sessionAffinity: ClientIP)."
        );
        assert_eq!(
            sentence(&of(&[30], 1).under(&[Policy::ClientIpAffinity])),
            "30 keep-alive connections landed on the one pod."
        );
    }

    #[test]
    fn without_keep_alive() {
        let each = of_requests(&[6_200, 6_145], |connections| connections, 2);
        assert_eq!(
            sentence(&each),
            "12,345 connections, one for each request, landed on both pods; the busiest served 1.00 × its share; \
             kube-proxy's own choice looks uniform (p = 0.62)."
        );
        let fewer = of_requests(&[6_200, 6_145], |connections| connections - 5, 2);
        assert!(sentence(&fewer).starts_with("12,345 connections, about one for each request, landed on both pods; "));
    }

    #[test]
    fn with_http_2() {
        assert_eq!(
            sentence(&of(&[30], 1).over(3_000, 0)),
            "30 connections, 3,000 streams: all requests of a connection went to one pod. 30 keep-alive connections landed \
             on the one pod."
        );
        assert_eq!(
            sentence(&of(&[20, 10], 2).over(30, 30)),
            "30 connections, 30 streams: the requests of each connection went to several pods. 3,000 requests landed on \
             both pods; the busiest served 1.33 × its share."
        );
    }

    #[test]
    fn through_a_proxy() {
        assert!(sentence(&of(&[20, 10], 2).over(0, 12)).starts_with(
            "30 connections: the requests of 12 connections went to several pods. 3,000 requests landed on both pods; "
        ));
        assert!(sentence(&of(&[30], 1).over(0, 0)).starts_with("30 keep-alive connections landed"));
    }

    #[test]
    fn balanced_by_the_client() {
        let spread = of(&[20, 10], 2).chosen_by(Balancer::Client);
        assert_eq!(
            sentence(&spread),
            "30 keep-alive connections landed on both pods; the busiest served 1.33 × its share; the client itself \
             chose the pods."
        );
    }

    #[test]
    fn where_the_number_of_pods_is_not_known_nothing_is_said_of_chance() {
        let pod =
            |name: &str, connections| PodLoad { name: name.into(), requests: 100, connections, ..PodLoad::default() };
        let spread = Spread::new(&[pod("a", 20), pod("b", 10)], None);
        assert_eq!(
            sentence(&spread),
            "30 keep-alive connections landed on both pods; the busiest served 1.00 × its share."
        );
    }

    #[test]
    fn not_named() {
        let unnamed = |requests| PodLoad { name: String::new(), requests, connections: 1, ..PodLoad::default() };
        assert_eq!(
            sentence(&Spread::new(&[unnamed(5)], Some(2))),
            "No response named its pod, so the spread is not known."
        );
        assert_eq!(sentence(&Spread::new(&[], Some(2))), "");
        let named = PodLoad { name: "a".into(), requests: 10, connections: 0, ..PodLoad::default() };
        assert_eq!(
            sentence(&Spread::new(&[named, unnamed(1_000)], Some(1))),
            "10 requests landed on the one pod; 1,000 responses named no pod."
        );
    }

    #[test]
    fn the_correction_for_several_runs_is_told_and_decides() {
        // p = 0.0046: significant in the only run of an invocation, but not in one of two.
        let spread = |tests| {
            let mut spread = of(&[12, 9, 6, 3], 5);
            spread.uniformity = spread.uniformity.map(|test| Uniformity { tests, ..test });
            spread
        };
        assert!(sentence(&spread(1)).ends_with("kube-proxy's own choice does not look uniform (p = 0.0046)."));
        assert_eq!(
            sentence(&spread(2)),
            "30 keep-alive connections landed on 4 of 5 pods; the busiest served 2.0 × its share; kube-proxy's own choice \
             looks uniform (p = 0.0046; significant below 0.0025, corrected for 2 runs)."
        );
    }
}
