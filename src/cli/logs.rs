//! `evenkeel logs`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use console::{Color, Style};
use kube::Client;
use serde::Serialize;

use super::context::CommandContext;
use super::foreign::{ClusterFlags, require_rights};
use super::output;
use super::subject::SubjectFlag;
use crate::cli::error::Error;
use crate::config::parse_duration;
use crate::workload::logs::{self, Line, LogOptions};
use crate::workload::rights::Activity;
use crate::workload::{Subject, component_logs};

/// Colours that are readable on light and dark backgrounds.
const COLOURS: [Color; 6] = [Color::Cyan, Color::Yellow, Color::Green, Color::Magenta, Color::Blue, Color::Red];

/// Arguments of `logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep printing new lines and new pods until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only lines younger than this, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "component")]
    #[arg(allow_negative_numbers = true)]
    since: Option<Duration>,
    /// Only the last N lines of each pod or component
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    tail: Option<u32>,
    /// Only this pod
    #[arg(long, value_name = "NAME", conflicts_with = "component")]
    pod: Option<String>,
    /// Only this container of each pod
    #[arg(long, value_name = "NAME", conflicts_with = "component")]
    container: Option<String>,
    /// Show a component of the cluster instead of the pods: kubelet, kube-apiserver, …
    #[arg(long, value_name = "NAME", conflicts_with = "ClusterFlags")]
    component: Option<String>,
    #[command(flatten)]
    subject: SubjectFlag,
    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Serialize)]
struct ComponentLine<'a> {
    component: &'a str,
    node: &'a str,
    text: &'a str,
}

impl Args {
    /// Prints the lines.
    ///
    /// # Errors
    /// [`Error::Cluster`] without a lab, or for a component that does not exist; [`Error::Workload`] for a pod that does
    /// not exist.
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        if let Some(name) = &self.component {
            return self.component(context, name).await;
        }
        let options = LogOptions {
            follow: self.follow,
            since: self.since,
            tail: self.tail,
            pod: self.pod.clone(),
            container: self.container.clone(),
        };
        let mut sink =
            |line: Line| if context.json { output::json_line(&line) } else { output::text(&pod_line(&line)) };
        let (client, subject) = self.subject(context).await?;
        logs::pods(&client, &subject, &options, &context.shutdown, &mut sink).await?;
        Ok(())
    }

    /// The Service, in the lab or in the cluster that the flags name.
    async fn subject(&self, context: &CommandContext) -> Result<(Client, Subject), Error> {
        if let Some(cluster) = self.cluster.cluster(context).await? {
            let namespace = self.subject.namespace_in(&cluster);
            require_rights(context, &cluster, &[Activity::Logs], namespace).await?;
            let subject = Subject::find(&cluster.client, &self.subject.wish_in(&cluster)).await?;
            return Ok((cluster.client, subject));
        }
        let lab = context.lab().await?;
        let subject = self.subject.subject(context, &lab.client).await?;
        Ok((lab.client, subject))
    }

    async fn component(&self, context: &CommandContext, name: &str) -> Result<(), Error> {
        let cluster = context.cluster()?;
        let several = cluster.nodes.len() > 1;
        let mut sink = |node: &str, text: &str| match (context.json, several) {
            (true, _) => output::json_line(&ComponentLine { component: name, node, text }),
            (false, true) => output::text(&format!("{} {text}\n", coloured(node))),
            (false, false) => output::text(&format!("{text}\n")),
        };
        component_logs::component(&cluster, name, self.follow, self.tail, &context.shutdown, &mut sink).await?;
        Ok(())
    }
}

fn pod_line(line: &Line) -> String {
    let container = line.container.as_ref().map(|container| format!(" {container}")).unwrap_or_default();
    format!("{}{container} {}\n", coloured(&line.pod), line.text)
}

/// The name in a colour that depends only on the name.
fn coloured(name: &str) -> String {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let colour = COLOURS[usize::try_from(hasher.finish() % COLOURS.len() as u64).unwrap_or(0)];
    Style::new().fg(colour).apply_to(name).to_string()
}
