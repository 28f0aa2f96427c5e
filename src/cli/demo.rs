//! `evenkeel demo`.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::checks::Checks;
use super::context::{CommandContext, RunningLab};
use super::deploy::{self, DeployRequest, ImageSource};
use super::manifest_flags::ManifestFlags;
use super::report_files::ReportFiles;
use super::shape_flags::ShapeFlags;
use super::subject::SubjectFlag;
use super::tls_flags::TlsFlags;
use super::trial_flags::at_least_pods;
use super::{output, terminal, test, up};
use crate::cli::error::Error;
use crate::cluster::{self, Cluster, ClusterError};
use crate::config::{ProxyMode, Replicas, parse_duration, parse_positive};
use crate::experiment::{Trial, Workplace};
use crate::image::{self, Image};
use crate::toolbox::{Program, Toolbox, kernel};
use crate::workload::event::{Action, NodeAction, Planned};
use crate::workload::memory::{PodMemory, memory};
use crate::workload::{Subject, SubjectWish};
use evenkeel_load::LoadPlan;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of keep-alive connections
    #[arg(short, long, value_name = "N", default_value = "30", value_parser = parse_positive::<NonZeroU32>)]
    #[arg(allow_negative_numbers = true)]
    connections: NonZeroU32,
    /// Length of each run, after a warm-up of 1 s
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    #[arg(allow_negative_numbers = true)]
    duration: Duration,
    /// Numbers of pods to run at
    #[arg(long, value_name = "N,N,…", default_value = "2,5,10", value_delimiter = ',', value_parser = at_least_pods::<1>)]
    #[arg(allow_negative_numbers = true)]
    replicas: Vec<Replicas>,
    /// Install missing programs: small ones with the package manager, the others built with Go into the cache
    #[arg(long)]
    install_tools: bool,
    /// Rules that kube-proxy writes
    #[arg(long, value_parser = up::proxy_mode(), value_name = "MODE", default_value_t)]
    proxy_mode: ProxyMode,
    #[command(flatten)]
    shape: ShapeFlags,
    /// Leave the lab up at the end, or after a failure (not after an interruption)
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    files: ReportFiles,
    #[command(flatten)]
    manifests: ManifestFlags,
    #[command(flatten)]
    subject: SubjectFlag,
}

/// The time that each part took.
#[derive(Default)]
struct StepTimes(Vec<(&'static str, Duration)>);

impl StepTimes {
    async fn measure<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let result = work.await;
        self.0.push((name, began.elapsed()));
        result
    }

    /// "programs 1.2 s, images 0.1 s".
    fn sentence(&self) -> String {
        let each = self.0.iter().map(|(name, took)| format!("{name} {}", terminal::duration(took.as_secs_f64())));
        each.collect::<Vec<_>>().join(", ")
    }
}

impl Args {
    /// Boots, deploys, sends load at each number of pods, and removes the lab.
    ///
    /// # Errors
    /// [`Error::LabIsUp`] if the lab is up already; the errors of each part, after everything has been undone.
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        let plan = LoadPlan { warm_up: Duration::from_secs(1), ..LoadPlan::new(self.connections, self.duration) };
        let trial = Trial::at(&self.replicas, plan);
        self.files.check()?;
        if self.manifests.read_once() {
            context.require_root("demo")?;
        }
        let manifests = self.manifests.load(context).await?;
        let _lock = context.lock("demo").await?;
        match context.cluster() {
            Ok(cluster) if cluster::is_booted(&cluster) => {
                return Err(Error::LabIsUp { name: context.name.to_string() });
            }
            Ok(_) | Err(ClusterError::NoLab) => {}
            Err(other) => return Err(other.into()),
        }
        let mut times = StepTimes::default();
        let toolbox = times.measure("programs", self.programs(context)).await?;
        let (server, pause) = times.measure("images", images(context, manifests.are_own)).await?;
        let cluster = times.measure("boot", self.boot(context, &toolbox, &pause)).await?;
        let first = trial.cases.first().and_then(|case| case.replicas);
        let wanted = self.subject.wish_of_manifests();
        let request = DeployRequest { manifests, image: server, replicas: first, prune: false, wanted };
        let outcome = Box::pin(self.run_load(context, &cluster, &toolbox, request, trial, &mut times)).await;
        if self.keep && !outcome.as_ref().is_err_and(Error::is_interrupted) {
            let summary = outcome?;
            return print(context, &summary, &times, &up::next(context, &cluster, false));
        }
        // The lab is removed in any case. An error of the demo is reported rather than one of the removal.
        let removed = times.measure("down", async {
            let ip = toolbox.path(Program::Ip);
            Ok(cluster::down(&context.name, &context.paths, ip, &context.progress)?)
        });
        let removed = removed.await;
        let summary = outcome?;
        removed?;
        print(context, &summary, &times, "")
    }

    async fn programs(&self, context: &CommandContext) -> Result<Toolbox, Error> {
        let toolbox = context.toolbox(self.install_tools).await?;
        kernel::require(&toolbox)?;
        Ok(toolbox)
    }

    async fn boot(&self, context: &CommandContext, toolbox: &Toolbox, pause: &Image) -> Result<Cluster, Error> {
        let CommandContext { name, paths, progress, shutdown, .. } = context;
        let (proxy_mode, keep, used_later) = (self.proxy_mode, self.keep, &up::used_by_deploy());
        let environment = &image::read_variables();
        let shape = self.shape.shape();
        let request =
            cluster::BootRequest { name, paths, toolbox, pause, used_later, proxy_mode, shape, environment, keep };
        Ok(cluster::up(&request, progress, shutdown).await?)
    }

    /// Deploys the workload, and sends load at each number of pods.
    async fn run_load(
        &self,
        context: &CommandContext,
        cluster: &Cluster,
        toolbox: &Toolbox,
        request: DeployRequest,
        trial: Trial,
        times: &mut StepTimes,
    ) -> Result<String, Error> {
        let lab = RunningLab { cluster: cluster.clone(), client: cluster::client(cluster).await? };
        let deployed = times.measure("deploy", Box::pin(deploy::deploy(context, &lab, toolbox, request))).await?;
        let subject = match deployed {
            Some(subject) => subject,
            None => Subject::find(&lab.client, &SubjectWish::default()).await?,
        };
        let (access, link) = (lab.access(Some(toolbox)), context.name.link());
        let workplace = Workplace { access: &access, subject: &subject, link: &link, ip: toolbox.path(Program::Ip) };
        let checks = Checks::default();
        let tls = TlsFlags::default();
        let nodes = (cluster.nodes.len() > 1 && !context.json).then(|| of_nodes(&trial));
        let load = test::in_cluster(context, workplace, &[], &tls, trial, &self.files, &checks);
        times.measure("load", Box::pin(load)).await?;
        if let Some(trial) = nodes {
            output::text("\nThe same pods while a node is drained, and then killed:\n\n")?;
            let files = ReportFiles::default();
            let load = test::in_cluster(context, workplace, &[], &tls, trial, &files, &checks);
            times.measure("load with events on nodes", Box::pin(load)).await?;
        }
        // The memory is only informative, so an error is ignored.
        Ok(memory(cluster, &lab.client, &subject.namespace).await.ok().and_then(per_pod).unwrap_or_default())
    }
}

