//! `evenkeel test`.

use std::path::PathBuf;

use super::context::{Context, Lab, require_root};
use super::load_flags::LoadFlags;
use super::output;
use super::target::Target;
use crate::config::Replicas;
use crate::error::Error;
use crate::load::{self, Live, Plan};
use crate::measure::Measurement;
use crate::report::{Exporter, Json, Report, Table};
use crate::toolbox::{self, Program, Toolbox};
use crate::workload::{self, Endpoint};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    load: LoadFlags,
    /// Scale to each of these numbers of pods and run there; without it, one run at the number there is
    #[arg(long, value_name = "N,N,…", allow_negative_numbers = true, conflicts_with = "target")]
    replicas: Option<String>,
    /// A server instead of the lab, as http://HOST:PORT/PATH; it must be on this machine
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// Send load to another machine, too: one that is yours
    #[arg(long, requires = "target")]
    allow_foreign_target: bool,
}

impl Args {
    /// Runs the load at each count, and prints what came of it.
    ///
    /// # Errors
    /// [`Error::BadValue`] and its like, [`Error::ForeignTarget`], [`Error::NoLab`], [`Error::NoAnswer`] and more;
    /// [`Error::Interrupted`] after what there is has been printed.
    pub async fn run(&self, context: &Context) -> Result<(), Error> {
        let plan = self.load.plan()?;
        load::make_room(plan.connections)?;
        let counts = self.replicas.as_deref().map(counts).transpose()?.unwrap_or_default();
        if let Some(target) = &self.target {
            return self.elsewhere(context, &target.parse()?, plan).await;
        }
        let lab = context.lab().await?;
        if counts.is_empty() {
            return as_it_is(context, &lab, plan).await;
        }
        require_root("test --replicas")?;
        let toolbox = context.toolbox(false).await?;
        at_counts(context, &lab, &toolbox, plan, &counts).await
    }

    async fn elsewhere(&self, context: &Context, target: &Target, plan: Plan) -> Result<(), Error> {
        let endpoint = target.resolve().await?;
        if !self.allow_foreign_target {
            guard(context, &endpoint).await?;
        }
        let mut series = Series::new(context, endpoint, plan);
        let outcome = series.run(None).await;
        series.finish(outcome)
    }
}

/// Runs at each of `counts` and prints what came of it.
///
/// # Errors
/// As [`Args::run`].
pub async fn at_counts(
    context: &Context,
    lab: &Lab,
    toolbox: &Toolbox,
    plan: Plan,
    counts: &[Replicas],
) -> Result<(), Error> {
    let endpoint = workload::endpoint(&lab.client).await?;
    load::guard(endpoint.address, &context.name.link(), toolbox.path(Program::Ip)).await?;
    let mut series = Series::new(context, endpoint, plan);
    let outcome = async {
        for count in counts {
            let Context { progress, shutdown, .. } = context;
            workload::scale(&lab.cluster, &lab.client, toolbox, *count, progress, shutdown).await?;
            series.run(Some(count.get())).await?;
        }
        Ok(())
    };
    let outcome = outcome.await;
    series.finish(outcome)
}

/// Runs once, at the number of pods there is.
async fn as_it_is(context: &Context, lab: &Lab, plan: Plan) -> Result<(), Error> {
    let endpoint = workload::endpoint(&lab.client).await?;
    guard(context, &endpoint).await?;
    let pods = workload::status::workload(&lab.client).await?.pods;
    let ready = pods.iter().filter(|pod| pod.status == "Running" && pod.ready == pod.containers).count();
    let mut series = Series::new(context, endpoint, plan);
    let outcome = series.run(Some(u32::try_from(ready).unwrap_or(u32::MAX))).await;
    series.finish(outcome)
}

async fn guard(context: &Context, endpoint: &Endpoint) -> Result<(), Error> {
    // Loopback needs no program to be told.
    let ip = if endpoint.address.ip().to_canonical().is_loopback() { PathBuf::new() } else { ip(context).await };
    load::guard(endpoint.address, &context.name.link(), &ip).await
}

/// The program that knows the routes, wherever it is.
async fn ip(context: &Context) -> PathBuf {
    let found = toolbox::find(&context.paths.cache).await.into_iter();
    found.filter(|found| found.program == Program::Ip).find_map(|found| found.path).unwrap_or_else(|| "ip".into())
}

