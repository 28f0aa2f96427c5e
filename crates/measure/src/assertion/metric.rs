//! The metrics that can be asserted: one definition each.

#![allow(clippy::cast_precision_loss, reason = "counts and microseconds of a run")]

use std::fmt;

use crate::{Event, Impact, Latency, Measurement, Spread};

/// What a metric measures, which decides the units that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Microseconds.
    Time,
    /// A number of something.
    Count,
    /// A fraction or a ratio, which can be given in percent.
    Fraction,
}

/// A metric of a run.
#[derive(Clone, Copy)]
pub(super) struct Metric(&'static Definition);

struct Definition {
    /// Its names. The first one is used in output, the others are accepted, too.
    names: &'static [&'static str],
    quantity: Quantity,
    /// Its value, if the run has one.
    of: fn(&Measurement) -> Option<f64>,
}

static METRICS: [Definition; 29] = [
    Definition { names: &["rps"], quantity: Quantity::Count, of: |run| Some(run.requests_per_second.average) },
    Definition { names: &["p2.5"], quantity: Quantity::Time, of: |run| time(run, |latency| latency.p2_5 as f64) },
    Definition { names: &["p50"], quantity: Quantity::Time, of: |run| time(run, |latency| latency.p50 as f64) },
    Definition { names: &["p75"], quantity: Quantity::Time, of: |run| time(run, |latency| latency.p75 as f64) },
    Definition { names: &["p90"], quantity: Quantity::Time, of: |run| time(run, |latency| latency.p90 as f64) },
    Definition { names: &["p97.5"], quantity: Quantity::Time, of: |run| time(run, |latency| latency.p97_5 as f64) },
    Definition { names: &["p99"], quantity: Quantity::Time, of: |run| time(run, |latency| latency.p99 as f64) },
    Definition { names: &["p99.9"], quantity: Quantity::Time, of: |run| time(run, |latency| latency.p99_9 as f64) },
    Definition { names: &["p99.99"], quantity: Quantity::Time, of: |run| time(run, |latency| latency.p99_99 as f64) },
    Definition { names: &["max"], quantity: Quantity::Time, of: |run| time(run, |latency| latency.max as f64) },
    Definition { names: &["mean", "avg"], quantity: Quantity::Time, of: |run| time(run, |latency| latency.average) },
    Definition { names: &["requests"], quantity: Quantity::Count, of: |run| Some(run.requests.sent as f64) },
    Definition { names: &["errors"], quantity: Quantity::Count, of: |run| Some(run.errors as f64) },
    Definition { names: &["timeouts"], quantity: Quantity::Count, of: |run| Some(run.timeouts as f64) },
    Definition { names: &["non2xx"], quantity: Quantity::Count, of: |run| Some(run.requests.non_2xx as f64) },
    Definition {
        names: &["failed"],
        quantity: Quantity::Count,
        of: |run| Some(run.errors as f64 + run.requests.non_2xx as f64),
    },
    Definition { names: &["restarts"], quantity: Quantity::Count, of: restarts },
    Definition {
        names: &["took"],
        quantity: Quantity::Time,
        of: |run| longest(run, |event| Some(event.took_seconds())),
    },
    Definition {
        names: &["first-failure"],
        quantity: Quantity::Time,
        of: |run| {
            let first = impacts(run).filter_map(|impact| impact.first_failure_seconds);
            Some(first.fold(f64::INFINITY, f64::min) * MICROS)
        },
    },
    Definition {
        names: &["last-failure"],
        quantity: Quantity::Time,
        of: |run| Some(impacts(run).filter_map(|impact| impact.last_failure_seconds).fold(0.0, f64::max) * MICROS),
    },
    Definition {
        names: &["recovery"],
        quantity: Quantity::Time,
        of: |run| longest(run, |event| event.impact.as_ref().map(|impact| impact.full_throughput_seconds)),
    },
    Definition {
        names: &["lowest"],
        quantity: Quantity::Fraction,
        of: |run| impacts(run).filter_map(|impact| impact.lowest_throughput).min_by(f64::total_cmp),
    },
    Definition {
        names: &["idle"],
        quantity: Quantity::Count,
        of: |run| named(run).map(|spread| f64::from(spread.idle)),
    },
    Definition {
        names: &["effective"],
        quantity: Quantity::Count,
        of: |run| Some(named(run)?.evenness_of_requests?.effective_pods),
    },
    Definition {
        names: &["busiest"],
        quantity: Quantity::Fraction,
        of: |run| named(run).filter(|of| of.knows_requests()).map(|of| of.busiest),
    },
    Definition {
        names: &["jain"],
        quantity: Quantity::Fraction,
        of: |run| Some(named(run)?.evenness_of_requests?.jain_index),
    },
    Definition {
        names: &["cv"],
        quantity: Quantity::Fraction,
        of: |run| Some(named(run)?.evenness_of_requests?.coefficient_of_variation),
    },
    Definition { names: &["chi2p"], quantity: Quantity::Fraction, of: |run| Some(named(run)?.uniformity?.p) },
    Definition { names: &["chi2"], quantity: Quantity::Count, of: |run| Some(named(run)?.uniformity?.chi_square) },
];

/// `None` without a response: every percentile is 0 then, which must not count as fast.
fn time(run: &Measurement, of: fn(&Latency) -> f64) -> Option<f64> {
    (run.latency_us.count > 0).then(|| of(&run.latency_us))
}

/// Of a second.
const MICROS: f64 = 1e6;

fn impacts(run: &Measurement) -> impl Iterator<Item = &Impact> {
    run.events.iter().filter_map(|event| event.impact.as_ref())
}