/// Builds the pause image and, if it is deployed, the server's image first, so that the times of the lab include no build.
async fn images(context: &CommandContext, with_server: bool) -> Result<(ImageSource, Image), Error> {
    let CommandContext { paths, progress, shutdown, .. } = context;
    let server = if with_server {
        ImageSource::Archive(image::build_server(&paths.cache, progress, shutdown).await?)
    } else {
        ImageSource::OfManifests
    };
    Ok((server, image::build_pause(&paths.cache, progress, shutdown).await?))
}

/// A run at the last number of pods, in which the second node is drained and then killed, each for a while.
fn of_nodes(trial: &Trial) -> Trial {
    let planned = |node: &str, action| Planned { at: None, action: Action::Node(node.to_owned(), action) };
    let drain = NodeAction::Drain(Some(Duration::from_secs(1)));
    let kill = NodeAction::Kill(Some(Duration::from_secs(3)));
    let last = trial.cases.last().copied().into_iter().collect();
    let events = vec![planned("1", drain), planned("1", kill)];
    Trial { cases: last, events, ..trial.clone() }.ended_by_events()
}

fn per_pod(memory: PodMemory) -> Option<String> {
    let tenths = memory.per_pod()? / 100_000;
    Some(format!(
        "Memory per pod, as the kubelet reports it: {}.{} MB (mean of {}).\n",
        tenths / 10,
        tenths % 10,
        memory.pods
    ))
}

fn print(context: &CommandContext, summary: &str, times: &StepTimes, next: &str) -> Result<(), Error> {
    if context.json {
        return Ok(());
    }
    let space = if next.is_empty() { "" } else { "\n" };
    Ok(output::text(&format!("\n{summary}Times: {}.\n{space}{next}", times.sentence()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_megabytes() {
        let text = per_pod(PodMemory { pods: 10, bytes: 17_650_000 });
        assert_eq!(text.unwrap(), "Memory per pod, as the kubelet reports it: 1.7 MB (mean of 10).\n");
    }

    #[test]
    fn times_are_listed_in_order() {
        let times = StepTimes(vec![("boot", Duration::from_millis(4_620)), ("load", Duration::from_secs(130))]);
        assert_eq!(times.sentence(), "boot 4.6 s, load 2 min 10 s");
    }
}
