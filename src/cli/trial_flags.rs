//! Flags that say which runs a test makes.

use std::num::NonZeroU32;

use super::load_flags::Load;
use crate::cli::error::Error;
use crate::config::{InvalidValue, Replicas, parse_positive};
use crate::experiment::{Case, Trial};
use crate::workload::event::Planned;
use evenkeel_load as load;
use evenkeel_measure::{Mode, Protocol, Way};

/// Flags for several runs and for events.
#[derive(Debug, clap::Args)]
pub struct TrialFlags {
    /// Scale to each of these numbers of pods, and run at each [default: no scaling]
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', value_parser = at_least_pods::<1>, conflicts_with = "target")]
    #[arg(allow_negative_numbers = true)]
    replicas: Vec<Replicas>,
    /// Number of rounds; each round runs everything that is compared [default: 1, or 5 shorter ones in a comparison
    /// without a duration]
    #[arg(long, value_name = "N", value_parser = parse_positive::<NonZeroU32>, allow_negative_numbers = true)]
    repeat: Option<NonZeroU32>,
    /// Who chooses the pod: the Service, for each connection, or the client, for each request
    #[arg(long, value_name = "WHO", default_value = "service", conflicts_with = "target")]
    balance: Balance,
    /// Compare ways to reach the same pods: keepalive, no-keepalive, client and round-robin, over HTTP/1.1 or the protocol of
    /// --http2 or --grpc; or http2 and grpc, also as http2-client and so on, beside the others over HTTP/1.1; local and cluster,
    /// also as no-keepalive-local and so on, with this externalTrafficPolicy of the Service
    #[arg(long, value_name = "WAY,WAY,…", value_delimiter = ',', value_parser = way)]
    #[arg(conflicts_with_all = ["balance", "no_keepalive", "reconnect_every"])]
    compare: Vec<Way>,
    /// Events during the run. Pods: scale:2..10..2, rollout, rollout:IMAGE, kill-pod, delete-pod, throttle-pod:10%=10s,
    /// pause-pod=3s, delay-pod:50ms=10s. Components: kill:COMPONENT, pause:COMPONENT=5s, each also with @NODE after the
    /// component, kill-control-plane, pause-control-plane=30s. Nodes: drain:NODE, cordon:NODE, uncordon:NODE, add-node, remove-node:NODE,
    /// kill-node:NODE, restart-node:NODE, pause-node:NODE=5s, partition:NODE=10s, lose:NODE:5%=10s, delay:NODE:20ms=10s. An
    /// event begins at its @TIME; without it, when the event before is over. Without --duration, the run ends when all
    /// events are over
    #[arg(long, value_name = "EVENT,…", value_delimiter = ',', value_parser = Steps::parse, conflicts_with = "target")]
    during: Vec<Steps>,
}

/// Who chooses the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Balance {
    /// kube-proxy, for each connection
    Service,
    /// The load generator, for each request: the less loaded of two random pods
    Client,
    /// The load generator, for each request: in turn the pods that the DNS name of a headless Service has
    RoundRobin,
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
    /// Whether runs over different protocols are compared.
    #[must_use]
    pub fn compare_protocols(&self) -> bool {
        self.compare.iter().any(|way| way.protocol != Protocol::Http1)
    }

    /// The trial that the flags describe, with runs of `load` against so many `services`.
    ///
    /// # Errors
    /// [`Error::BadValue`] for flags that contradict each other.
    pub fn trial(&self, load: Load, services: usize) -> Result<Trial, Error> {
        self.check_ways(&load, services)?;
        let has_end = load.has_end;
        let events: Vec<Planned> = self.during.iter().flat_map(|steps| steps.0.clone()).collect();
        let mut trial = Trial { cases: self.cases(services), events, ..Trial::of(load.plan) };
        if self.compare_protocols() {
            (trial.plan.request, trial.grpc) = load.requests;
            (trial.plan.protocol, trial.streams) = (load::Protocol::Http1, load.streams);
        }
        if !trial.events.is_empty() && !has_end {
            trial = trial.ended_by_events();
        }
        match self.repeat {
            Some(rounds) => Ok(Trial { rounds: rounds.get(), ..trial }),
            None if has_end || trial.ends_with_events || trial.cases.len() == 1 => Ok(trial),
            None => Ok(trial.in_rounds()),
        }
    }

    fn cases(&self, services: usize) -> Vec<Case> {
        let by_protocol = self.compare_protocols();
        let mode = match self.balance {
            Balance::Service => None,
            Balance::Client => Some(Mode::Client),
            Balance::RoundRobin => Some(Mode::RoundRobin),
        };
        let of_way = |way: &Way| (by_protocol.then_some(way.protocol), Some(way.mode), way.policy);
        let ways =
            if self.compare.is_empty() { vec![(None, mode, None)] } else { self.compare.iter().map(of_way).collect() };
        let counts = or_none(&self.replicas);
        let mut cases = Vec::new();
        for service in 0..services {
            for &(protocol, mode, policy) in &ways {
                cases.extend(counts.iter().map(|&replicas| Case { service, protocol, mode, policy, replicas }));
            }
        }
        cases
    }

    /// A comparison needs different ways and at most one number of pods.
    fn check_ways(&self, load: &Load, services: usize) -> Result<(), Error> {
        let ways = &self.compare;
        let given = || ways.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let bad = |why: &str| Err(Error::BadValue { what: "--compare", given: given(), why: why.into() });
        if (ways.len() == 1 && services < 2) || (1..ways.len()).any(|at| ways[..at].contains(&ways[at])) {
            return bad("expected at least two different ways");
        }
        if !ways.is_empty() && self.replicas.len() > 1 {
            return bad("ways are compared at one number of pods, but --replicas has several");
        }
        if self.compare_protocols() && load.over_http2 {
            return bad(
                "http2 and grpc name their own protocol, and the other ways are over HTTP/1.1, so expected no --http2",
            );
        }
        if ways.iter().any(|way| way.protocol == Protocol::Grpc) && load.requests.1.is_none() {
            return bad("a way over gRPC needs the method to call, so expected --grpc SERVICE/METHOD with it");
        }
        if self.compare_protocols()
            && load.requests.1.is_some()
            && ways.iter().all(|way| way.protocol != Protocol::Grpc)
        {
            return bad("--grpc is given, but no way over gRPC, so expected grpc or grpc-client among them");
        }
        Ok(())
    }
}

