//! What was measured.

use std::collections::BTreeMap;
use std::time::Duration;

use super::processes::Used;

/// The counters of a lab at one moment.
pub(crate) struct Counters {
    /// Processor time of the whole lab, as its cgroups have it.
    pub(crate) all: Duration,
    /// What its processes used, by program.
    pub(crate) programs: BTreeMap<String, Used>,
}

/// Processor time between two moments.
pub(crate) struct Spent {
    pub(crate) all: Duration,
    /// That of the processes of each program, and that of their children.
    pub(crate) programs: BTreeMap<String, (Duration, Duration)>,
}

impl Counters {
    pub(crate) fn since(&self, before: &Self) -> Spent {
        let spent = |(program, used): (&String, &Used)| {
            let earlier = before.programs.get(program).copied().unwrap_or_default();
            let (own, children) =
                (used.own.saturating_sub(earlier.own), used.children.saturating_sub(earlier.children));
            (program.clone(), (own, children))
        };
        Spent { all: self.all.saturating_sub(before.all), programs: self.programs.iter().map(spent).collect() }
    }
}

/// One change of the number of pods.
pub(crate) struct Step {
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// Seconds until all pods were ready, and until all were programmed.
    pub(crate) ready: f64,
    pub(crate) programmed: f64,
    pub(crate) used: Spent,
}

/// A time in which nothing happened.
pub(crate) struct Idle {
    pub(crate) pods: u32,
    pub(crate) seconds: f64,
    pub(crate) used: Spent,
}

/// The boot of a lab.
pub(crate) struct Boot {
    /// Seconds of `up`.
    pub(crate) seconds: f64,
    /// The steps that it shows, and their seconds.
    pub(crate) steps: Vec<(String, f64)>,
    /// What the processes had used when it ended.
    pub(crate) programs: BTreeMap<String, Used>,
}

/// One lab.
pub(crate) struct Round {
    pub(crate) boot: Boot,
    /// Seconds of `down`.
    pub(crate) down: f64,
    pub(crate) steps: Vec<Step>,
    pub(crate) idle: Idle,
    /// What the processes used at the end.
    pub(crate) programs: BTreeMap<String, Used>,
}
