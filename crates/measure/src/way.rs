//! What requests are sent over, and how they reach the pods.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Mode, TrafficPolicy};

/// What requests are sent over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
    /// gRPC, over HTTP/2.
    Grpc,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::Grpc];

    /// Its name on the command line and in a report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == text).ok_or(())
    }
}

/// One of the ways that are compared: a protocol, how its requests reach the pods, and the policy of the Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// What the requests are sent over.
    pub protocol: Protocol,
    /// How they reach the pods.
    pub mode: Mode,
    /// The external traffic policy that the Service has for it; `None`: its own.
    pub policy: Option<TrafficPolicy>,
}

impl Way {
    /// Every way. A policy only acts where the Service chooses the pods.
    pub fn all() -> impl Iterator<Item = Self> {
        let modes = || Protocol::ALL.into_iter().flat_map(|protocol| Mode::ALL.map(|mode| (protocol, mode)));
        let policies = std::iter::once(None).chain(TrafficPolicy::ALL.map(Some));
        let ways =
            policies.flat_map(move |policy| modes().map(move |(protocol, mode)| Self { protocol, mode, policy }));
        ways.filter(|way| way.policy.is_none() || !way.mode.is_by_client())
    }
}

/// "keepalive" and "client" are ways over HTTP/1.1; "http2" and "grpc" are kept connections; "grpc-client" is both. "local"
/// and "cluster" are kept connections over HTTP/1.1 with this policy; "grpc-local" and "no-keepalive-local" are both.
impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.protocol, self.mode, self.policy) {
            (Protocol::Http1, Mode::Keepalive, Some(policy)) => return formatter.write_str(policy.name()),
            (Protocol::Http1, mode, _) => formatter.write_str(mode.name())?,
            (protocol, Mode::Keepalive, _) => formatter.write_str(protocol.name())?,
            (protocol, mode, _) => write!(formatter, "{protocol}-{mode}")?,
        }
        self.policy.map_or(Ok(()), |policy| write!(formatter, "-{policy}"))
    }
}

impl FromStr for Way {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::all().find(|way| way.to_string() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_and_the_command_line_have_the_same_names() {
        for protocol in Protocol::ALL {
            assert_eq!(serde_json::to_value(protocol).unwrap(), protocol.name());
            assert_eq!(protocol.name().parse(), Ok(protocol));
        }
    }

    #[test]
    fn ways_have_short_names() {
        let way = |protocol, mode| Way { protocol, mode, policy: None };
        let under = |policy, protocol, mode| Way { protocol, mode, policy: Some(policy) };
        let names = [
            ("keepalive", way(Protocol::Http1, Mode::Keepalive)),
            ("client", way(Protocol::Http1, Mode::Client)),
            ("http2", way(Protocol::Http2, Mode::Keepalive)),
            ("http2-no-keepalive", way(Protocol::Http2, Mode::NoKeepalive)),
            ("grpc", way(Protocol::Grpc, Mode::Keepalive)),
            ("grpc-round-robin", way(Protocol::Grpc, Mode::RoundRobin)),
            ("local", under(TrafficPolicy::Local, Protocol::Http1, Mode::Keepalive)),
            ("no-keepalive-cluster", under(TrafficPolicy::Cluster, Protocol::Http1, Mode::NoKeepalive)),
            ("grpc-cluster", under(TrafficPolicy::Cluster, Protocol::Grpc, Mode::Keepalive)),
            ("http2-no-keepalive-local", under(TrafficPolicy::Local, Protocol::Http2, Mode::NoKeepalive)),
        ];
        for (name, way) in names {
            assert_eq!((way.to_string().as_str(), name.parse()), (name, Ok(way)));
        }
        for bad in
            ["", "http1", "grpc-", "grpc-keepalive", "HTTP2", "client-grpc", "client-local", "local-grpc", "Local"]
        {
            assert!(bad.parse::<Way>().is_err(), "{bad}");
        }
    }
}
