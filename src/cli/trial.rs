//! Which runs a test makes, in which order.

use std::num::NonZeroU32;

use super::load_flags::{LONGEST, positive};
use crate::config::Replicas;
use crate::error::Error;
use crate::load::Plan;
use crate::measure::Mode;
use crate::workload::event::Planned;

/// Rounds of a comparison when nothing is said, each run in so many parts of the usual time: enough for a useful interval.
const USUAL_ROUNDS: u32 = 5;

/// Flags of what is compared.
#[derive(Debug, clap::Args)]
pub struct TrialFlags {
    /// Scale to each of these numbers of pods and run there; without it, at the number there is
    #[arg(long, value_name = "N,N,…", allow_negative_numbers = true, conflicts_with = "target")]
    replicas: Option<String>,
    /// Rounds, in each of which all that is compared has its turn [default: 1; 5 shorter ones where something is compared
    /// and nothing said about how long]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    repeat: Option<String>,
    /// Who chooses the pod: the Service, for each connection, or the client, for each request, straight to the pods
    #[arg(long, value_name = "WHO", default_value = "service", conflicts_with = "target")]
    balance: Balance,
    /// Compare ways to reach the same pods: two or three of keepalive,no-keepalive,client
    #[arg(long, value_name = "MODE,MODE,…", conflicts_with_all = ["balance", "no_keepalive", "reconnect_every"])]
    compare: Option<String>,
    /// What happens while load runs: scale:2..10..2, rollout, rollout:IMAGE, kill-pod, delete-pod, kill:COMPONENT or
    /// pause:COMPONENT=5s, each with @TIME behind it, or after the one before; without --duration the run ends when all
    /// is over
    #[arg(long, value_name = "EVENT,…", value_delimiter = ',', conflicts_with = "target")]
    during: Vec<String>,
}

/// Who chooses the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Balance {
    /// kube-proxy, by connection
    Service,
    /// The load generator, by request
    Client,
}

/// One kind of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// How requests reach the pods; none where that is as the plan says.
    pub mode: Option<Mode>,
    /// To how many pods is scaled; none where there are as many as there are.
    pub replicas: Option<Replicas>,
}

/// All runs of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What each run does.
    pub plan: Plan,
    /// What is compared; never empty.
    pub cases: Vec<Case>,
    /// How often each case has its turn.
    pub rounds: u32,
    /// What happens during each run.
    pub events: Vec<Planned>,
    /// Whether a run ends when its events are over.
    pub ends_with_events: bool,
}

impl TrialFlags {
    /// What they say, for runs of `plan`, whose end was `said` or not.
    ///
    /// # Errors
    /// [`Error::BadValue`] and [`Error::BadReplicas`].
    pub fn trial(&self, plan: Plan, said: bool) -> Result<Trial, Error> {
        let counts = self.replicas.as_deref().map(counts).transpose()?.unwrap_or_default();
        let modes = self.compare.as_deref().map(modes).transpose()?.unwrap_or_default();
        if let (Some(given), true) = (&self.compare, counts.len() > 1) {
            let why = "it compares at one number of pods, and --replicas has several".into();
            return Err(Error::BadValue { what: "--compare", given: given.clone(), why });
        }
        let mode = (self.balance == Balance::Client).then_some(Mode::Client);
        let modes = if modes.is_empty() { vec![mode] } else { modes.into_iter().map(Some).collect() };
        let counts = if counts.is_empty() { vec![None] } else { counts.into_iter().map(Some).collect() };
        let cases = modes.iter().flat_map(|&mode| counts.iter().map(move |&replicas| Case { mode, replicas }));
        let events = self.during.iter().map(|given| Planned::parse(given)).collect::<Result<Vec<_>, _>>()?.concat();
        let mut trial = Trial { cases: cases.collect(), events, ..Trial::of(plan) };
        if !trial.events.is_empty() && !said {
            trial.ends_with_events = true;
            trial.plan.duration = LONGEST;
        }
        match &self.repeat {
            Some(given) => Ok(Trial { rounds: positive::<NonZeroU32>("--repeat", given)?.get(), ..trial }),
            None if said || trial.ends_with_events || trial.cases.len() == 1 => Ok(trial),
            None => Ok(trial.in_rounds()),
        }
    }
}

impl Trial {
    /// One run of `plan`.
    #[must_use]
    pub fn of(plan: Plan) -> Self {
        let cases = vec![Case { mode: None, replicas: None }];
        Self { plan, cases, rounds: 1, events: Vec::new(), ends_with_events: false }
    }

    /// One round at each of `counts`.
    #[must_use]
    pub fn at(counts: &[Replicas], plan: Plan) -> Self {
        let case = |replicas: &Replicas| Case { mode: None, replicas: Some(*replicas) };
        Self { cases: counts.iter().map(case).collect(), ..Self::of(plan) }
    }

    /// The same time in all, in rounds.
    fn in_rounds(mut self) -> Self {
        self.plan.duration /= USUAL_ROUNDS;
        Self { rounds: USUAL_ROUNDS, ..self }
    }

    /// Every run: round by round, so that what slows the machine for a while slows all that is compared.
    pub fn turns(&self) -> impl Iterator<Item = (u32, Case)> {
        (1..=self.rounds).flat_map(|round| self.cases.iter().map(move |case| (round, *case)))
    }

    /// How many runs are tested for a uniform choice of pods: all in which the client does not choose.
    #[must_use]
    pub fn uniformity_tests(&self) -> u32 {
        let tests = self.turns().filter(|(_, case)| case.mode != Some(Mode::Client)).count();
        u32::try_from(tests).unwrap_or(u32::MAX)
    }

