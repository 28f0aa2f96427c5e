//! `evenkeel test`.

use std::path::{Path, PathBuf};

use super::agent_flags::AgentFlags;
use super::checks::{CheckFlags, Checks};
use super::command_line::command;
use super::context::{CommandContext, RunningLab};
use super::foreign::{ClusterFlags, ConsentFlag, require_rights};
use super::grpc_flags::GrpcFlags;
use super::load_flags::LoadFlags;
use super::report_files::ReportFiles;
use super::series_output::SeriesOutput;
use super::subject::SubjectsFlag;
use super::target::{TargetUrl, guard_all};
use super::tls_flags::TlsFlags;
use super::trial_flags::TrialFlags;
use crate::cli::error::Error;
use crate::cluster::{self, ForeignCluster};
use crate::experiment::{Case, Environment, Place, Series, ServiceTarget, Trial, Workplace, environment};
use crate::shutdown::unless;
use crate::toolbox::{self, Program, Toolbox};
use crate::workload::rights::Activity;
use crate::workload::{self, Subject};
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
    agents: AgentFlags,
    #[command(flatten)]
    checks: CheckFlags,
    #[command(flatten)]
    files: ReportFiles,
    #[command(flatten)]
    subjects: SubjectsFlag,
    #[command(flatten)]
    tls: TlsFlags,
    /// Send the load to http://HOST:PORT/PATH or https://HOST:PORT/PATH instead of the lab; the host must be this machine
    #[arg(long, value_name = "URL", conflicts_with_all = ["service", "tls", "ClusterFlags"])]
    target: Option<TargetUrl>,
    /// Allow a --target on another machine; use it only for machines that are yours
    #[arg(long, requires = "target")]
    allow_foreign_target: bool,
    #[command(flatten)]
    cluster: ClusterFlags,
    #[command(flatten)]
    consent: ConsentFlag,
}

impl Args {
    /// Whether the cluster is no lab.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.cluster.are_given()
    }

    /// Makes all runs, and prints their results.
    ///
    /// # Errors
    /// [`Error::BadValue`], [`Error::NoTarget`] and the errors of all areas; [`Error::Interrupted`] and
    /// [`Error::AssertionsMissed`] after the results are printed.
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        load::ensure_descriptors(self.load.connections())?;
        self.subjects.check()?;
        let load = self.load.load(self.trial.compare_protocols())?;
        let mut trial = self.trial.trial(load, self.subjects.count())?;
        trial.call = self.grpc.call(&self.load, trial.calls())?;
        self.agents.check(&trial, &self.tls)?;
        let checks = self.checks.checks(&trial.counts())?;
        self.files.check()?;
        if let Some(target) = &self.target {
            return self.elsewhere(context, target, trial, &checks).await;
        }
        if let Some(cluster) = self.cluster.cluster(context).await? {
            return self.foreign(context, &cluster, trial, &checks).await;
        }
        if let Some(verb) = self.changes(&trial) {
            return self.as_root(context, verb, trial, &checks).await;
        }
        let lab = context.lab().await?;
        let (subject, others) = self.subjects.subjects(context, &lab.client).await?;
        for subject in std::iter::once(&subject).chain(&others) {
            if workload::endpoint(&lab.client, subject).await?.needs_route() {
                return self.as_root(context, "test of a Service of type ClusterIP", trial, &checks).await;
            }
        }
        let access = lab.access(readers(context).await.as_ref());
        let (link, ip) = (context.name.link(), ip(context).await);
        let workplace = Workplace { access: &access, subject: &subject, link: &link, ip: &ip };
        in_cluster(context, workplace, &others, &self.tls, trial, &self.files, &checks).await
    }

    /// Makes runs in a cluster that is no lab.
    async fn foreign(
        &self,
        context: &CommandContext,
        cluster: &ForeignCluster,
        mut trial: Trial,
        checks: &Checks,
    ) -> Result<(), Error> {
        let access = cluster.access();
        workload::event::check_reach(&access, &trial.events)?;
        if trial.knows_pods() {
            access.require_lab("a choice of the pod by the client")?;
        }
        trial.agents = self.agents.elsewhere()?;
        if let Some(what) = self.changes(&trial) {
            self.consent.require(context, cluster, what)?;
        }
        let activities = activities(&trial);
        let namespaces = self.subjects.namespaces_in(cluster);
        for (at, namespace) in namespaces.iter().enumerate() {
            // Events and scaling act on the first Service.
            let activities = if at == 0 { &activities[..] } else { &activities[..1] };
            if !namespaces[..at].contains(namespace) {
                require_rights(context, cluster, activities, namespace).await?;
            }
        }
        let (subject, others) = self.subjects.subjects_in(cluster).await?;
        let workplace = Workplace { access: &access, subject: &subject, link: "", ip: Path::new("ip") };
        in_cluster(context, workplace, &others, &self.tls, trial, &self.files, checks).await
    }

    /// Makes runs that change the lab or this machine's routes. `verb` names them in an error.
    async fn as_root(
        &self,
        context: &CommandContext,
        verb: &'static str,
        mut trial: Trial,
        checks: &Checks,
    ) -> Result<(), Error> {
        context.cluster()?;
        context.require_root(verb)?;
        let (lab, _lock) = context.lab_to_change("test").await?;
        check_components(&lab, &trial)?;
        let toolbox = context.toolbox(false).await?;
        trial.agents = self.agents.in_lab(context, &lab, &toolbox).await?;
        let (access, link) = (lab.access(Some(&toolbox)), context.name.link());
        let (subject, others) = self.subjects.subjects(context, &lab.client).await?;
        let workplace = Workplace { access: &access, subject: &subject, link: &link, ip: toolbox.path(Program::Ip) };
        in_cluster(context, workplace, &others, &self.tls, trial, &self.files, checks).await
    }

    /// The flag because of which the runs change the cluster, with its verb; `None` if they change nothing.
    fn changes(&self, trial: &Trial) -> Option<&'static str> {
        if self.agents.are_given() { Some("test --agents") } else { changes(trial) }
    }

    async fn elsewhere(
        &self,
        context: &CommandContext,
        url: &TargetUrl,
        trial: Trial,
        checks: &Checks,
    ) -> Result<(), Error> {
        if let Some(policy) = trial.cases.iter().find_map(|case| case.policy) {
            let why = "the policy is set on a Service of the lab, so expected no --target".into();
            return Err(Error::BadValue { what: "--compare", given: policy.to_string(), why });
        }
        if trial.knows_pods() {
            let why = "the client can only choose between pods of the lab, not with --target".into();
            let by_client = |case: &Case| case.mode.filter(|mode| mode.is_by_client());
            let given = trial.cases.iter().find_map(by_client).map(|mode| mode.to_string()).unwrap_or_default();
            return Err(Error::BadValue { what: "--compare", given, why });
        }
        let tls = if url.is_tls() {
            Some(self.tls.to_server(url.host())?)
        } else {
            self.tls.check_unused(url)?;
            None
        };
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
        let place = Place::outside(target);
        let series = Series::new(place, Vec::new(), trial, &context.progress, &context.shutdown);
        make(context, series, rounds, environment, &self.files, checks).await
    }
}

