//! How requests reach the pods.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How requests reach the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Over persistent connections. The Service chooses the pod when a connection is opened.
    Keepalive,
    /// Each over a new connection, so that the Service chooses a pod for every request.
    NoKeepalive,
    /// Over connections to the pods themselves. For every request, the client chooses the less loaded of two random pods.
    Client,
    /// Over connections to the pods that a name was resolved to. The client sends its requests to them in turn.
    RoundRobin,
}

impl Mode {
    /// Whether the client chooses the pod of a request, and not the Service.
    #[must_use]
    pub fn is_by_client(self) -> bool {
        matches!(self, Self::Client | Self::RoundRobin)
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Keepalive, Self::NoKeepalive, Self::Client, Self::RoundRobin];

    /// Its name on the command line and in a report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Keepalive => "keepalive",
            Self::NoKeepalive => "no-keepalive",
            Self::Client => "client",
            Self::RoundRobin => "round-robin",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Mode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|mode| mode.name() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_and_the_command_line_have_the_same_names() {
        for mode in Mode::ALL {
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        assert_eq!("Client".parse::<Mode>(), Err(()));
    }
}
