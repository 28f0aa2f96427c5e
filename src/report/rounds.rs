//! Runs that are rounds of the same configuration: what they are called, and which of them is shown.

use std::borrow::Cow;

use evenkeel_measure::{Configuration, Measurement, Naming, compare, median_rounds};

/// Whether runs are rounds: more than one of a configuration.
pub(super) fn has_rounds(runs: &[Measurement]) -> bool {
    compare(runs).iter().any(|case| case.rounds > 1)
}

/// The number of a run among those of its configuration, from 1; `None` where there are no others.
pub(super) fn round_of(runs: &[Measurement], at: usize) -> Option<usize> {
    let configuration = Configuration::of(&runs[at]);
    let same = |runs: &[Measurement]| runs.iter().filter(|run| Configuration::of(run) == configuration).count();
    (same(runs) > 1).then(|| same(&runs[..at]) + 1)
}

/// What each run is called: "5 pods"; with its round where that would not tell it from another, and with its number
/// where nothing else is known.
pub(super) fn names(runs: &[Measurement]) -> Vec<String> {
    let naming = Naming::of(runs.iter().map(Configuration::of));
    let name = |(at, run): (usize, &Measurement)| {
        if run.replicas.is_none() && !naming.has_ways() {
            return format!("run {}", at + 1);
        }
        let round = round_of(runs, at).map(|round| format!(", round {round}"));
        naming.name(&Configuration::of(run)) + &round.unwrap_or_default()
    };
    runs.iter().enumerate().map(name).collect()
}

/// The runs that are shown one by one: all, or where there are rounds, for each configuration the one with the median
/// rate.
pub(super) fn shown(runs: &[Measurement]) -> Cow<'_, [Measurement]> {
    if has_rounds(runs) { median_rounds(runs).into_iter().cloned().collect() } else { runs.into() }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use evenkeel_measure::Mode;

    #[test]
    fn a_name_is_a_runs_own() {
        let mut runs = sample::report().runs;
        assert_eq!(names(&runs), ["2 pods", "5 pods"]);
        runs.push(runs[0].clone());
        runs[1].replicas = None;
        assert_eq!(names(&runs), ["2 pods, round 1", "run 2", "2 pods, round 2"]);
        runs[0].mode = Some(Mode::Client);
        assert_eq!(names(&runs)[0], "client, 2 pods");
    }
}