/// Makes all runs against the Service under test and the `others`, and prints their results.
///
/// # Errors
/// As [`Args::run`].
pub async fn in_cluster(
    context: &CommandContext,
    workplace: Workplace<'_>,
    others: &[Subject],
    tls: &TlsFlags,
    mut trial: Trial,
    files: &ReportFiles,
    checks: &Checks,
) -> Result<(), Error> {
    trial.events = workload::event::check(workplace.access, &trial.events).await?;
    // The routes to the Services are removed when these are dropped, also after an error.
    let mut reached = vec![ServiceTarget::reach(workplace, trial.requirements(0), &context.progress).await?];
    let subject = place(workplace, &reached[0], tls)?;
    let mut further = Vec::new();
    for (at, subject) in (1..).zip(others) {
        let workplace = Workplace { subject, ..workplace };
        let service = ServiceTarget::reach(workplace, trial.requirements(at), &context.progress).await?;
        further.push(place(workplace, &service, tls)?);
        reached.push(service);
    }
    let command = command(std::env::args_os().skip(1));
    let environment = environment::of_cluster(command, workplace.access, workplace.subject, &context.paths.cache).await;
    let rounds = trial.rounds;
    let series = Series::new(subject, further, trial, &context.progress, &context.shutdown);
    make(context, series, rounds, environment, files, checks).await
}

fn place<'a>(workplace: Workplace<'a>, service: &ServiceTarget, tls: &TlsFlags) -> Result<Place<'a>, Error> {
    let mut place = Place::of_service(workplace, service.endpoint.clone());
    place.target.tls = tls.to_service(workplace.subject)?;
    Ok(place)
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
        (trial.sets_policies(), "test --compare local,cluster"),
        (!trial.events.is_empty(), "test --during"),
    ];
    reasons.into_iter().find(|(given, _)| *given).map(|(_, verb)| verb)
}

/// What a trial does in a cluster; sending load comes first.
fn activities(trial: &Trial) -> Vec<Activity> {
    let mut all = vec![Activity::Test];
    let scales = (!trial.counts().is_empty()).then_some(Activity::Scale);
    let policies = trial.sets_policies().then_some(Activity::TrafficPolicy);
    // What an event changes is restored before the next run.
    let restores = (!trial.events.is_empty()).then_some(Activity::Rollout);
    let agents = trial.agents.as_ref().map(|_| Activity::Agents);
    let events = trial.events.iter().filter_map(|event| event.action.activity());
    for activity in agents.into_iter().chain(scales).chain(policies).chain(restores).chain(events) {
        if !all.contains(&activity) {
            all.push(activity);
        }
    }
    all
}

/// Refuses an event for a component that the cluster does not have.
fn check_components(lab: &RunningLab, trial: &Trial) -> Result<(), Error> {
    let names = cluster::component_names(&lab.cluster)?;
    let given = trial.events.iter().filter_map(|event| Some(&event.action.component()?.name));
    match given.into_iter().find(|given| !names.iter().any(|name| name == *given)) {
        None => Ok(()),
        Some(given) => {
            let why = format!("the components are: {}", names.join(", "));
            Err(Error::BadValue { what: "--during", given: given.clone(), why })
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
