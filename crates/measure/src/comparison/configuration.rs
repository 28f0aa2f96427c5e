//! What differs between runs, and the names that follow from it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Measurement, Mode, Protocol, TrafficPolicy, Way};

/// What the rounds of a comparison have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// How many pods, where that is known.
    pub replicas: Option<u32>,
    /// How requests reached them, where that is known.
    pub mode: Option<Mode>,
    /// What the requests were sent over.
    #[serde(default)]
    pub protocol: Protocol,
    /// The Service that they were sent to, as `namespace/name:port`, where that is known.
    #[serde(default)]
    pub service: Option<String>,
    /// The external traffic policy that the comparison set; `None`: the Service had its own.
    #[serde(default)]
    pub traffic_policy: Option<TrafficPolicy>,
}

impl Configuration {
    /// The configuration of a run.
    #[must_use]
    pub fn of(run: &Measurement) -> Self {
        // Runs over HTTP/2 had no protocol in older reports.
        let protocol = match run.protocol {
            Protocol::Http1 if run.http2.is_some() => Protocol::Http2,
            protocol => protocol,
        };
        let (service, traffic_policy) = (run.service.clone(), run.traffic_policy);
        Self { replicas: run.replicas, mode: run.mode, protocol, service, traffic_policy }
    }

    fn way(&self) -> Option<Way> {
        self.mode.map(|mode| Way { protocol: self.protocol, mode, policy: self.traffic_policy })
    }
}

/// How configurations are named: by what they differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a part of a name, which is there or not")]
pub struct Naming {
    /// Whether their protocols, modes or policies differ.
    pub ways: bool,
    /// Whether their protocols do.
    protocols: bool,
    /// Whether they are of different Services.
    pub services: bool,
    /// How much of their names is needed.
    part: ServicePart,
    /// Whether their numbers of pods differ.
    pub replicas: bool,
}

impl Naming {
    /// The names for these configurations.
    #[must_use]
    pub fn of(configurations: impl IntoIterator<Item = Configuration>) -> Self {
        let all: Vec<Configuration> = configurations.into_iter().collect();
        let differ = |same: fn(&Configuration, &Configuration) -> bool| all.iter().any(|one| !same(one, &all[0]));
        let services: BTreeSet<&str> = all.iter().filter_map(|one| one.service.as_deref()).collect();
        let protocols = differ(|a, b| a.protocol == b.protocol);
        Self {
            ways: protocols || differ(|a, b| (a.mode, a.traffic_policy) == (b.mode, b.traffic_policy)),
            protocols,
            services: differ(|a, b| a.service == b.service),
            part: ServicePart::that_differs(&services),
            replicas: differ(|a, b| a.replicas == b.replicas),
        }
    }

    /// Whether configurations are named by more than their numbers of pods.
    #[must_use]
    pub fn has_ways(self) -> bool {
        self.ways || self.services
    }

    /// What the configurations differ in, as the heading of a column.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match (self.services, self.ways) {
            (true, true) => "Service, way",
            (true, false) => "Service",
            (false, true) => "Way",
            (false, false) => "Pods",
        }
    }

    /// "10 pods"; "client" where they differ in their modes alone; "envoy, http2, 10 pods" where they differ in
    /// all.
    #[must_use]
    pub fn name(self, configuration: &Configuration) -> String {
        self.joined(configuration, pods(configuration.replicas))
    }

    /// A short name for use after another one: "10", "client".
    #[must_use]
    pub fn short(self, configuration: &Configuration) -> String {
        let than = configuration.replicas.map_or_else(|| "the first".to_owned(), |replicas| replicas.to_string());
        self.joined(configuration, than)
    }

    /// The name without the number of pods, where configurations have one.
    #[must_use]
    pub fn way(self, configuration: &Configuration) -> Option<String> {
        let service = self
            .services
            .then(|| self.part.of(configuration.service.as_deref().unwrap_or("another target")).to_owned());
        let way = self.ways.then(|| match configuration.way() {
            Some(way) if self.protocols => way.to_string(),
            // The names of ways over HTTP/1.1 do not contain the protocol.
            Some(way) => Way { protocol: Protocol::Http1, ..way }.to_string(),
            None => "another way".to_owned(),
        });
        let parts: Vec<String> = service.into_iter().chain(way).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    fn joined(self, configuration: &Configuration, pods: String) -> String {
        match self.way(configuration) {
            None => pods,
            Some(way) if self.replicas => format!("{way}, {pods}"),
            Some(way) => way,
        }
    }
}