/// Runs one after the other against the same endpoint.
struct Series<'a> {
    context: &'a Context,
    endpoint: Endpoint,
    /// What is asked there.
    target: String,
    plan: Plan,
    table: Table,
    runs: Vec<Measurement>,
}

impl<'a> Series<'a> {
    fn new(context: &'a Context, endpoint: Endpoint, plan: Plan) -> Self {
        let target = plan.request.url(&endpoint);
        Self { context, endpoint, target, plan, table: Table::new(output::look()), runs: Vec::new() }
    }

    /// One run; its tables appear when it has ended.
    async fn run(&mut self, replicas: Option<u32>) -> Result<(), Error> {
        let tested = replicas.map_or_else(|| "the target".into(), |count| format!("{count} pod{}", plural(count)));
        let step = self.context.progress.step(format!("test {tested}"));
        let run =
            load::run(&self.endpoint, &self.plan, &self.context.shutdown, |live| step.detail(line(&live))).await?;
        let answers = format!("{} answers", run.answered);
        if !run.interrupted {
            step.done_with(answers);
        }
        let run = Measurement::new(&run, replicas);
        if !self.context.json {
            let space = if self.runs.is_empty() { "" } else { "\n" };
            output::text(&format!("{space}{}", self.table.run(&self.target, &run)))?;
        }
        let verdict = verdict(&self.target, &run);
        self.runs.push(run);
        verdict
    }

    /// Prints what is left to print, whatever the outcome.
    fn finish(self, outcome: Result<(), Error>) -> Result<(), Error> {
        if self.context.json {
            output::text(&Json.export(&Report::new(self.target, self.runs))?)?;
        } else if self.runs.len() > 1 {
            output::text(&format!("\n{}", self.table.comparison(&self.runs)))?;
        }
        outcome
    }
}

fn verdict(target: &str, run: &Measurement) -> Result<(), Error> {
    if run.interrupted {
        return Err(Error::Interrupted);
    }
    if run.requests.answered > 0 {
        return Ok(());
    }
    let errors = run.errors;
    let why = if errors == 0 { "none came in time".to_owned() } else { format!("{errors} tries failed") };
    Err(Error::NoAnswer { target: target.to_owned(), why })
}

/// "12 s left, 88231 req/s, p99 1.02 ms, no errors, 2 pods hit"; "500 of 1000 requests" where those end the run.
fn line(live: &Live) -> String {
    if live.warming_up {
        return "warming up".into();
    }
    let p99 = live.p99.as_secs_f64() * 1000.0;
    let pods = if live.pods == 0 { String::new() } else { format!(", {} pod{} hit", live.pods, plural(live.pods)) };
    let errors = if live.faults == 0 { "no errors".into() } else { format!("{} errors", live.faults) };
    let progress = match live.planned_requests {
        Some(planned) => format!("{} of {planned} requests", live.requests),
        None => format!("{} s left", live.left.as_secs_f64().ceil()),
    };
    format!("{progress}, {:.0} req/s, p99 {p99:.2} ms, {errors}{pods}", live.rate)
}

fn plural(count: impl Into<u64>) -> &'static str {
    if count.into() == 1 { "" } else { "s" }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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
    fn the_live_line_says_what_matters() {
        let live = Live {
            warming_up: false,
            left: Duration::from_millis(11_600),
            planned_requests: None,
            requests: 500,
            rate: 88_231.4,
            p99: Duration::from_micros(1_020),
            faults: 0,
            pods: 2,
        };
        assert_eq!(line(&live), "12 s left, 88231 req/s, p99 1.02 ms, no errors, 2 pods hit");
        let worse = Live { faults: 3, pods: 1, ..live };
        assert_eq!(line(&worse), "12 s left, 88231 req/s, p99 1.02 ms, 3 errors, 1 pod hit");
        assert_eq!(line(&Live { warming_up: true, ..live }), "warming up");
        let counted = Live { planned_requests: Some(1000), ..live };
        assert!(line(&counted).starts_with("500 of 1000 requests, 88231 req/s"), "{}", line(&counted));
    }
}
