//! The parts of a soak.

use std::str::FromStr;

use crate::config::InvalidValue;

/// A part of the soak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Scale, rolling restart, new image, pod delete.
    Pods,
    /// SIGKILL of a container.
    KillPod,
    /// SIGKILL of each component.
    Components,
    /// A pause of the API server.
    Pause,
    /// Drains, and kube-proxy and the control plane, in a lab of several nodes.
    Nodes,
    /// A rolling restart without a drain, which must lose requests.
    Control,
}

impl Part {
    /// All parts, in their order.
    pub const ALL: [Self; 6] = [Self::Pods, Self::KillPod, Self::Components, Self::Pause, Self::Nodes, Self::Control];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::KillPod => "kill-pod",
            Self::Components => "components",
            Self::Pause => "pause",
            Self::Nodes => "nodes",
            Self::Control => "control",
        }
    }

    /// Its description.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Pods => "Scale, rolling restart, new image, pod delete",
            Self::KillPod => "SIGKILL of a container",
            Self::Components => "SIGKILL of each component",
            Self::Pause => "The API server paused for 30 s",
            Self::Nodes => {
                "Nodes drained, cut off and killed, kube-proxy killed on each, and the control plane paused, in a lab of several nodes"
            }
            Self::Control => "A rolling restart without a drain, which must lose requests",
        }
    }
}

impl FromStr for Part {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|part| part.name() == text).ok_or_else(|| InvalidValue::expected(names))
    }
}
