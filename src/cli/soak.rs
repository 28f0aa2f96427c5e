//! `evenkeel soak`.

use std::num::NonZeroU32;
use std::path::Path;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use super::context::CommandContext;
use super::foreign::{ClusterFlags, ConsentFlag, require_rights};
use super::output;
use super::subject::SubjectFlag;
use super::trial_flags::at_least_pods;
use crate::cli::error::Error;
use crate::cluster::ForeignCluster;
use crate::config::{Replicas, parse_positive};
use crate::experiment::soak::{IndependentClient, Part, PromiseResult, Soak, SoakPlan};
use crate::experiment::{LONGEST_RUN, ServiceTarget, Workplace};
use crate::report::{Align, plain_table};
use crate::toolbox::{self, Program, Toolbox, ToolboxError};
use crate::workload::rights::Activity;
use crate::workload::{Baseline, Subject};
use evenkeel_load::{self as load, GrpcMethod, LoadPlan, Protocol};
use evenkeel_measure::grouped_count;

/// Arguments of `soak`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rounds of each event; at most 20 of those that kill a component or switch off the drain
    #[arg(long, value_name = "N", default_value = "3", value_parser = parse_positive::<NonZeroU32>)]
    #[arg(allow_negative_numbers = true)]
    rounds: NonZeroU32,
    /// Number of connections
    #[arg(short, long, value_name = "N", default_value = "30", value_parser = parse_positive::<NonZeroU32>)]
    #[arg(allow_negative_numbers = true)]
    connections: NonZeroU32,
    // The part `pods` scales from it to two.
    /// Number of pods in every part, at least 3 [default: that of each part, 2 to 10]
    #[arg(long, value_name = "N", value_parser = at_least_pods::<3>, allow_negative_numbers = true)]
    pods: Option<Replicas>,
    /// Make only these parts
    #[arg(long, value_parser = part(), value_name = "PART,…", value_delimiter = ',')]
    only: Vec<Part>,
    /// Send the requests over HTTP/2
    #[arg(long)]
    http2: bool,
    /// Call this method of gRPC, with an empty message, such as grpc.health.v1.Health/Check
    #[arg(long, value_name = "SERVICE/METHOD", conflicts_with = "http2")]
    grpc: Option<GrpcMethod>,
    /// Requests in flight on each connection over HTTP/2
    #[arg(long, value_name = "N", default_value = "10", value_parser = parse_positive::<NonZeroU32>)]
    #[arg(allow_negative_numbers = true)]
    streams: NonZeroU32,
    /// Send the load of the part `pods` with an independent client as well, which must be installed: wrk, h2load over HTTP/2,
    /// or ghz over gRPC
    #[arg(long)]
    independent_client: bool,
    #[command(flatten)]
    subject: SubjectFlag,
    #[command(flatten)]
    cluster: ClusterFlags,
    #[command(flatten)]
    consent: ConsentFlag,
}

/// The result as JSON.
#[derive(Serialize)]
struct SoakOutput<'a> {
    schema_version: u32,
    connections: u32,
    rows: &'a [PromiseResult],
}

/// Parses a part; the help shows all names and descriptions.
fn part() -> impl TypedValueParser<Value = Part> {
    let values = Part::ALL.map(|part| PossibleValue::new(part.name()).help(part.description()));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Part>())
}

