//! How each configuration treats a pod that an event made slow.

use super::configuration::Configuration;
use super::{mean, rounds};
use crate::{Measurement, RequestTimes, SlowPod, SlowPodLoad};

/// The load while an event made a pod slow, over all rounds of a configuration. A mean is of the rounds in which the value
/// is known.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowPodSummary {
    /// The configuration.
    pub configuration: Configuration,
    /// The event, in a few words.
    pub what: String,
    /// The share of one pod if the requests were even.
    pub even_share: Option<f64>,
    /// The part of all requests that met the slow pod.
    pub share: Option<f64>,
    /// The same before the event.
    pub share_before: Option<f64>,
    /// The 99th percentile of the slow pod, in microseconds.
    pub pod_p99_us: Option<f64>,
    /// The same of all other pods.
    pub others_p99_us: Option<f64>,
    /// The same of all requests.
    pub all_p99_us: Option<f64>,
}

/// A summary for each configuration and each of its events that made a pod slow. Interrupted runs are left out.
#[must_use]
pub fn slow_pod_summaries(runs: &[Measurement]) -> Vec<SlowPodSummary> {
    let cases = rounds(runs);
    cases.iter().flat_map(|(configuration, rounds)| summaries(configuration, rounds)).collect()
}

fn summaries(configuration: &Configuration, rounds: &[&Measurement]) -> Vec<SlowPodSummary> {
    let most = rounds.iter().map(|run| slow_pods(run).count()).max().unwrap_or(0);
    (0..most).filter_map(|at| summary(configuration, rounds, at)).collect()
}

/// The events of a run that made a pod slow.
fn slow_pods(run: &Measurement) -> impl Iterator<Item = (&str, &SlowPod)> {
    run.events.iter().filter_map(|event| Some((event.what.as_str(), event.slow_pod.as_ref()?)))
}

/// The summary of the events at one place in their order.
fn summary(configuration: &Configuration, rounds: &[&Measurement], at: usize) -> Option<SlowPodSummary> {
    let events: Vec<(&str, &SlowPod)> = rounds.iter().filter_map(|run| slow_pods(run).nth(at)).collect();
    let (what, _) = *events.first()?;
    let loads = || events.iter().filter_map(|(_, slow)| slow.load.as_ref());
    let share = |of: fn(&SlowPodLoad) -> Option<f64>| mean(loads().filter_map(of));
    let p99 = |of: fn(&SlowPodLoad) -> RequestTimes| {
        let known = loads().map(of).filter(|times| times.requests > 0);
        mean(known.map(|times| as_f64(times.p99_us)))
    };
    Some(SlowPodSummary {
        configuration: configuration.clone(),
        what: what.to_owned(),
        even_share: mean(events.iter().filter_map(|(_, slow)| slow.even_share)),
        share: share(|load| load.share),
        share_before: share(|load| load.share_before),
        pod_p99_us: p99(|load| load.of_pod),
        others_p99_us: p99(|load| load.of_others),
        all_p99_us: p99(|load| load.of_all),
    })
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of a day")]
fn as_f64(us: u64) -> f64 {
    us as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::run;
    use crate::{Event, Mode};

    fn slow(what: &str, share: Option<f64>, p99_us: u64) -> Event {
        let times = |requests| RequestTimes { requests, p50_us: 1, p99_us };
        let load =
            SlowPodLoad { share, of_pod: times(u64::from(p99_us > 0)), of_all: times(9), ..SlowPodLoad::default() };
        let slow_pod = SlowPod { even_share: Some(0.25), load: Some(load), ..SlowPod::default() };
        Event { what: what.into(), slow_pod: Some(slow_pod), ..Event::default() }
    }

    #[test]
    fn rounds_are_averaged_where_they_are_known() {
        let with = |mode, events: Vec<Event>| {
            let mut run = run(2, 100.0);
            run.mode = Some(mode);
            run.events = events;
            run
        };
        let other = Event { what: "delete a pod".into(), ..Event::default() };
        let mut interrupted = with(Mode::Client, vec![slow("throttle", Some(0.9), 9)]);
        interrupted.interrupted = true;
        let runs = [
            with(Mode::Keepalive, vec![slow("throttle", Some(0.2), 400)]),
            with(Mode::Client, vec![other.clone(), slow("throttle", Some(0.02), 100), slow("pause", Some(0.0), 0)]),
            with(Mode::Keepalive, vec![slow("throttle", Some(0.3), 600)]),
            with(Mode::Client, vec![other, slow("throttle", None, 0)]),
            interrupted,
        ];
        let summaries = slow_pod_summaries(&runs);
        let figures: Vec<_> = summaries
            .iter()
            .map(|each| (each.configuration.mode.unwrap(), each.what.as_str(), each.share, each.pod_p99_us))
            .collect();
        assert_eq!(
            figures,
            [
                (Mode::Keepalive, "throttle", Some(0.25), Some(500.0)),
                (Mode::Client, "throttle", Some(0.02), Some(100.0)),
                (Mode::Client, "pause", Some(0.0), None),
            ]
        );
        assert!(slow_pod_summaries(&[run(2, 100.0)]).is_empty());
    }
}
