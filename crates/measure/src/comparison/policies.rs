//! What the external traffic policies of a comparison cost, and which of them show the client's address to the pods.

use super::ConfigurationSummary;
use super::configuration::Naming;
use crate::{ClientAddress, Mode, client_address_words};

/// What else than the rates and latencies differs between external traffic policies, one sentence each: "A request took 31
/// µs of the pods' processor time with local, 35 µs with cluster." and "On its way to the pods, the client's address was
/// kept with local; replaced by the node's with cluster." Empty where no policies are compared.
#[must_use]
pub fn policy_sentences(cases: &[ConfigurationSummary]) -> Vec<String> {
    let naming = Naming::of(cases.iter().map(|case| case.configuration.clone()));
    let compares = cases.iter().any(|case| case.configuration.traffic_policy.is_some());
    let named: Vec<(String, &ConfigurationSummary)> = if compares {
        cases.iter().filter_map(|case| Some((naming.way(&case.configuration)?, case))).collect()
    } else {
        Vec::new()
    };
    processor_time(&named).into_iter().chain(client_address(&named)).collect()
}

fn processor_time(cases: &[(String, &ConfigurationSummary)]) -> Option<String> {
    let known = cases.iter().filter_map(|(way, case)| Some((way, case.pod_cpu_us?)));
    let mut parts: Vec<String> = known.map(|(way, micros)| format!("{micros:.1} µs with {way}")).collect();
    let first = parts.first_mut()?;
    *first = first.replacen("µs", "µs of the pods' processor time", 1);
    Some(format!("A request took {}.", parts.join(", ")))
}

fn client_address(cases: &[(String, &ConfigurationSummary)]) -> Option<String> {
    let order = [Some(ClientAddress::Kept), Some(ClientAddress::Replaced), Some(ClientAddress::Both), None];
    // A client that chooses the pods connects to them itself.
    let by_service = || cases.iter().filter(|(_, case)| !case.configuration.mode.is_some_and(Mode::is_by_client));
    let parts = order.into_iter().filter_map(|seen| {
        let ways: Vec<&str> =
            by_service().filter(|(_, case)| case.client_address == seen).map(|(way, _)| way.as_str()).collect();
        (!ways.is_empty()).then(|| format!("{} with {}", client_address_words(seen), ways.join(", ")))
    });
    let parts: Vec<String> = parts.collect();
    let proxied = cases.iter().any(|(_, case)| case.proxy_cpu_us.is_some());
    let pods =
        if proxied { "the pods of its Service, which are those of the proxy where there is one" } else { "the pods" };
    (!parts.is_empty()).then(|| format!("On its way to {pods}, the client's address was {}.", parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::super::compare;
    use super::*;
    use crate::sample::run;
    use crate::{Measurement, PodUse, TrafficPolicy};

    fn under(policy: Option<TrafficPolicy>, seen: Option<ClientAddress>, cpu_seconds: Option<f64>) -> Measurement {
        let run = run(2, 100.0).with_policy(policy).with_client_address(seen);
        run.with_pod_use(vec![PodUse { name: "server-0".into(), cpu_seconds, ..PodUse::default() }])
    }

    const LOCAL: Option<TrafficPolicy> = Some(TrafficPolicy::Local);
    const CLUSTER: Option<TrafficPolicy> = Some(TrafficPolicy::Cluster);

    #[test]
    fn policies_differ_in_processor_time_and_the_clients_address() {
        use ClientAddress::{Kept, Replaced};
        let mut client = run(2, 100.0);
        client.mode = Some(Mode::Client);
        let runs = [
            under(None, Some(Kept), Some(0.06)),
            under(LOCAL, Some(Kept), Some(0.062)),
            under(CLUSTER, Some(Replaced), Some(0.07)),
            client,
        ];
        assert_eq!(
            policy_sentences(&compare(&runs)),
            [
                "A request took 30.0 µs of the pods' processor time with keepalive, 31.0 µs with local, 35.0 µs with \
                 cluster.",
                "On its way to the pods, the client's address was kept with keepalive, local; replaced by the node's \
                 with cluster.",
            ]
        );
    }

    #[test]
    fn what_was_not_seen_is_unknown() {
        let runs = [under(LOCAL, None, None), under(CLUSTER, None, None)];
        let said = "On its way to the pods, the client's address was unknown with local, cluster.";
        assert_eq!(policy_sentences(&compare(&runs)), [said]);
        let mut proxied = runs;
        proxied[1].proxy_use = vec![PodUse { cpu_seconds: Some(1.0), ..PodUse::default() }];
        assert!(policy_sentences(&compare(&proxied))[0].contains("those of the proxy"));
    }

    #[test]
    fn nothing_is_said_where_no_policies_are_compared() {
        let runs = [under(None, None, Some(1.0)), run(5, 1.0)];
        assert_eq!(policy_sentences(&compare(&runs)), [""; 0]);
    }
}
