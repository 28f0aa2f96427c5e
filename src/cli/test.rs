//! `evenkeel test`.

use std::path::{Path, PathBuf};

use super::checks::{CheckFlags, Checks};
use super::command_line::command;
use super::context::{CommandContext, RunningLab};
use super::grpc_flags::GrpcFlags;
use super::load_flags::LoadFlags;
use super::report_files::ReportFiles;
use super::series_output::SeriesOutput;
use super::subject::SubjectFlag;
use super::target::{TargetUrl, guard_all};
use super::tls_flags::TlsFlags;
use super::trial_flags::TrialFlags;
use crate::cli::error::Error;
use crate::cluster;
use crate::experiment::{Environment, Series, ServiceTarget, Trial, Workplace, environment};
use crate::shutdown::unless;
use crate::toolbox::{self, Program, Toolbox};
use crate::workload::{self, Endpoint};
use evenkeel_load as load;

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    load: LoadFlags,
    #[command(flatten)]
    grpc: GrpcFlags,
    #[command(flatten)]
    trial: TrialFlags,
    #[command(flatten)]
    checks: CheckFlags,
    #[command(flatten)]
    files: ReportFiles,
    #[command(flatten)]
    subject: SubjectFlag,
    #[command(flatten)]
    tls: TlsFlags,
    /// Send the load to http://HOST:PORT/PATH or https://HOST:PORT/PATH instead of the lab; the host must be this machine
    #[arg(long, value_name = "URL", conflicts_with = "service")]
    target: Option<TargetUrl>,
    /// Allow a --target on another machine; use it only for machines that are yours
    #[arg(long, requires = "target")]
    allow_foreign_target: bool,
}

impl Args {
    /// Makes all runs, and prints their results.
    ///
    /// # Errors
    /// [`Error::BadValue`], [`Error::NoTarget`] and the errors of all areas; [`Error::Interrupted`] and
    /// [`Error::AssertionsMissed`] after the results are printed.
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        let plan = self.load.plan();
        load::ensure_descriptors(plan.connections)?;
        let mut trial = self.trial.trial(plan, self.load.end_a_run())?;
        trial.call = self.grpc.call(&self.load, &trial.plan.request)?;
        let checks = self.checks.checks(&trial.counts())?;
        self.files.check()?;
        if let Some(target) = &self.target {
            return self.elsewhere(context, target, trial, &checks).await;
        }
        if let Some(verb) = changes(&trial) {
            return self.as_root(context, verb, trial, &checks).await;
        }
        let lab = context.lab().await?;
        let subject = self.subject.subject(context, &lab.client).await?;
        if workload::endpoint(&lab.client, &subject).await?.needs_route() {
            return self.as_root(context, "test of a Service of type ClusterIP", trial, &checks).await;
        }
        let access = lab.access(readers(context).await.as_ref());
        let (link, ip) = (context.name.link(), ip(context).await);
        let workplace = Workplace { access: &access, subject: &subject, link: &link, ip: &ip };
        in_lab(context, workplace, trial, &self.files, &checks).await
    }

    /// Makes runs that change the lab or this machine's routes. `verb` names them in an error.
    async fn as_root(
        &self,
        context: &CommandContext,
        verb: &'static str,
        trial: Trial,
        checks: &Checks,
    ) -> Result<(), Error> {
        context.cluster()?;
        context.require_root(verb)?;
        let (lab, _lock) = context.lab_to_change("test").await?;
        check_components(&lab, &trial)?;
        let toolbox = context.toolbox(false).await?;
        let (access, link) = (lab.access(Some(&toolbox)), context.name.link());
        let subject = self.subject.subject(context, &lab.client).await?;
        let workplace = Workplace { access: &access, subject: &subject, link: &link, ip: toolbox.path(Program::Ip) };
        in_lab(context, workplace, trial, &self.files, checks).await
    }

    async fn elsewhere(
        &self,
        context: &CommandContext,
        url: &TargetUrl,
        trial: Trial,
        checks: &Checks,
    ) -> Result<(), Error> {
        if trial.knows_pods() {
            let why = "the client can only choose between pods of the lab, not with --target".into();
            return Err(Error::BadValue { what: "--compare", given: "client".into(), why });
        }
        if !url.is_tls() {
            self.tls.check_unused(url)?;
        }
        let tls = url.tls(&self.tls.options())?;
        let addresses = url.addresses().await?;
        if !self.allow_foreign_target {
            // The routes do not matter for loopback.
            let loopback = addresses.iter().all(|address| address.ip().to_canonical().is_loopback());
            let ip = if loopback { PathBuf::new() } else { ip(context).await };
            guard_all(&addresses, &context.name.link(), &ip).await?;
        }
        let target = unless(&context.shutdown, url.target(&addresses, tls, trial.plan.timeout)).await??;
        let environment = environment::of_machine(command(std::env::args_os().skip(1)));
        let rounds = trial.rounds;
        let series = Series::new(None, target, trial, &context.progress, &context.shutdown);
        make(context, series, rounds, environment, &self.files, checks).await
    }
}

