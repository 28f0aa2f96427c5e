//! How fast pods started or ended when a subject was scaled, and whether the processors were the limit.

use std::fmt;
use std::time::Duration;

use crate::cluster::{Access, NodeCgroup};

/// From this share of all processors on, the processors are the limit: what is left is too little for one more pod.
const ALL: f64 = 0.85;
/// A faster change says nothing about what limits it.
const SHORTEST: Duration = Duration::from_millis(500);

/// How fast the number of pods changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    /// Pods that started or ended, per second.
    pub(super) pods_per_second: f64,
    /// How many processors the lab used, in the mean; `None` outside of a lab, or if it cannot be read.
    pub(super) processors_used: Option<f64>,
    /// The number of processors of the machine.
    processors: f64,
}

impl Pace {
    /// The pace of a change of `pods` that took `time`, in which the lab used this processor time. `None` if it was too short,
    /// or if nothing changed.
    pub(super) fn new(pods: u32, time: Duration, used: Option<Duration>, processors: u32) -> Option<Self> {
        if pods == 0 || time < SHORTEST {
            return None;
        }
        let seconds = time.as_secs_f64();
        Some(Self {
            pods_per_second: f64::from(pods) / seconds,
            processors_used: used.map(|used| used.as_secs_f64() / seconds),
            processors: f64::from(processors),
        })
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.1} pods/s", self.pods_per_second)?;
        let Some(used) = self.processors_used else { return Ok(()) };
        let limit =
            if used >= ALL * self.processors { "limited by the processors" } else { "not limited by the processors" };
        write!(formatter, ", {limit}: the lab used {used:.1} of {}", self.processors)
    }
}

/// The processor time that the lab has used since it was booted: components and pods of all nodes. `None` outside of a lab.
pub(super) fn used_now(access: &Access) -> Option<Duration> {
    let nodes = NodeCgroup::all(&access.lab()?.name);
    nodes.iter().map(NodeCgroup::cpu_us).sum::<Option<u64>>().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(pods: u32, seconds: u64, used: Option<u64>) -> Option<String> {
        let used = used.map(Duration::from_secs);
        Pace::new(pods, Duration::from_secs(seconds), used, 2).map(|pace| pace.to_string())
    }

    #[test]
    fn the_limit_is_named() {
        let said = |used| pace(90, 20, used).unwrap();
        assert_eq!(said(Some(39)), "4.5 pods/s, limited by the processors: the lab used 1.9 of 2");
        assert_eq!(said(Some(10)), "4.5 pods/s, not limited by the processors: the lab used 0.5 of 2");
        assert_eq!(said(None), "4.5 pods/s");
    }

    #[test]
    fn no_change_and_a_short_one_have_no_pace() {
        assert_eq!(pace(0, 20, Some(1)), None);
        assert_eq!(pace(1, 0, Some(1)), None);
    }
}
