//! Comparison with the runs of an earlier report.

use serde::{Deserialize, Serialize};

use super::ratio::Ratio;
use super::{Configuration, Naming, not_simultaneous, rates, rounds};
use crate::Measurement;

/// The change of one configuration since an earlier report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The configuration.
    pub configuration: Configuration,
    /// Its name among the configurations of the report.
    pub name: String,
    /// Rounds of the earlier report.
    pub earlier_rounds: usize,
    /// Rounds of this one.
    pub rounds: usize,
    /// Requests per second against the earlier ones; `None` if a run served nothing. It has an interval if both have at
    /// least two rounds.
    pub ratio: Option<Ratio>,
}

/// The change of each configuration that both have, in the order of `runs`. Interrupted runs are left out.
#[must_use]
pub fn against_baseline(runs: &[Measurement], earlier: &[Measurement]) -> Vec<Change> {
    let earlier = rounds(earlier);
    let naming = Naming::of(runs.iter().map(Configuration::of));
    // The name of a Service only matters where several are compared. Older reports do not have it.
    let services = naming.services || Naming::of(earlier.iter().map(|(of, _)| of.clone())).services;
    let key = |of: &Configuration| Configuration { service: of.service.clone().filter(|_| services), ..of.clone() };
    let change = |(configuration, rounds): (Configuration, Vec<&Measurement>)| {
        let (_, before) = earlier.iter().find(|(other, _)| key(other) == key(&configuration))?;
        let ratio = Ratio::unpaired(&rates(&rounds), &rates(before));
        Some(Change {
            name: naming.name(&configuration),
            configuration,
            earlier_rounds: before.len(),
            rounds: rounds.len(),
            ratio,
        })
    };
    rounds(runs).into_iter().filter_map(change).collect()
}

/// Each change in a sentence. Where there are several intervals, a last one says that they are not simultaneous.
#[must_use]
pub fn change_sentences(changes: &[Change]) -> Vec<String> {
    let ratios = changes.iter().filter_map(|change| change.ratio.as_ref());
    changes.iter().map(Change::sentence).chain(not_simultaneous(ratios)).collect()
}

impl Change {
    /// "10 pods served 0.93 × the requests of the earlier report (95%: 0.90 to 0.96): clearly less."
    #[must_use]
    pub fn sentence(&self) -> String {
        let pods = &self.name;
        match &self.ratio {
            None => format!("{pods} cannot be compared with the earlier report: a run served nothing."),
            Some(ratio) => {
                let (value, bounds, words) = (ratio.value, ratio.bounds(), ratio.words());
                format!("{pods} served {value:.2} × the requests of the earlier report{bounds}: {words}.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sample::run;
    use super::*;

    #[test]
    fn counts_that_both_have() {
        let earlier = [run(2, 100.0), run(10, 100.0), run(2, 101.0), run(10, 101.0)];
        let runs = [run(10, 93.0), run(5, 90.0), run(2, 100.7), run(10, 94.0), run(2, 100.2), run(10, 93.5)];
        let said = change_sentences(&against_baseline(&runs, &earlier));
        assert_eq!(
            said,
            [
                "10 pods served 0.93 × the requests of the earlier report (95%: 0.90 to 0.96): clearly less.",
                "2 pods served 1.00 × the requests of the earlier report (95%: 0.97 to 1.03): no difference beyond noise.",
                "The 2 intervals are not simultaneous: each of them misses the true ratio with 5% probability.",
            ]
        );
    }

    #[test]
    fn one_round_on_either_side_cannot_tell() {
        let (one, two) = ([run(2, 93.0)], [run(2, 100.0), run(2, 101.0)]);
        for (runs, earlier) in [(&one[..], &two[..]), (&two[..], &one[..]), (&one[..], &one[..])] {
            let changes = against_baseline(runs, earlier);
            assert_eq!((changes[0].rounds, changes[0].earlier_rounds), (runs.len(), earlier.len()));
            assert!(
                changes[0].sentence().ends_with("report: too few rounds to distinguish it from noise."),
                "{changes:?}"
            );
        }
    }

    #[test]
    fn the_service_matters_only_among_several() {
        let to = |service: &str, rate| run(2, rate).sent_to(Some(service.to_owned()));
        assert_eq!(against_baseline(&[to("a/web:80", 2.0)], &[run(2, 1.0)]).len(), 1);
        let two = [to("a/web:80", 2.0), to("b/envoy:80", 3.0)];
        let changes = against_baseline(&two, &[to("b/envoy:80", 1.0), to("c/x:80", 9.0)]);
        assert_eq!(changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>(), ["envoy"]);
    }

    #[test]
    fn nothing_in_common() {
        assert_eq!(against_baseline(&[run(2, 1.0)], &[run(5, 1.0)]), []);
        let served_nothing = against_baseline(&[run(2, 0.0)], &[run(2, 1.0)]);
        assert_eq!(
            served_nothing[0].sentence(),
            "2 pods cannot be compared with the earlier report: a run served nothing."
        );
    }
}