/// Makes all runs against the lab, and prints their results.
///
/// # Errors
/// As [`Args::run`].
pub async fn in_lab(
    context: &CommandContext,
    workplace: Workplace<'_>,
    trial: Trial,
    files: &ReportFiles,
    checks: &Checks,
) -> Result<(), Error> {
    // The route to it is removed when this is dropped, also after an error.
    let service = ServiceTarget::reach(workplace, trial.requirements(), &context.progress).await?;
    let command = command(std::env::args_os().skip(1));
    let environment = environment::of_cluster(command, workplace.access, workplace.subject, &context.paths.cache).await;
    let Endpoint { target, policies, .. } = service.endpoint.clone();
    let rounds = trial.rounds;
    let series = Series::new(Some(workplace), target, trial, &context.progress, &context.shutdown).under(&policies);
    make(context, series, rounds, environment, files, checks).await
}

/// Makes the runs of a series, and prints their results.
async fn make(
    context: &CommandContext,
    mut series: Series<'_>,
    rounds: u32,
    environment: Environment,
    files: &ReportFiles,
    checks: &Checks,
) -> Result<(), Error> {
    series.prepare().await?;
    let mut output = SeriesOutput::new(context, series.url(), rounds);
    let outcome = Box::pin(series.run(|run| output.run(run))).await;
    output.finish(series.into_result(environment), outcome.map_err(Error::from), files, checks)
}

/// The flag because of which a trial changes the lab and needs root, with its verb; `None` if it changes nothing.
fn changes(trial: &Trial) -> Option<&'static str> {
    let reasons = [
        (!trial.counts().is_empty(), "test --replicas"),
        (trial.knows_pods(), "test --balance client"),
        (!trial.events.is_empty(), "test --during"),
    ];
    reasons.into_iter().find(|(given, _)| *given).map(|(_, verb)| verb)
}

/// Refuses an event for a component that the cluster does not have.
fn check_components(lab: &RunningLab, trial: &Trial) -> Result<(), Error> {
    let names = cluster::component_names(&lab.cluster)?;
    let given = trial.events.iter().filter_map(|event| event.action.component());
    match given.into_iter().find(|given| !names.iter().any(|name| name == given)) {
        None => Ok(()),
        Some(given) => {
            let why = format!("the components are: {}", names.join(", "));
            Err(Error::BadValue { what: "--during", given: given.to_owned(), why })
        }
    }
}

/// The programs that read the nodes' connection tracking, if they are installed and the user is root. Connection
/// tracking is optional, so nothing is installed for it.
async fn readers(context: &CommandContext) -> Option<Toolbox> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    toolbox::resolve(toolbox::find(&context.paths.cache).await).ok()
}

/// The program `ip`, which prints the routes.
async fn ip(context: &CommandContext) -> PathBuf {
    let found = toolbox::find_one(Program::Ip, &context.paths.cache).await;
    found.path.unwrap_or_else(|| Path::new("ip").into())
}
