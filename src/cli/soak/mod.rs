//! `evenkeel soak`: the promises, each under load, with as many rounds as one likes.

mod promise;
mod rows;
mod wrk;

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Serialize;

use super::context::{Context, require_root};
use super::live_line::some;
use super::output;
use super::series::{Series, Workplace};
use crate::cluster::{self, Access};
use crate::config::{Replicas, parse_positive};
use crate::error::Error;
use crate::experiment::{Case, LONGEST_RUN, Trial};
use crate::progress::{Progress, Step};
use crate::shutdown::Interrupted;
use crate::toolbox::{Program, Toolbox};
use crate::workload::event::{self, Stage};
use crate::workload::{self, Baseline};
use evenkeel_load::{self as load, LoadPlan, Target};
use evenkeel_measure::{Measurement, Mode};
use promise::{Part, Promise};
use rows::Row;

/// Of so many pods one is killed.
const KILLED_OF: Replicas = Replicas::of::<10>();
/// A container is killed this long after the one before: time for a new one, and then for two seconds of the usual load.
/// The kubelet looks at its containers each second; ten kills fall evenly on the tenths of that second.
const BETWEEN_KILLS: Duration = Duration::from_millis(5300);
/// The most rounds of what kills a component: each of seven.
const MOST_KILLS: u32 = 20;
/// The variable that says how long a pod drains.
const DRAIN: &str = "DRAIN_SECONDS";

/// How the rounds of a part are made.
#[derive(Clone, Copy)]
struct Terms {
    mode: Mode,
    rounds: u32,
    /// Rounds that are made in one run.
    in_a_run: u32,
    /// Whether each run begins with new pods: what crashed often is held back by the kubelet, ever longer.
    fresh: bool,
    /// The time from one event to the next; none for a second after it is over.
    every: Option<Duration>,
}

/// One round, with connections that are kept.
const KEEPALIVE: Terms = Terms { mode: Mode::Keepalive, rounds: 1, in_a_run: 25, fresh: false, every: None };

/// Arguments of `soak`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rounds of each event; at most 20 of those that kill a component
    #[arg(long, value_name = "N", default_value = "3", value_parser = parse_positive::<NonZeroU32>)]
    #[arg(allow_negative_numbers = true)]
    rounds: NonZeroU32,
    /// Connections, keep-alive or a new one for each request
    #[arg(short, long, value_name = "N", default_value = "30", value_parser = parse_positive::<NonZeroU32>)]
    #[arg(allow_negative_numbers = true)]
    connections: NonZeroU32,
    /// Only these parts
    #[arg(long, value_enum, value_name = "PART,…", value_delimiter = ',')]
    only: Vec<Part>,
    /// Send the load of the first part by wrk as well, which must be installed
    #[arg(long)]
    wrk: bool,
}

/// What came of it.
#[derive(Serialize)]
struct Report<'a> {
    schema_version: u32,
    connections: u32,
    rows: &'a [Row],
}

/// What all parts share.
struct Soak<'a> {
    context: &'a Context,
    /// The same, but silent: of hundreds of events none is worth a line.
    quiet: Context,
    access: &'a Access,
    toolbox: &'a Toolbox,
    /// The Deployment as it was, and as it is after each part.
    before: Baseline,
    endpoint: Target,
    connections: NonZeroU32,
    rounds: NonZeroU32,
    rows: Vec<Row>,
}

impl Args {
    /// Makes all rounds, and shows each promise with what was seen.
    ///
    /// # Errors
    /// [`Error::BadValue`], [`Error::NoLab`], [`Error::NoWorkload`] and more; after the table [`Error::PromisesBroken`],
    /// [`Error::Interrupted`].
    pub async fn run(&self, context: &Context) -> Result<(), Error> {
        let (rounds, connections) = (self.rounds, self.connections);
        load::ensure_descriptors(connections)?;
        require_root("soak")?;
        let (lab, _lock) = context.lab_to_change("soak").await?;
        let toolbox = context.toolbox(false).await?;
        let endpoint = workload::endpoint(&lab.client).await?;
        workload::guard(endpoint.address, &context.name.link(), toolbox.path(Program::Ip)).await?;
        let quiet = Context {
            name: context.name.clone(),
            paths: context.paths.clone(),
            json: context.json,
            progress: Progress::silent(),
            shutdown: context.shutdown.clone(),
        };
        let (access, toolbox) = (&lab.access(Some(&toolbox)), &toolbox);
        let before = Baseline::now(&lab.client).await?;
        let mut soak =
            Soak { context, quiet, access, toolbox, before, endpoint, connections, rounds, rows: Vec::new() };
        let outcome = soak.parts(&self.only, self.wrk).await;
        if context.json {
            let report = Report { schema_version: 1, connections: connections.get(), rows: &soak.rows };
            output::json(&report)?;
        } else {
            output::text(&rows::table(&soak.rows))?;
        }
        outcome?;
        let broken: Vec<String> = soak.rows.iter().filter_map(Row::broken).collect();
        if broken.is_empty() { Ok(()) } else { Err(Error::PromisesBroken { broken }) }
    }
}