    /// The numbers of pods that are scaled to.
    #[must_use]
    pub fn counts(&self) -> Vec<u32> {
        self.cases.iter().filter_map(|case| case.replicas).map(Replicas::get).collect()
    }

    /// Whether the client chooses the pods in one of the runs.
    #[must_use]
    pub fn knows_pods(&self) -> bool {
        self.cases.iter().any(|case| case.mode == Some(Mode::Client))
    }

    /// What a run in this mode does.
    #[must_use]
    pub fn plan_in(&self, mode: Option<Mode>) -> Plan {
        let plan = self.plan.clone();
        if mode == Some(Mode::NoKeepalive) { plan.without_keepalive() } else { plan }
    }
}

/// Numbers of pods with commas between.
pub(super) fn counts(given: &str) -> Result<Vec<Replicas>, Error> {
    let bad = |why: &str| Error::BadValue { what: "--replicas", given: given.to_owned(), why: why.into() };
    if given.trim().is_empty() {
        return Err(bad("it takes numbers of pods with commas between, like 2,5,10"));
    }
    let counts = given.split(',').map(|count| count.trim().parse()).collect::<Result<Vec<Replicas>, _>>()?;
    if counts.iter().any(|count| count.get() == 0) {
        return Err(bad("a run needs at least one pod"));
    }
    Ok(counts)
}

/// Two modes or more, with commas between.
fn modes(given: &str) -> Result<Vec<Mode>, Error> {
    let bad = |why: &str| Error::BadValue { what: "--compare", given: given.to_owned(), why: why.into() };
    let modes = given.split(',').map(|mode| mode.trim().parse()).collect::<Result<Vec<Mode>, ()>>();
    let modes = modes.map_err(|()| bad("it takes keepalive, no-keepalive and client with commas between"))?;
    if modes.len() < 2 || modes.iter().enumerate().any(|(at, mode)| modes[..at].contains(mode)) {
        return Err(bad("it takes two or three different ones"));
    }
    Ok(modes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Request;
    use clap::Parser;
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

    fn trial(arguments: &[&str], said: bool) -> Result<Trial, Error> {
        let plan = Plan::new(NonZeroU32::MIN, Duration::from_secs(30));
        let cli = Cli::try_parse_from([&["test"], arguments].concat()).unwrap();
        assert_eq!((cli.target, cli.no_keepalive, cli.reconnect_every), (None, false, None));
        cli.trial.trial(plan, said)
    }

    #[test]
    fn lists_of_counts() {
        let parsed = |text: &str| counts(text).map(|list| list.iter().map(|count| count.get()).collect::<Vec<_>>());
        assert_eq!(parsed("2,5,10").unwrap(), [2, 5, 10]);
        assert_eq!(parsed("3").unwrap(), [3]);
        assert_eq!(parsed("2, 5").unwrap(), [2, 5]);
        for bad in ["", " ", ",", "2,x", "2,,5", "2,", "0", "2,0", "-1", "9999"] {
            let error = counts(bad).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{bad:?}: {error}");
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
    fn a_comparison_of_which_nothing_is_said_has_five_short_rounds() {
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
            assert_eq!(trial(&["--repeat", bad], false).unwrap_err().exit_code(), 2, "{bad}");
        }
    }

    #[test]
    fn modes_are_compared_at_one_number_of_pods() {
        let all = trial(&["--compare", "keepalive, no-keepalive,client", "--replicas", "10"], true).unwrap();
        assert_eq!(all.cases.iter().filter_map(|case| case.mode).collect::<Vec<_>>(), Mode::ALL);
        assert!(all.cases.iter().all(|case| case.replicas.is_some_and(|count| count.get() == 10)));
        for bad in ["client", "client,client", "keepalive,quick", "", "keepalive,"] {
            assert_eq!(trial(&["--compare", bad], true).unwrap_err().exit_code(), 2, "{bad:?}");
        }
        let error = trial(&["--compare", "keepalive,client", "--replicas", "2,5"], true).unwrap_err();
        assert!(error.to_string().contains("at one number of pods"), "{error}");
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
        assert_eq!(without.answers_per_connection, Some(NonZeroU32::MIN));
        assert_eq!(without.request, Request::default().close());
    }

    #[test]
    fn a_run_with_events_ends_with_them_unless_it_is_said_when() {
        let during = |said| trial(&["--during", "scale:2..10,rollout@9s", "--during", "kill-pod"], said).unwrap();
        let steps: Vec<String> = during(false).events.iter().map(|event| event.action.to_string()).collect();
        assert_eq!(steps, ["scale to 2 pods", "scale to 10 pods", "rolling restart", "kill a pod's server"]);
        assert!(during(false).ends_with_events && during(false).plan.duration == LONGEST);
        assert!(!during(true).ends_with_events && during(true).plan.duration.as_secs() == 30);
        assert!(!trial(&[], false).unwrap().ends_with_events);
        assert_eq!(trial(&["--during", "reboot"], false).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn the_client_balances_where_it_is_asked_to() {
        assert_eq!(trial(&[], true).unwrap().cases, [Case { mode: None, replicas: None }]);
        let client = trial(&["--balance", "client"], true).unwrap();
        assert_eq!(client.cases, [Case { mode: Some(Mode::Client), replicas: None }]);
        assert!(Cli::try_parse_from(["test", "--balance", "fate"]).is_err());
        assert!(Cli::try_parse_from(["test", "--balance", "client", "--target", "http://127.0.0.1/"]).is_err());
    }
}
