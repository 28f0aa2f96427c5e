//! Flags that say which runs a test makes.

use std::num::NonZeroU32;

use crate::cli::error::Error;
use crate::config::{InvalidValue, Replicas, parse_positive};
use crate::experiment::{Case, Trial};
use crate::workload::event::Planned;
use evenkeel_load::LoadPlan;
use evenkeel_measure::Mode;

/// Flags for several runs and for events.
#[derive(Debug, clap::Args)]
pub struct TrialFlags {
    /// Scale to each of these numbers of pods, and run at each [default: no scaling]
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', value_parser = at_least_one_pod, conflicts_with = "target")]
    #[arg(allow_negative_numbers = true)]
    replicas: Vec<Replicas>,
    /// Number of rounds; each round runs everything that is compared [default: 1, or 5 shorter ones in a comparison
    /// without a duration]
    #[arg(long, value_name = "N", value_parser = parse_positive::<NonZeroU32>, allow_negative_numbers = true)]
    repeat: Option<NonZeroU32>,
    /// Who chooses the pod: the Service, for each connection, or the client, for each request
    #[arg(long, value_name = "WHO", default_value = "service", conflicts_with = "target")]
    balance: Balance,
    /// Compare two or three ways to reach the same pods: keepalive, no-keepalive, client
    #[arg(long, value_name = "MODE,MODE,…", value_delimiter = ',', value_parser = mode)]
    #[arg(conflicts_with_all = ["balance", "no_keepalive", "reconnect_every"])]
    compare: Vec<Mode>,
    /// Events during the run: scale:2..10..2, rollout, rollout:IMAGE, kill-pod, delete-pod, kill:COMPONENT,
    /// pause:COMPONENT=5s, throttle-pod:10%=10s, pause-pod=3s or delay-pod:50ms=10s. An event begins at its @TIME; without it, when the event before is over. Without --duration,
    /// the run ends when all events are over
    #[arg(long, value_name = "EVENT,…", value_delimiter = ',', value_parser = Steps::parse, conflicts_with = "target")]
    during: Vec<Steps>,
}

/// Who chooses the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Balance {
    /// kube-proxy, for each connection
    Service,
    /// The load generator, for each request
    Client,
}

/// The steps of one event, in order.
#[derive(Clone, Debug)]
struct Steps(Vec<Planned>);

impl Steps {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        Planned::parse(text).map(Self)
    }
}

impl TrialFlags {
    /// The trial that the flags describe, with runs of `plan`. `has_end` says whether a flag ends a run.
    ///
    /// # Errors
    /// [`Error::BadValue`] for flags that contradict each other.
    pub fn trial(&self, plan: LoadPlan, has_end: bool) -> Result<Trial, Error> {
        self.check_modes()?;
        let mode = (self.balance == Balance::Client).then_some(Mode::Client);
        let modes = or_none(&self.compare, mode);
        let counts = or_none(&self.replicas, None);
        let cases = modes.iter().flat_map(|&mode| counts.iter().map(move |&replicas| Case { mode, replicas }));
        let events: Vec<Planned> = self.during.iter().flat_map(|steps| steps.0.clone()).collect();
        let mut trial = Trial { cases: cases.collect(), events, ..Trial::of(plan) };
        if !trial.events.is_empty() && !has_end {
            trial = trial.ended_by_events();
        }
        match self.repeat {
            Some(rounds) => Ok(Trial { rounds: rounds.get(), ..trial }),
            None if has_end || trial.ends_with_events || trial.cases.len() == 1 => Ok(trial),
            None => Ok(trial.in_rounds()),
        }
    }

    /// A comparison needs different modes and at most one number of pods.
    fn check_modes(&self) -> Result<(), Error> {
        let modes = &self.compare;
        let given = || modes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let bad = |why: &str| Err(Error::BadValue { what: "--compare", given: given(), why: why.into() });
        if modes.len() == 1 || modes.iter().enumerate().any(|(at, mode)| modes[..at].contains(mode)) {
            return bad("expected two or three different modes");
        }
        if !modes.is_empty() && self.replicas.len() > 1 {
            return bad("modes are compared at one number of pods, but --replicas has several");
        }
        Ok(())
    }
}

/// Each of `values`, or only `default` if there are none.
fn or_none<T: Copy>(values: &[T], default: Option<T>) -> Vec<Option<T>> {
    if values.is_empty() { vec![default] } else { values.iter().copied().map(Some).collect() }
}

/// Parses a number of pods above 0, so that requests can be answered.
pub(super) fn at_least_one_pod(text: &str) -> Result<Replicas, InvalidValue> {
    let expected = || InvalidValue::expected(format!("a whole number from 1 to {}", Replicas::MAX));
    text.parse().ok().filter(|replicas: &Replicas| replicas.get() > 0).ok_or_else(expected)
}

