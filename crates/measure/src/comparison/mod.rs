//! Comparison of configurations, each measured in one or more rounds, and comparison with an earlier report.

mod baseline;
mod configuration;
mod policies;
mod ratio;
mod slow_pods;

use serde::{Deserialize, Serialize};

pub use baseline::{Change, against_baseline, change_sentences};
pub use configuration::{Configuration, Naming};
pub use policies::policy_sentences;
pub use ratio::{Difference, Interval, Ratio};
pub use slow_pods::{SlowPodSummary, slow_pod_summaries};

use super::{ClientAddress, Measurement};

/// The summary of a configuration over all its rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationSummary {
    /// The configuration.
    pub configuration: Configuration,
    /// The number of complete runs.
    pub rounds: usize,
    /// Requests answered per second, the mean of the rounds.
    pub requests_per_second: f64,
    /// The median latency in microseconds, the mean of the rounds.
    pub p50_us: f64,
    /// The 99th percentile in microseconds, the mean of the rounds.
    pub p99_us: f64,
    /// The longest latency of all rounds, in microseconds.
    pub max_us: u64,
    /// Failed requests and connections of all rounds.
    pub errors: u64,
    /// Responses of all rounds with another status than 2xx.
    pub non_2xx: u64,
    /// The busiest pod against the even share, the mean of the rounds in which it is known.
    pub busiest: Option<f64>,
    /// Jain's index of the requests, the mean of the rounds in which it is known.
    pub jain_index: Option<f64>,
    /// Processor time of a proxy's pods for each request, in microseconds, the mean of the rounds; `None` without a proxy.
    #[serde(default)]
    pub proxy_cpu_us: Option<f64>,
    /// Processor time of the pods that answered for each request, in microseconds, the mean of the rounds in which it is known.
    #[serde(default)]
    pub pod_cpu_us: Option<f64>,
    /// Which source address the pods of the Service saw in all rounds; `None` where that is unknown.
    #[serde(default)]
    pub client_address: Option<ClientAddress>,
    /// Requests per second against the first configuration, by rounds; `None` for the first configuration itself, and
    /// if a run served nothing.
    pub ratio: Option<Ratio>,
}

/// A summary of each configuration, in the order of their first runs. Runs of the same configuration are its rounds,
/// and the i-th round of each configuration is paired with the i-th round of the first. Interrupted runs are left out.
#[must_use]
pub fn compare(runs: &[Measurement]) -> Vec<ConfigurationSummary> {
    let cases = rounds(runs);
    let first = cases.first().map(|(_, rounds)| rates(rounds)).unwrap_or_default();
    let ratio = |at: usize, rounds: &[&Measurement]| {
        let ratio = Ratio::paired(&rates(rounds), &first);
        ratio.filter(|_| at > 0)
    };
    cases
        .iter()
        .enumerate()
        .map(|(at, (configuration, rounds))| case(configuration.clone(), rounds, ratio(at, rounds)))
        .collect()
}

/// The comparison in sentences, one for each configuration after the first: "10 pods served 1.04 × the requests of 2
/// (95%: 0.99 to 1.09): no difference beyond noise." Where there are several intervals, a last one says that they are
/// not simultaneous.
#[must_use]
pub fn comparison_sentences(cases: &[ConfigurationSummary]) -> Vec<String> {
    let Some((first, others)) = cases.split_first() else { return Vec::new() };
    let naming = Naming::of(cases.iter().map(|case| case.configuration.clone()));
    let than = naming.short(&first.configuration);
    let sentence = |case: &ConfigurationSummary| {
        let name = naming.name(&case.configuration);
        match &case.ratio {
            None => format!("{name} cannot be compared with {than}: a run served nothing."),
            Some(ratio) => {
                let (value, bounds, words) = (ratio.value, ratio.bounds(), ratio.words());
                format!("{name} served {value:.2} × the requests of {than}{bounds}: {words}.")
            }
        }
    };
    let ratios = others.iter().filter_map(|case| case.ratio.as_ref());
    others.iter().map(sentence).chain(not_simultaneous(ratios)).collect()
}

/// The sentence that says that several 95% intervals are not simultaneous. `None` if there are fewer than two.
pub(super) fn not_simultaneous<'a>(ratios: impl Iterator<Item = &'a Ratio>) -> Option<String> {
    let intervals = ratios.filter(|ratio| ratio.interval.is_some()).count();
    (intervals > 1).then(|| {
        format!(
            "The {intervals} intervals are not simultaneous: each of them misses the true ratio with 5% probability."
        )
    })
}

