//! Flags of the agents that send the load inside of the cluster.

use std::num::NonZeroU32;

use super::context::{CommandContext, RunningLab};
use super::deploy;
use super::tls_flags::TlsFlags;
use crate::cli::error::Error;
use crate::cluster;
use crate::config::parse_positive;
use crate::experiment::{Agents, GrpcCall, Trial};
use crate::image::{self, ImageName};
use crate::toolbox::Toolbox;

/// Flags of the agents.
#[derive(Debug, Default, clap::Args)]
pub(super) struct AgentFlags {
    /// Send the load from N pods of the cluster, to the cluster IP of the Service; the connections, the rate and the requests
    /// are divided among them
    #[arg(long, value_name = "N", value_parser = parse_positive::<NonZeroU32>, allow_negative_numbers = true)]
    #[arg(conflicts_with = "target")]
    agents: Option<NonZeroU32>,
    /// Image of these pods, as build --push prints it [default in a lab: built from the source tree]
    #[arg(long, value_name = "NAME", requires = "agents")]
    agent_image: Option<ImageName>,
}

impl AgentFlags {
    /// Whether agents are to send the load.
    #[must_use]
    pub(super) fn are_given(&self) -> bool {
        self.agents.is_some()
    }

    /// Refuses a trial that the agents cannot make.
    ///
    /// # Errors
    /// [`Error::BadValue`].
    pub(super) fn check(&self, trial: &Trial, tls: &TlsFlags) -> Result<(), Error> {
        let Some(agents) = self.agents else { return Ok(()) };
        let bad = |why: String| Err(Error::BadValue { what: "--agents", given: agents.to_string(), why });
        let agents = agents.get();
        let connections = trial.cases.iter().map(|case| trial.plan_of(*case).connections.get()).min().unwrap_or(0);
        if connections < agents {
            return bad(format!(
                "each agent needs a connection, and there are {connections}: expected more --connections"
            ));
        }
        let plan = &trial.plan;
        if let Some(requests) = plan.requests.filter(|requests| requests.get() < u64::from(agents)) {
            return bad(format!(
                "{requests} requests cannot be divided among so many agents: expected more --requests"
            ));
        }
        let rate = plan.schedule.as_ref().map(|schedule| schedule.mean_rate(plan.duration));
        if let Some(rate) = rate.filter(|rate| *rate < f64::from(agents)) {
            return bad(format!("expected at least one request per second for each agent, but the rate is {rate}"));
        }
        if trial.knows_pods() {
            return bad(
                "agents send load through the Service, so expected no --balance or --compare by the client".into()
            );
        }
        if trial.sets_policies() {
            return bad("an external traffic policy does not act on load inside of the cluster, so expected no --compare local,cluster".into());
        }
        if trial.call.as_ref().is_some_and(GrpcCall::asks_server) {
            return bad(
                "this machine cannot ask the server for its methods, so expected --proto FILE with --grpc".into()
            );
        }
        if tls.trusts_the_system() {
            return bad(
                "agents have no certificates of a system, so expected --cacert FILE or --insecure with --tls".into()
            );
        }
        Ok(())
    }

    /// The agents in a cluster that is no lab, whose nodes pull the image.
    ///
    /// # Errors
    /// [`Error::BadValue`] without an image.
    pub(super) fn elsewhere(&self) -> Result<Option<Agents>, Error> {
        let Some(count) = self.agents else { return Ok(None) };
        if let Some(image) = &self.agent_image {
            return Ok(Some(Agents { count, image: image.to_string() }));
        }
        let why = "the nodes pull the image of the agents, so expected --agent-image NAME; build --push \
                   REGISTRY/REPOSITORY pushes it, and prints the name";
        Err(Error::BadValue { what: "--agents", given: count.to_string(), why: why.into() })
    }

    /// The agents in a lab. Their image is loaded into the nodes that lack it.
    ///
    /// # Errors
    /// Those of a build and an import.
    pub(super) async fn in_lab(
        &self,
        context: &CommandContext,
        lab: &RunningLab,
        toolbox: &Toolbox,
    ) -> Result<Option<Agents>, Error> {
        let Some(count) = self.agents else { return Ok(None) };
        if let Some(image) = &self.agent_image {
            return Ok(Some(Agents { count, image: image.to_string() }));
        }
        let CommandContext { paths, progress, shutdown, .. } = context;
        let image = image::build_agent(&paths.cache, progress, shutdown).await?;
        let present = cluster::image_names(&lab.cluster, toolbox).await?;
        let reference = image.reference.clone();
        let image =
            if present.contains(&reference) { reference } else { deploy::load(context, lab, toolbox, image).await? };
        Ok(Some(Agents { count, image }))
    }
}