/// A part of the name of a Service, as short as the Services of a comparison allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServicePart {
    /// "envoy"
    Name,
    /// "gateway/envoy"
    WithNamespace,
    /// "gateway/envoy:80"
    Whole,
}

impl ServicePart {
    /// The shortest part that is another one for each Service.
    fn that_differs(services: &BTreeSet<&str>) -> Self {
        let differs = |part: &Self| services.iter().map(|service| part.of(service)).collect::<BTreeSet<_>>();
        let parts = [Self::Name, Self::WithNamespace];
        parts.into_iter().find(|part| differs(part).len() == services.len()).unwrap_or(Self::Whole)
    }

    fn of(self, service: &str) -> &str {
        let without_port = service.split(':').next().unwrap_or(service);
        match self {
            Self::Name => without_port.rsplit('/').next().unwrap_or(without_port),
            Self::WithNamespace => without_port,
            Self::Whole => service,
        }
    }
}

/// "10 pods", "1 pod".
fn pods(replicas: Option<u32>) -> String {
    match replicas {
        None => "an unknown number of pods".to_owned(),
        Some(1) => "1 pod".to_owned(),
        Some(replicas) => format!("{replicas} pods"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(replicas: u32, mode: Mode) -> Configuration {
        let (replicas, mode) = (Some(replicas), Some(mode));
        Configuration { replicas, mode, protocol: Protocol::Http1, service: None, traffic_policy: None }
    }

    fn name(configurations: &[Configuration]) -> String {
        Naming::of(configurations.iter().cloned()).name(&configurations[0])
    }

    #[test]
    fn configurations_are_called_by_what_they_differ_in() {
        let one = configuration(1, Mode::Client);
        assert_eq!(name(std::slice::from_ref(&one)), "1 pod");
        assert_eq!(name(&[one.clone(), configuration(2, Mode::Client)]), "1 pod");
        assert_eq!(name(&[one.clone(), configuration(1, Mode::Keepalive)]), "client");
        assert_eq!(name(&[one, configuration(2, Mode::Keepalive)]), "client, 1 pod");
    }

    #[test]
    fn protocols_and_services_are_named_where_they_differ() {
        let over = |protocol, mode| Configuration { protocol, ..configuration(10, mode) };
        let grpc = over(Protocol::Grpc, Mode::Client);
        assert_eq!(name(&[grpc.clone(), over(Protocol::Http1, Mode::Keepalive)]), "grpc-client");
        assert_eq!(name(&[grpc.clone(), over(Protocol::Grpc, Mode::Keepalive)]), "client", "all are over gRPC");
        let to = |service: &str| Configuration { service: Some(service.into()), ..configuration(10, Mode::Keepalive) };
        assert_eq!(name(&[to("gateway/envoy:80"), to("default/web:80")]), "envoy");
        assert_eq!(name(&[to("gateway/web:80"), to("default/web:80")]), "gateway/web");
        assert_eq!(name(&[to("a/web:80"), to("a/web:81"), to("b/x:80")]), "a/web:80");
        let all =
            [Configuration { service: Some("a/b:1".into()), ..grpc }, to("c/d:1"), configuration(2, Mode::Client)];
        assert_eq!(name(&all), "b, grpc-client, 10 pods");
    }

    #[test]
    fn policies_are_named_where_they_differ() {
        let under = |policy, protocol| {
            let own = configuration(10, Mode::Keepalive);
            Configuration { traffic_policy: policy, protocol, ..own }
        };
        let (local, cluster) = (Some(TrafficPolicy::Local), Some(TrafficPolicy::Cluster));
        let grpc = [under(local, Protocol::Grpc), under(cluster, Protocol::Grpc)];
        assert_eq!(name(&grpc), "local", "all are over gRPC");
        assert_eq!(name(&[under(cluster, Protocol::Grpc), under(cluster, Protocol::Http1)]), "grpc-cluster");
        assert_eq!(name(&[under(None, Protocol::Http1), under(local, Protocol::Http1)]), "keepalive");
    }

    #[test]
    fn runs_of_older_reports_over_http_2_are_known_by_their_streams() {
        let mut run = crate::sample::run(2, 1.0);
        run.http2 = Some(crate::Http2::default());
        assert_eq!(Configuration::of(&run).protocol, Protocol::Http2);
    }
}