/// How even the spread is in each way, in one sentence: "The busiest pod served 1.97 × its share with keepalive, 1.00
/// × with client." `None` where there is one way, or one pod.
#[must_use]
pub fn spread_sentence(cases: &[ConfigurationSummary]) -> Option<String> {
    let naming = Naming::of(cases.iter().map(|case| case.configuration.clone()));
    if !naming.has_ways() || cases.iter().any(|case| case.configuration.replicas == Some(1)) {
        return None;
    }
    let known = cases.iter().filter_map(|case| Some((naming.way(&case.configuration)?, case.busiest?)));
    let mut parts: Vec<String> = known.map(|(way, busiest)| format!("{busiest:.2} × with {way}")).collect();
    let first = parts.first_mut().filter(|_| cases.iter().all(|case| case.busiest.is_some()))?;
    *first = first.replacen('×', "× its share", 1);
    Some(format!("The busiest pod served {}.", parts.join(", ")))
}

/// For each configuration, the run with the median rate of its rounds (the slower one of two in the middle). An
/// interrupted run is only used if there is no other.
#[must_use]
pub fn median_rounds(runs: &[Measurement]) -> Vec<&Measurement> {
    grouped(runs.iter()).into_iter().filter_map(|(_, rounds)| median(rounds)).collect()
}

fn median(mut rounds: Vec<&Measurement>) -> Option<&Measurement> {
    rounds.sort_by(|a, b| {
        let rate = |run: &Measurement| run.requests_per_second.average;
        a.interrupted.cmp(&b.interrupted).then(rate(a).total_cmp(&rate(b)))
    });
    let whole = rounds.iter().filter(|run| !run.interrupted).count().max(1);
    rounds.get((whole - 1) / 2).copied()
}

/// The complete runs of each configuration, in the order of their first.
pub(super) fn rounds(runs: &[Measurement]) -> Vec<(Configuration, Vec<&Measurement>)> {
    grouped(runs.iter().filter(|run| !run.interrupted))
}

fn grouped<'a>(runs: impl Iterator<Item = &'a Measurement>) -> Vec<(Configuration, Vec<&'a Measurement>)> {
    let mut cases: Vec<(Configuration, Vec<&Measurement>)> = Vec::new();
    for run in runs {
        match cases.iter_mut().find(|(configuration, _)| *configuration == Configuration::of(run)) {
            Some((_, rounds)) => rounds.push(run),
            None => cases.push((Configuration::of(run), vec![run])),
        }
    }
    cases
}