fn mode(text: &str) -> Result<Mode, InvalidValue> {
    text.trim().parse().map_err(|()| InvalidValue::expected("keepalive, no-keepalive or client"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::LONGEST_RUN;
    use clap::Parser;
    use evenkeel_load::RequestTemplate;
    use std::time::Duration;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        trial: TrialFlags,
        #[arg(long)]
        target: Option<String>,
        #[arg(long)]
        no_keepalive: bool,
        #[arg(long)]
        reconnect_every: Option<String>,
    }

    /// The exit code is 2 for a bad value, whether clap or the trial refuses it.
    fn trial(arguments: &[&str], said: bool) -> Result<Trial, String> {
        let plan = LoadPlan::new(NonZeroU32::MIN, Duration::from_secs(30));
        let cli = Cli::try_parse_from([&["test"], arguments].concat()).map_err(|error| {
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        })?;
        assert_eq!((cli.target, cli.no_keepalive, cli.reconnect_every), (None, false, None));
        cli.trial.trial(plan, said).map_err(|error| {
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        })
    }

    #[test]
    fn lists_of_counts() {
        let parsed = |text: &str| trial(&["--replicas", text], true).map(|trial| trial.counts());
        assert_eq!(parsed("2,5,10").unwrap(), [2, 5, 10]);
        assert_eq!(parsed("3").unwrap(), [3]);
        assert_eq!(parsed("2, 5").unwrap(), [2, 5]);
        for bad in ["", " ", ",", "2,x", "2,,5", "2,", "0", "2,0", "-1", "9999"] {
            let error = parsed(bad).unwrap_err();
            assert!(error.contains("expected a whole number from 1 to 480"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn rounds_take_turns() {
        let trial = trial(&["--replicas", "2,10", "--repeat", "2"], true).unwrap();
        let turns: Vec<_> = trial.turns().map(|(round, case)| (round, case.replicas.unwrap().get())).collect();
        assert_eq!(turns, [(1, 2), (1, 10), (2, 2), (2, 10)]);
        assert_eq!((trial.plan.duration.as_secs(), trial.counts()), (30, vec![2, 10]));
    }

    #[test]
    fn a_comparison_has_five_short_rounds_by_default() {
        let shape = |arguments: &[&str], said| {
            let trial = trial(arguments, said).unwrap();
            (trial.rounds, trial.plan.duration.as_secs())
        };
        assert_eq!(shape(&["--replicas", "2,5,10"], false), (5, 6));
        assert_eq!(shape(&["--compare", "keepalive,client"], false), (5, 6));
        assert_eq!(shape(&["--replicas", "2,5,10"], true), (1, 30));
        assert_eq!(shape(&["--replicas", "2,5,10", "--repeat", "3"], false), (3, 30));
        assert_eq!(shape(&["--replicas", "10"], false), (1, 30));
        assert_eq!(shape(&[], false), (1, 30));
        for bad in ["0", "-1", "x", "1.5"] {
            assert!(trial(&["--repeat", bad], false).is_err(), "{bad}");
        }
    }

    #[test]
    fn modes_are_compared_at_one_number_of_pods() {
        let all = trial(&["--compare", "keepalive, no-keepalive,client", "--replicas", "10"], true).unwrap();
        assert_eq!(all.cases.iter().filter_map(|case| case.mode).collect::<Vec<_>>(), Mode::ALL);
        assert!(all.cases.iter().all(|case| case.replicas.is_some_and(|count| count.get() == 10)));
        for bad in ["client", "client,client", "keepalive,quick", "", "keepalive,"] {
            assert!(trial(&["--compare", bad], true).is_err(), "{bad:?}");
        }
        let error = trial(&["--compare", "keepalive,client", "--replicas", "2,5"], true).unwrap_err();
        assert!(error.contains("at one number of pods"), "{error}");
        let both = ["test", "--compare", "keepalive,client", "--no-keepalive"];
        assert!(Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn a_mode_is_a_change_of_the_plan() {
        let trial = trial(&["--compare", "keepalive,no-keepalive,client"], true).unwrap();
        assert!(trial.knows_pods());
        for mode in [Mode::Keepalive, Mode::Client] {
            assert_eq!(trial.plan_in(Some(mode)), trial.plan);
        }
        assert_eq!(Trial { rounds: 5, ..trial.clone() }.uniformity_tests(), 10, "two of three modes in five rounds");
        let without = trial.plan_in(Some(Mode::NoKeepalive));
        assert_eq!(without.responses_per_connection, Some(NonZeroU32::MIN));
        assert_eq!(without.request, RequestTemplate::default().close());
    }

    #[test]
    fn a_run_with_events_ends_with_them_unless_a_flag_ends_it() {
        let during = |said| trial(&["--during", "scale:2..10,rollout@9s", "--during", "kill-pod"], said).unwrap();
        let steps: Vec<String> = during(false).events.iter().map(|event| event.action.to_string()).collect();
        assert_eq!(steps, ["scale to 2 pods", "scale to 10 pods", "rolling restart", "kill a pod's server"]);
        assert!(during(false).ends_with_events && during(false).plan.duration == LONGEST_RUN);
        assert!(!during(true).ends_with_events && during(true).plan.duration.as_secs() == 30);
        assert!(!trial(&[], false).unwrap().ends_with_events);
        assert!(trial(&["--during", "reboot"], false).unwrap_err().contains("kill:COMPONENT"));
    }

    #[test]
    fn the_client_balances_if_it_is_asked_to() {
        assert_eq!(trial(&[], true).unwrap().cases, [Case { mode: None, replicas: None }]);
        let client = trial(&["--balance", "client"], true).unwrap();
        assert_eq!(client.cases, [Case { mode: Some(Mode::Client), replicas: None }]);
        assert!(Cli::try_parse_from(["test", "--balance", "fate"]).is_err());
        assert!(Cli::try_parse_from(["test", "--balance", "client", "--target", "http://127.0.0.1/"]).is_err());
    }
}