/// The longest of the times of all events; infinite if an event has none, and `None` without an event.
fn longest(run: &Measurement, of: fn(&Event) -> Option<Option<f64>>) -> Option<f64> {
    let times =
        run.events.iter().filter_map(of).map(|seconds| seconds.map_or(f64::INFINITY, |seconds| seconds * MICROS));
    times.max_by(f64::total_cmp)
}

/// The restarts of all pods, if they are known.
fn restarts(run: &Measurement) -> Option<f64> {
    let restarts = run.pod_use.iter().map(|pod| pod.restarts).collect::<Option<Vec<u32>>>()?;
    (!restarts.is_empty()).then(|| restarts.into_iter().map(f64::from).sum())
}

/// The spread, if at least one pod is known.
fn named(run: &Measurement) -> Option<&Spread> {
    Some(&run.spread).filter(|spread| !spread.pods.is_empty())
}

impl Metric {
    /// The metric of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        METRICS.iter().find(|row| row.names.contains(&name)).map(Self)
    }

    /// The names of all metrics, for output.
    pub(super) fn names() -> String {
        METRICS.iter().map(|row| row.names[0]).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn quantity(self) -> Quantity {
        self.0.quantity
    }

    /// Its value in a run, if the run has one; times are in microseconds.
    pub(super) fn of(self, run: &Measurement) -> Option<f64> {
        (self.0.of)(run)
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.0.names == other.0.names
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.names[0])
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PodUse;
    use crate::sample::run;

    #[test]
    fn each_metric_reads_its_own_figure() {
        let mut run = run(2, 90_000.5);
        run.latency_us = Latency {
            count: 9,
            p2_5: 1,
            p50: 2,
            p75: 3,
            p90: 4,
            p97_5: 5,
            p99: 6,
            p99_9: 7,
            p99_99: 8,
            average: 2.5,
            stdev: 0.0,
            max: 9,
        };
        (run.requests.sent, run.errors, run.timeouts, run.requests.non_2xx) = (10, 11, 12, 13);
        (run.spread.idle, run.spread.busiest) = (14, 15.0);
        let evenness = run.spread.evenness_of_requests.as_mut().unwrap();
        (evenness.jain_index, evenness.coefficient_of_variation, evenness.effective_pods) = (16.0, 17.0, 18.0);
        let uniformity = run.spread.uniformity.as_mut().unwrap();
        (uniformity.p, uniformity.chi_square) = (19.0, 20.0);
        let impact = Impact {
            first_failure_seconds: Some(0.1),
            last_failure_seconds: Some(0.9),
            lowest_throughput: Some(0.5),
            full_throughput_seconds: Some(1.2),
            ..Impact::default()
        };
        run.events = vec![Event { second: 2.0, over_second: Some(4.5), impact: Some(impact), ..Event::default() }];
        run.pod_use = vec![pod_use(3), pod_use(4)];
        let figures: Vec<(&str, f64)> = METRICS.iter().map(|row| (row.names[0], (row.of)(&run).unwrap())).collect();
        assert_eq!(
            figures,
            [
                ("rps", 90_000.5),
                ("p2.5", 1.0),
                ("p50", 2.0),
                ("p75", 3.0),
                ("p90", 4.0),
                ("p97.5", 5.0),
                ("p99", 6.0),
                ("p99.9", 7.0),
                ("p99.99", 8.0),
                ("max", 9.0),
                ("mean", 2.5),
                ("requests", 10.0),
                ("errors", 11.0),
                ("timeouts", 12.0),
                ("non2xx", 13.0),
                ("failed", 24.0),
                ("restarts", 7.0),
                ("took", 2_500_000.0),
                ("first-failure", 100_000.0),
                ("last-failure", 900_000.0),
                ("recovery", 1_200_000.0),
                ("lowest", 0.5),
                ("idle", 14.0),
                ("effective", 18.0),
                ("busiest", 15.0),
                ("jain", 16.0),
                ("cv", 17.0),
                ("chi2p", 19.0),
                ("chi2", 20.0),
            ]
        );
    }

    fn pod_use(restarts: u32) -> PodUse {
        let name = String::new();
        PodUse { name, restarts: Some(restarts), cpu_seconds: None, throttled_periods: None, memory_bytes: None }
    }

    #[test]
    fn what_did_not_come_back_took_for_ever() {
        let mut run = run(2, 1.0);
        let of = |name: &str, run: &Measurement| Metric::named(name).unwrap().of(run);
        assert_eq!((of("recovery", &run), of("took", &run), of("lowest", &run)), (None, None, None));
        assert_eq!((of("last-failure", &run), of("first-failure", &run)), (Some(0.0), Some(f64::INFINITY)));
        let impact = Some(Impact { lowest_throughput: Some(0.1), ..Impact::default() });
        let trouble = Some("it is gone".to_owned());
        run.events = vec![Event { second: 2.0, trouble, impact, ..Event::default() }];
        assert_eq!((of("recovery", &run), of("took", &run)), (Some(f64::INFINITY), Some(f64::INFINITY)));
    }

    #[test]
    fn what_was_not_measured_is_not_zero() {
        let mut run = run(2, 0.0);
        run.latency_us = Latency::default();
        run.spread.pods.clear();
        for name in ["p99", "max", "mean", "idle", "busiest", "jain", "cv", "effective", "chi2p"] {
            assert_eq!(Metric::named(name).unwrap().of(&run), None, "{name}");
        }
        assert_eq!(Metric::named("errors").unwrap().of(&run), Some(0.0));
    }

    #[test]
    fn names_are_told_once_and_others_are_understood() {
        assert_eq!(Metric::named("avg"), Metric::named("mean"));
        assert_eq!(Metric::named("p98"), None);
        let mut names: Vec<&str> = METRICS.iter().flat_map(|row| row.names).copied().collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.iter().map(|row| row.names.len()).sum::<usize>());
    }
}