fn rates(rounds: &[&Measurement]) -> Vec<f64> {
    rounds.iter().map(|run| run.requests_per_second.average).collect()
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of a day")]
fn case(configuration: Configuration, rounds: &[&Measurement], ratio: Option<Ratio>) -> ConfigurationSummary {
    let mean_of = |of: fn(&Measurement) -> f64| mean(rounds.iter().map(|run| of(run))).unwrap_or(0.0);
    let named = || rounds.iter().map(|run| &run.spread).filter(|spread| spread.knows_requests());
    ConfigurationSummary {
        configuration,
        rounds: rounds.len(),
        requests_per_second: mean_of(|run| run.requests_per_second.average),
        p50_us: mean_of(|run| run.latency_us.p50 as f64),
        p99_us: mean_of(|run| run.latency_us.p99 as f64),
        max_us: rounds.iter().map(|run| run.latency_us.max).max().unwrap_or(0),
        errors: rounds.iter().map(|run| run.errors).sum(),
        non_2xx: rounds.iter().map(|run| run.requests.non_2xx).sum(),
        busiest: mean(named().map(|spread| spread.busiest)),
        proxy_cpu_us: mean(rounds.iter().filter_map(|run| run.proxy_cpu_us())),
        pod_cpu_us: mean(rounds.iter().filter_map(|run| run.pod_cpu_us())),
        client_address: ClientAddress::of_all(rounds.iter().map(|run| run.client_address)),
        jain_index: mean(named().filter_map(|spread| Some(spread.evenness_of_requests?.jain_index))),
        ratio,
    }
}

#[allow(clippy::cast_precision_loss, reason = "a handful of rounds")]
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::super::Mode;
    use super::super::sample::run;
    use super::*;

    fn near(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 1e-6, "{got}, not {wanted}");
    }

    #[test]
    fn interleaved_rounds_are_summarised_by_configuration() {
        let mut runs = vec![run(2, 100.0), run(10, 104.0), run(2, 80.0), run(10, 83.0), run(2, 90.0), run(10, 93.0)];
        (runs[1].latency_us.p99, runs[3].latency_us.p99, runs[5].latency_us.p99) = (1_000, 2_000, 6_000);
        (runs[3].latency_us.max, runs[3].errors, runs[5].errors, runs[5].requests.non_2xx) = (9_000, 2, 3, 4);
        let cases = compare(&runs);
        assert_eq!(
            cases.iter().map(|case| (case.configuration.replicas, case.rounds)).collect::<Vec<_>>(),
            [(Some(2), 3), (Some(10), 3)]
        );
        let ten = &cases[1];
        near(cases[0].requests_per_second, 90.0);
        near(ten.p99_us, 3_000.0);
        assert_eq!((ten.max_us, ten.errors, ten.non_2xx, cases[0].ratio), (9_000, 5, 4, None));
        near(ten.ratio.unwrap().value, (1.04_f64 * 83.0 / 80.0 * 93.0 / 90.0).cbrt());
    }

    #[test]
    fn ratios_in_words() {
        let runs = [run(2, 100.0), run(5, 54.0), run(1, 99.0), run(2, 80.0), run(5, 43.3), run(1, 85.0)];
        assert_eq!(
            comparison_sentences(&compare(&runs)),
            [
                "5 pods served 0.54 × the requests of 2 (95%: 0.53 to 0.55): clearly less.",
                "1 pod served 1.03 × the requests of 2 (95%: 0.65 to 1.61): no difference beyond noise.",
                "The 2 intervals are not simultaneous: each of them misses the true ratio with 5% probability.",
            ]
        );
    }

    #[test]
    fn one_round_each_gives_no_interval() {
        let said = comparison_sentences(&compare(&[run(2, 100.0), run(10, 97.0)]));
        assert_eq!(said, ["10 pods served 0.97 × the requests of 2: too few rounds to distinguish it from noise."]);
    }

    #[test]
    fn a_run_that_served_nothing_has_no_ratio() {
        let said = comparison_sentences(&compare(&[run(2, 100.0), run(10, 0.0)]));
        assert_eq!(said, ["10 pods cannot be compared with 2: a run served nothing."]);
    }

    #[test]
    fn interrupted_runs_do_not_count() {
        let mut runs = vec![run(2, 100.0), run(10, 100.0), run(2, 100.0), run(10, 3.0)];
        runs[3].interrupted = true;
        let cases = compare(&runs);
        assert_eq!((cases[0].rounds, cases[1].rounds), (2, 1));
        near(cases[1].ratio.unwrap().value, 1.0);
    }

    #[test]
    fn nothing_to_compare() {
        assert_eq!(compare(&[]), []);
        assert!(comparison_sentences(&[]).is_empty() && comparison_sentences(&compare(&[run(2, 1.0)])).is_empty());
    }

    #[test]
    fn the_busiest_is_the_mean_of_those_that_know_it() {
        let mut runs = vec![run(2, 1.0), run(2, 1.0), run(5, 1.0)];
        let known = runs[0].spread.busiest;
        runs[1].spread.pods.clear();
        runs[2].spread.pods.clear();
        let cases = compare(&runs);
        near(cases[0].busiest.unwrap(), known);
        assert_eq!(cases[1].busiest, None);
    }

    fn by(mode: Mode, rate: f64, busiest: f64) -> Measurement {
        let mut run = run(10, rate);
        (run.mode, run.spread.busiest) = (Some(mode), busiest);
        run
    }

    #[test]
    fn each_mode_is_a_configuration() {
        use Mode::{Client, Keepalive, NoKeepalive};
        let runs = [
            by(Keepalive, 100.0, 1.97),
            by(NoKeepalive, 20.0, 1.04),
            by(Client, 110.0, 1.0),
            by(Keepalive, 102.0, 1.67),
            by(NoKeepalive, 20.4, 1.02),
            by(Client, 112.2, 1.0),
        ];
        let cases = compare(&runs);
        assert_eq!(
            comparison_sentences(&cases),
            [
                "no-keepalive served 0.20 × the requests of keepalive (95%: 0.20 to 0.20): clearly less.",
                "client served 1.10 × the requests of keepalive (95%: 1.10 to 1.10): clearly more.",
                "The 2 intervals are not simultaneous: each of them misses the true ratio with 5% probability.",
            ]
        );
        assert_eq!(
            spread_sentence(&cases).unwrap(),
            "The busiest pod served 1.82 × its share with keepalive, 1.03 × with no-keepalive, 1.00 × with client."
        );
        assert_eq!(spread_sentence(&compare(&[run(2, 1.0), run(10, 1.0)])), None);
    }

    #[test]
    fn the_median_round_represents_a_configuration() {
        let mut runs = vec![run(2, 30.0), run(5, 9.0), run(2, 10.0), run(5, 7.0), run(2, 20.0), run(10, 1.0)];
        (runs[4].interrupted, runs[5].interrupted) = (true, true);
        let rates: Vec<f64> = median_rounds(&runs).iter().map(|run| run.requests_per_second.average).collect();
        assert_eq!(rates, [10.0, 7.0, 1.0]);
    }
}
