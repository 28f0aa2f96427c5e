//! `evenkeel node`.

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;

use super::context::{CommandContext, RunningLab};
use super::output;
use crate::cli::error::Error;
use crate::cluster;
use crate::config::parse_duration_or_zero;
use crate::image;
use crate::workload::node_removal::{self, NodeRemoval};
use evenkeel_measure::some;

/// Arguments of `node`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: NodeCommand,
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Add a node to the lab, and wait until it is Ready
    Add,
    /// Drain a node, wait until its connections have ended, and remove it
    Remove {
        /// The node's name, or its number: 2 for lab-2
        #[arg(value_name = "NODE")]
        node: String,
        /// The longest time to wait for connections that are open through the node
        #[arg(long, value_name = "TIME", value_parser = parse_duration_or_zero, default_value = "30s")]
        grace: Duration,
    },
}

#[derive(Serialize)]
struct NodeOutput<'a> {
    schema_version: u32,
    node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// The connections through the node that were cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_connections: Option<usize>,
}

impl Args {
    /// Adds or removes a node.
    ///
    /// # Errors
    /// Why this failed; [`Error::BadValue`] for a node that cannot be removed.
    pub async fn run(self, context: &CommandContext) -> Result<(), Error> {
        match self.command {
            NodeCommand::Add => {
                let (lab, _lock) = context.lab_to_change("node add").await?;
                add(context, &lab).await
            }
            NodeCommand::Remove { node, grace } => {
                let (lab, _lock) = context.lab_to_change("node remove").await?;
                Box::pin(remove(context, &lab, &node, grace)).await
            }
        }
    }
}

async fn add(context: &CommandContext, lab: &RunningLab) -> Result<(), Error> {
    let toolbox = context.toolbox(false).await?;
    let (progress, shutdown) = (&context.progress, &context.shutdown);
    let added = cluster::add_node(&lab.cluster, &toolbox, &image::read_variables(), progress, shutdown).await?;
    let (node, address) = (added.node.name.as_str(), added.node.address.to_string());
    if context.json {
        let address = Some(address);
        return Ok(output::json(&NodeOutput { schema_version: 1, node, address, cut_connections: None })?);
    }
    Ok(output::text(&format!("Added node {node} at {address}.\n"))?)
}

async fn remove(context: &CommandContext, lab: &RunningLab, given: &str, grace: Duration) -> Result<(), Error> {
    let running = node_removal::find_node(&lab.client, &lab.cluster, given).await?;
    let node = running.node.name.as_str();
    if running.node.is_control_plane() {
        let why = format!("the control plane runs on {node}; {} down removes the whole lab", context.evenkeel());
        return Err(Error::BadValue { what: "NODE", given: given.to_owned(), why });
    }
    let toolbox = context.toolbox(false).await?;
    let (progress, shutdown) = (&context.progress, &context.shutdown);
    let (client, cluster, toolbox) = (&lab.client, &lab.cluster, &toolbox);
    let removal = NodeRemoval { client, cluster, toolbox, grace, progress, shutdown };
    let left = removal.remove(&running).await?;
    if context.json {
        let cut_connections = Some(left);
        return Ok(output::json(&NodeOutput { schema_version: 1, node, address: None, cut_connections })?);
    }
    let cut = match left {
        0 => String::new(),
        left => format!(", and cut {} that had not ended after {} s", some(left as u64, "connection"), grace.as_secs()),
    };
    Ok(output::text(&format!("Removed node {node}{cut}.\n"))?)
}
