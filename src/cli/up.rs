//! `evenkeel up`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use super::context::CommandContext;
use super::output;
use super::shape_flags::ShapeFlags;
use crate::cli::error::Error;
use crate::cluster::{self, Cluster, ClusterError};
use crate::config::ProxyMode;
use crate::image;
use crate::toolbox::kernel;

/// Arguments of `up`.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Install missing programs: small ones with the package manager, the others built with Go into the cache
    #[arg(long)]
    pub install_tools: bool,
    /// Leave everything as it is if the boot fails; `evenkeel down` removes it
    #[arg(long)]
    pub keep: bool,
    /// Rules that kube-proxy writes [default: nftables]
    #[arg(long, value_parser = proxy_mode(), value_name = "MODE")]
    pub proxy_mode: Option<ProxyMode>,
    /// The nodes.
    #[command(flatten)]
    pub shape: ShapeFlags,
}

#[derive(Serialize)]
struct UpOutput<'a> {
    schema_version: u32,
    lab: &'a str,
    was_up: bool,
    proxy_mode: ProxyMode,
    kubeconfig: String,
    nodes: Vec<NodeAddress<'a>>,
}

#[derive(Serialize)]
struct NodeAddress<'a> {
    name: &'a str,
    address: String,
}

impl Args {
    /// Boots the lab, unless it is up.
    ///
    /// # Errors
    /// Why the lab did not boot; [`Error::BadValue`] if it is up with another proxy mode.
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        let _lock = context.lock("up").await?;
        let (cluster, was_up) = match context.cluster() {
            // If its `up` was killed, the lab is not booted; booting removes it first.
            Ok(cluster) if cluster::is_booted(&cluster) => (cluster, true),
            Ok(_) | Err(ClusterError::NoLab) => (self.boot(context).await?, false),
            Err(other) => return Err(other.into()),
        };
        let mode = cluster::proxy_mode(&cluster)?;
        if let Some(asked) = self.proxy_mode.filter(|asked| *asked != mode) {
            let why = format!("the lab is up with the proxy mode {mode}; run {} down first", context.evenkeel());
            return Err(Error::BadValue { what: "--proxy-mode", given: asked.to_string(), why });
        }
        if was_up {
            self.shape.refuse_other(context, &cluster)?;
        }
        if context.json {
            Ok(output::json(&report(&cluster, was_up, mode))?)
        } else {
            Ok(output::text(&next(context, &cluster, was_up))?)
        }
    }

    /// Finds the toolbox, builds the pause image, and boots the cluster.
    ///
    /// # Errors
    /// As [`Args::run`].
    pub async fn boot(&self, context: &CommandContext) -> Result<Cluster, Error> {
        let toolbox = context.toolbox(self.install_tools).await?;
        kernel::require(&toolbox)?;
        let pause = image::build_pause(&context.paths.cache, &context.progress, &context.shutdown).await?;
        let request = cluster::BootRequest {
            name: &context.name,
            paths: &context.paths,
            toolbox: &toolbox,
            pause: &pause,
            used_later: &used_by_deploy(),
            proxy_mode: self.proxy_mode.unwrap_or_default(),
            shape: self.shape.shape(),
            environment: &image::read_variables(),
            keep: self.keep,
        };
        Ok(cluster::up(&request, &context.progress, &context.shutdown).await?)
    }
}

/// What `deploy` uses in the environment of this verb.
pub(super) fn used_by_deploy() -> Vec<PathBuf> {
    let variables = ["EVENKEEL_SERVER_IMAGE", "EVENKEEL_MANIFESTS"];
    variables.into_iter().filter_map(std::env::var_os).map(PathBuf::from).collect()
}

/// Parses a mode of kube-proxy; the help shows both names.
pub(super) fn proxy_mode() -> impl TypedValueParser<Value = ProxyMode> {
    PossibleValuesParser::new(["nftables", "iptables"]).try_map(|name| name.parse::<ProxyMode>())
}

fn report(cluster: &Cluster, was_up: bool, proxy_mode: ProxyMode) -> UpOutput<'_> {
    let nodes = cluster.nodes.iter();
    let nodes = nodes.map(|n| NodeAddress { name: &n.node.name, address: n.node.address.to_string() }).collect();
    let kubeconfig = cluster.paths.kubeconfig().display().to_string();
    UpOutput { schema_version: 1, lab: cluster.name.as_str(), was_up, proxy_mode, kubeconfig, nodes }
}

/// The commands to use next.
pub(super) fn next(context: &CommandContext, cluster: &Cluster, was_up: bool) -> String {
    let evenkeel = context.evenkeel();
    let what = if was_up { "is already up" } else { "is up" };
    let nodes = match cluster.nodes.as_slice() {
        [only] => format!("node {} at {}", only.node.name, only.node.address),
        several => format!(
            "{} nodes, {} to {}, behind a router at {}",
            several.len(),
            cluster.first().node.name,
            several.last().map_or("", |last| last.node.name.as_str()),
            cluster.subnet.router(),
        ),
    };
    format!(
        "The lab {what}: {nodes}. Next:\n\n  {evenkeel} deploy\n  {evenkeel} test\n  {evenkeel} scale 10\n  \
         {evenkeel} down\n\n{}",
        kubeconfig(cluster)
    )
}

/// The line that lets kubectl find the lab.
#[must_use]
pub fn kubeconfig(cluster: &Cluster) -> String {
    format!("export KUBECONFIG={}\n", cluster.paths.kubeconfig().display())
}