impl Args {
    /// Whether the cluster is no lab.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.cluster.are_given()
    }

    /// The load that the flags describe.
    fn load(&self) -> LoadPlan {
        let mut plan = LoadPlan::new(self.connections, LONGEST_RUN);
        if self.http2 || self.grpc.is_some() {
            plan.protocol = Protocol::Http2 { streams: self.streams };
        }
        if let Some(method) = &self.grpc {
            plan.request = plan.request.grpc(method, plan.timeout);
        }
        plan
    }

    /// The independent client, if it is asked for. It is needed only at the end of the first part, but must not be missed
    /// then.
    async fn find_client(&self, context: &CommandContext) -> Result<Option<IndependentClient>, Error> {
        if !self.independent_client {
            return Ok(None);
        }
        let program = match (&self.grpc, self.http2) {
            (Some(_), _) => Program::Ghz,
            (None, true) => Program::H2load,
            (None, false) => Program::Wrk,
        };
        let found = toolbox::find_one(program, &context.paths.cache).await;
        let missing = || ToolboxError::MissingPrograms {
            missing: vec![program.name().to_owned()],
            installation: toolbox::installation(program),
        };
        let path = found.path.ok_or_else(missing)?;
        Ok(Some(match (&self.grpc, self.http2) {
            (Some(method), _) => IndependentClient::Ghz(path, method.clone()),
            (None, true) => IndependentClient::H2load(path),
            (None, false) => IndependentClient::Wrk(path),
        }))
    }

    /// Makes all rounds, and prints the observations for each promise.
    ///
    /// # Errors
    /// [`Error::BadValue`], [`ClusterError::NoLab`](crate::cluster::ClusterError::NoLab),
    /// [`WorkloadError::NoWorkload`](crate::workload::WorkloadError::NoWorkload) and more; after the table
    /// [`Error::PromisesBroken`], [`Error::Interrupted`].
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        load::ensure_descriptors(self.connections)?;
        if self.is_elsewhere() && self.only != [Part::Pods] {
            let given = self.only.iter().map(|part| part.name()).collect::<Vec<_>>().join(",");
            let why = "expected pods, because all other parts act on the nodes of a lab".to_owned();
            return Err(Error::BadValue { what: "--only", given, why });
        }
        if let Some(cluster) = self.cluster.cluster(context).await? {
            return self.elsewhere(context, &cluster).await;
        }
        context.require_root("soak")?;
        let independent_client = self.find_client(context).await?;
        let (lab, _lock) = context.lab_to_change("soak").await?;
        let toolbox = context.toolbox(false).await?;
        let (access, link, ip) = (lab.access(Some(&toolbox)), context.name.link(), toolbox.path(Program::Ip));
        let subject = self.subject.subject(context, &lab.client).await?;
        let workplace = Workplace { access: &access, subject: &subject, link: &link, ip };
        self.soak(context, workplace, Some(&toolbox), independent_client).await
    }

    /// Makes the part `pods` in a cluster that is no lab.
    async fn elsewhere(&self, context: &CommandContext, cluster: &ForeignCluster) -> Result<(), Error> {
        let independent_client = self.find_client(context).await?;
        self.consent.require(context, cluster, "soak")?;
        require_rights(context, cluster, &[Activity::Soak], self.subject.namespace_in(cluster)).await?;
        let subject = Subject::find(&cluster.client, &self.subject.wish_in(cluster)).await?;
        let access = cluster.access();
        let workplace = Workplace { access: &access, subject: &subject, link: "", ip: Path::new("ip") };
        self.soak(context, workplace, None, independent_client).await
    }

    async fn soak(
        &self,
        context: &CommandContext,
        workplace: Workplace<'_>,
        toolbox: Option<&Toolbox>,
        independent_client: Option<IndependentClient>,
    ) -> Result<(), Error> {
        let (rounds, load, pods, only) = (self.rounds, self.load(), self.pods, self.only.clone());
        let plan = SoakPlan { rounds, load, pods, only, independent_client };
        // The route to it is removed when this is dropped, also after an error.
        let service = ServiceTarget::reach(workplace, plan.requirements(), &context.progress).await?;
        let target = service.endpoint.target.clone();
        let before = Baseline::now(&workplace.access.client, workplace.subject).await?;
        let mut soak = Soak::new(workplace, toolbox, target, before, plan, &context.progress, &context.shutdown);
        let outcome = soak.run().await;
        let results = soak.into_results();
        if context.json {
            let rows = &results[..];
            output::json(&SoakOutput { schema_version: 1, connections: self.connections.get(), rows })?;
        } else {
            output::text(&table(&results))?;
        }
        outcome?;
        let broken: Vec<String> = results.iter().filter_map(PromiseResult::broken_sentence).collect();
        if broken.is_empty() { Ok(()) } else { Err(Error::PromisesBroken { broken }) }
    }
}

/// All results as a table; empty if there are none.
fn table(results: &[PromiseResult]) -> String {
    if results.is_empty() {
        return String::new();
    }
    let header = ["EVENT", "LOAD", "ROUNDS", "REQUESTS", "FAILED", "LONGEST", "FULL AGAIN", "KEPT"];
    // Failures that are expected get no line.
    let unexpected = results.iter().filter(|result| result.broken.is_some());
    let failures = unexpected.flat_map(|result| result.failures.iter().map(move |how| (&result.load, how)));
    let failures: Vec<String> = failures.map(|(load, how)| format!("{how} ({load})\n")).collect();
    let rows: Vec<Vec<String>> = results.iter().map(cells).collect();
    format!("{}{}", plain_table(Align::Left, &header, &rows), failures.concat())
}

fn cells(result: &PromiseResult) -> Vec<String> {
    let seconds = |seconds: Option<f64>| seconds.map_or_else(|| "-".into(), |seconds| format!("{seconds:.1} s"));
    vec![
        result.event.clone(),
        result.load.clone(),
        result.rounds.to_string(),
        grouped_count(result.requests),
        grouped_count(result.failed),
        seconds(result.longest_seconds),
        seconds(result.full_again_seconds),
        if result.broken.is_some() { "no".into() } else { "yes".into() },
    ]
}