impl Soak<'_> {
    async fn parts(&mut self, only: &[Part], wrk: bool) -> Result<(), Error> {
        for part in [Part::Pods, Part::KillPod, Part::Components, Part::Pause, Part::Control] {
            if only.is_empty() || only.contains(&part) {
                let outcome = Box::pin(self.one(part, wrk)).await;
                self.put_back(outcome).await?;
            }
        }
        Ok(())
    }

    async fn one(&mut self, part: Part, wrk: bool) -> Result<(), Error> {
        let rounds = self.rounds.get();
        let terms_of_kills = Terms { rounds: rounds.min(MOST_KILLS), ..KEEPALIVE };
        match part {
            Part::Pods => self.pods(wrk).await,
            Part::KillPod => {
                self.scale(KILLED_OF).await?;
                let terms = Terms { rounds, in_a_run: 10, fresh: true, every: Some(BETWEEN_KILLS), ..KEEPALIVE };
                self.part(&[promise::kill_pod()], terms).await
            }
            Part::Components => self.part(&promise::of_components(), terms_of_kills).await,
            Part::Pause => self.part(&[promise::pause()], KEEPALIVE).await,
            Part::Control => {
                // Pods that do not drain: a promise that could not be broken would be worth nothing.
                event::set_variable(&self.stage(), DRAIN, "0").await?;
                self.part(&[promise::control()], terms_of_kills).await
            }
        }
    }

    async fn pods(&mut self, wrk: bool) -> Result<(), Error> {
        let image = self.before.image().to_owned();
        let again = format!("{}-again", image.split('@').next().unwrap_or(&image));
        let access = self.access;
        let cluster = access.require_lab("giving an image another name")?;
        cluster::tag_image(cluster, self.toolbox, &image, &again).await?;
        let promises = promise::of_pods([again.clone(), image]);
        let mut outcome = self.both_loads(&promises).await;
        if outcome.is_ok() && wrk {
            outcome = self.by_wrk(&promises).await;
        }
        // The other name goes only when no pod will be created from it any more.
        let outcome = self.put_back(outcome).await;
        let untagged = cluster::untag_image(cluster, self.toolbox, &again).await;
        if let Err(error) = untagged {
            self.context.progress.note(format!("the image's other name {again} could not be removed: {error}"));
        }
        outcome
    }

    /// Puts the Deployment back as it was before the soak, whatever became of the part that changed it. The Deployment is
    /// changed even after an interruption; then only the pods are not waited for.
    async fn put_back(&self, outcome: Result<(), Error>) -> Result<(), Error> {
        match (outcome, self.before.restore(&self.stage()).await) {
            (Ok(()), restored) => restored,
            (Err(error), Ok(()) | Err(Error::Interrupted(_))) => Err(error),
            (Err(error), Err(why)) => {
                self.context.progress.note(format!("the Deployment could not be put back as it was: {why}"));
                Err(error)
            }
        }
    }

    async fn both_loads(&mut self, promises: &[Promise]) -> Result<(), Error> {
        let terms = Terms { rounds: self.rounds.get(), ..KEEPALIVE };
        self.part(promises, terms).await?;
        self.part(promises, Terms { mode: Mode::NoKeepalive, ..terms }).await
    }

    fn stage(&self) -> Stage<'_> {
        let Context { progress, shutdown, .. } = &self.quiet;
        Stage { access: self.access, progress, shutdown }
    }

    async fn scale(&self, replicas: Replicas) -> Result<(), Error> {
        let Context { progress, shutdown, .. } = &self.quiet;
        workload::scale(self.access, replicas, progress, shutdown).await?;
        Ok(())
    }

    /// Rounds of all `promises`, in turn, under one kind of load; a row each.
    async fn part(&mut self, promises: &[Promise], terms: Terms) -> Result<(), Error> {
        let Terms { mode, rounds, .. } = terms;
        let name = promises.iter().map(|promise| promise.name).collect::<Vec<_>>().join(", ");
        let step = self.context.progress.step(format!("{name} ({mode}, {})", some(rounds, "round")));
        let mut runs: Vec<Measurement> = Vec::new();
        let mut past = 0;
        while past < rounds {
            let now = (rounds - past).min(terms.in_a_run);
            if terms.fresh {
                event::restart(&self.stage()).await?;
            }
            let run = self.load(promises, Terms { rounds: now, ..terms }, past, &step).await?;
            let interrupted = run.interrupted;
            runs.push(run);
            if interrupted {
                break;
            }
            past += now;
        }
        let rows = promises.iter().map(|promise| Row::new(promise, mode, &runs));
        self.rows.extend(rows);
        if runs.last().is_some_and(|run| run.interrupted) {
            return Err(Interrupted.into());
        }
        self.rows.extend(Row::between(promises, mode, &runs));
        step.done();
        Ok(())
    }

    async fn load(&self, promises: &[Promise], terms: Terms, past: u32, step: &Step) -> Result<Measurement, Error> {
        let mut events = promise::rounds(promises, terms.rounds, past);
        if let Some(every) = terms.every {
            (1..).zip(&mut events).for_each(|(number, event)| event.at = Some(every * number));
        }
        let plan = LoadPlan { warm_up: Duration::from_secs(1), ..LoadPlan::new(self.connections, LONGEST_RUN) };
        let trial = Trial {
            cases: vec![Case { mode: Some(terms.mode), replicas: None }],
            events,
            ends_with_events: true,
            ..Trial::of(plan)
        };
        let ip = self.toolbox.path(Program::Ip);
        let workplace = Workplace { access: self.access, ip };
        let mut series = Series::new(&self.quiet, Some(workplace), self.endpoint.clone(), trial).await;
        Box::pin(series.quietly(step)).await
    }

    /// The first part's events under wrk, which knows nothing of this program.
    async fn by_wrk(&mut self, promises: &[Promise]) -> Result<(), Error> {
        for mode in [Mode::Keepalive, Mode::NoKeepalive] {
            let rounds = self.rounds.get();
            let step = self.context.progress.step(format!("the same by wrk ({mode}, {rounds} rounds)"));
            let events = promise::rounds(promises, rounds, 0);
            let row = wrk::run(&self.stage(), &self.endpoint, self.connections, mode, &events).await?;
            self.rows.push(Row { rounds, ..row });
            step.done();
        }
        Ok(())
    }
}