/// Each of `values`, or only `None` if there are none.
fn or_none<T: Copy>(values: &[T]) -> Vec<Option<T>> {
    if values.is_empty() { vec![None] } else { values.iter().copied().map(Some).collect() }
}

/// Parses a number of pods that is at least `LEAST`. A load needs one, so that requests can be answered.
pub(super) fn at_least_pods<const LEAST: u32>(text: &str) -> Result<Replicas, InvalidValue> {
    let expected = || InvalidValue::expected(format!("a whole number from {LEAST} to {}", Replicas::MAX));
    text.parse().ok().filter(|replicas: &Replicas| replicas.get() >= LEAST).ok_or_else(expected)
}

fn way(text: &str) -> Result<Way, InvalidValue> {
    let expected = "keepalive, no-keepalive, client, round-robin, http2, grpc, local, cluster, or some of them together such as \
                    grpc-client and http2-local";
    text.trim().parse().map_err(|()| InvalidValue::expected(expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::load_flags::LoadFlags;
    use crate::experiment::LONGEST_RUN;
    use clap::Parser;
    use evenkeel_load::{LoadPlan, RequestTemplate};
    use evenkeel_measure::TrafficPolicy;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        trial: TrialFlags,
        #[command(flatten)]
        load: LoadFlags,
        #[arg(long)]
        target: Option<String>,
        #[arg(long)]
        service: Option<String>,
    }

    /// The exit code is 2 for a bad value, whether clap or the trial refuses it.
    fn trial_of(arguments: &[&str], services: usize) -> Result<Trial, String> {
        let cli = Cli::try_parse_from([&["test"], arguments].concat()).map_err(|error| {
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        })?;
        assert_eq!((cli.target, cli.service), (None, None));
        let load = cli.load.load(cli.trial.compare_protocols());
        load.and_then(|load| cli.trial.trial(load, services)).map_err(|error| {
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        })
    }

    /// The trial, where a flag says when a run ends or not.
    fn trial(arguments: &[&str], said: bool) -> Result<Trial, String> {
        let end: &[&str] = if said { &["-d", "30s"] } else { &[] };
        trial_of(&[arguments, end].concat(), 1)
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
    fn ways_are_compared_at_one_number_of_pods() {
        let all =
            trial(&["--compare", "keepalive, no-keepalive,client,round-robin", "--replicas", "10"], true).unwrap();
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
    fn policies_are_ways_through_the_service() {
        let ways = "keepalive,local,cluster,no-keepalive-local,client";
        let trial = trial(&["--compare", ways], false).unwrap();
        let (local, cluster) = (Some(TrafficPolicy::Local), Some(TrafficPolicy::Cluster));
        let policies: Vec<_> = trial.cases.iter().map(|case| (case.mode.unwrap(), case.policy)).collect();
        let kept = |policy| (Mode::Keepalive, policy);
        assert_eq!(
            policies,
            [kept(None), kept(local), kept(cluster), (Mode::NoKeepalive, local), (Mode::Client, None)]
        );
        assert!(trial.sets_policies() && trial.requirements(0).external_policy && trial.rounds == 5);
        assert_eq!(trial.plan_of(trial.cases[1]), trial.plan_of(trial.cases[2]));
        let http2 = trial_of(&["--compare", "local,cluster", "--http2"], 1).unwrap();
        assert!(http2.cases.iter().all(|case| case.protocol.is_none()));
        let without = trial_of(&["--compare", "keepalive,client"], 1).unwrap();
        assert!(!without.sets_policies() && !without.requirements(0).external_policy);
        for bad in ["local", "local,local", "local,client-cluster", "Local,Cluster"] {
            assert!(trial_of(&["--compare", bad], 1).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mode_is_a_change_of_the_plan() {
        let trial = trial(&["--compare", "keepalive,no-keepalive,client"], true).unwrap();
        assert!(trial.knows_pods());
        let plan_in = |mode| trial.plan_of(Case { mode: Some(mode), ..Case::default() });
        for mode in [Mode::Keepalive, Mode::Client] {
            assert_eq!(plan_in(mode), trial.plan);
        }
        assert_eq!(Trial { rounds: 5, ..trial.clone() }.uniformity_tests(), 10, "two of three modes in five rounds");
        let without = plan_in(Mode::NoKeepalive);
        assert_eq!(without.responses_per_connection, Some(NonZeroU32::MIN));
        assert_eq!(without.request, RequestTemplate::default().close());
    }

    #[test]
    fn protocols_are_compared_with_as_many_requests_in_flight() {
        let ways = "keepalive,http2,grpc,grpc-client,http2-no-keepalive";
        let call = ["--grpc", "a.B/C", "--body", "x", "--path", "/p", "-c", "30"];
        let plans = |more: &[&str]| {
            let trial = trial(&[&["--compare", ways], &call[..], more].concat(), true).unwrap();
            trial.cases.iter().map(|case| trial.plan_of(*case)).collect::<Vec<_>>()
        };
        let shape = |plan: &LoadPlan| (plan.connections.get(), plan.streams(), plan.request.is_grpc());
        let one: Vec<_> = plans(&[]).iter().map(shape).collect();
        assert_eq!(one, [(30, 1, false), (1, 30, false), (1, 30, true), (1, 30, true), (30, 1, false)]);
        let ten: Vec<_> = plans(&["--streams", "10"]).iter().map(shape).collect();
        assert_eq!(ten[..3], [(30, 1, false), (3, 10, false), (3, 10, true)]);
        let more: Vec<_> = plans(&["--streams", "100"]).iter().map(shape).collect();
        assert_eq!(more[1], (1, 30, false), "there are not so many requests in flight");
    }

    #[test]
    fn without_protocols_the_ways_are_over_that_of_the_flags() {
        let trial = trial(&["--compare", "keepalive,client", "--grpc", "a.B/C", "--streams", "5"], true).unwrap();
        for case in &trial.cases {
            let plan = trial.plan_of(*case);
            assert_eq!((plan.connections.get(), plan.streams(), plan.request.is_grpc()), (30, 5, true));
        }
    }

    #[test]
    fn protocols_that_cannot_be_compared_are_refused() {
        let refused = |arguments: &[&str], why: &str| {
            let error = trial(arguments, true).unwrap_err();
            assert!(error.contains(why), "{arguments:?}: {error}");
        };
        refused(&["--compare", "keepalive,grpc"], "expected --grpc SERVICE/METHOD");
        refused(&["--compare", "keepalive,http2", "--http2"], "expected no --http2");
        refused(&["--compare", "keepalive,http2", "--grpc", "a.B/C"], "expected grpc or grpc-client");
        refused(&["--grpc", "a.B/C", "--path", "/p"], "--method and --path are only for a comparison");
        refused(&["--streams", "5"], "expected --http2 or --grpc");
        refused(&["--streams", "5", "--compare", "keepalive,client"], "expected --http2 or --grpc");
    }

    #[test]
    fn several_services_are_compared() {
        let both = trial_of(&["-d", "1s"], 2).unwrap();
        assert_eq!(both.cases.iter().map(|case| case.service).collect::<Vec<_>>(), [0, 1]);
        let ways = trial_of(&["--compare", "keepalive,http2"], 2).unwrap();
        let cases: Vec<_> = ways.cases.iter().map(|case| (case.service, case.protocol.unwrap())).collect();
        assert_eq!(cases, [0, 1].map(|at| [(at, Protocol::Http1), (at, Protocol::Http2)]).concat());
        assert_eq!((ways.rounds, ways.plan.duration.as_secs()), (5, 6));
        assert!(trial_of(&["--compare", "http2"], 2).is_ok() && trial_of(&["--compare", "http2"], 1).is_err());
        let scaled = trial_of(&["--replicas", "10"], 2).unwrap();
        assert!(scaled.requirements(0).scaling && !scaled.requirements(1).scaling, "only the first one is scaled");
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
        assert_eq!(trial(&[], true).unwrap().cases, [Case::default()]);
        let client = trial(&["--balance", "client"], true).unwrap();
        assert_eq!(client.cases, [Case { mode: Some(Mode::Client), ..Case::default() }]);
        assert!(Cli::try_parse_from(["test", "--balance", "fate"]).is_err());
        assert!(Cli::try_parse_from(["test", "--balance", "client", "--target", "http://127.0.0.1/"]).is_err());
    }
}
