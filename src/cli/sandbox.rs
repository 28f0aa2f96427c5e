//! `evenkeel sandbox …`: hidden commands that the lab runs inside its sandboxes.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};

use crate::cli::error::Error;
use crate::cluster::ClusterError;
use crate::cluster::sandbox::{enter, prepare, say};
use crate::cluster::{BootPlan, Message, client_by, supervisor};
use crate::io_error::IoError;
use crate::shutdown;
use crate::workload::{external_ip, volume};

/// Arguments of the hidden verb.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: SandboxCommand,
}

#[derive(Debug, Subcommand)]
enum SandboxCommand {
    /// Makes the namespaces and starts the first process in them.
    Enter {
        /// The plan that `up` wrote.
        plan: PathBuf,
    },
    /// Gives external IPs to Services of type LoadBalancer.
    ExternalIp {
        /// The kubeconfig for the API server.
        kubeconfig: PathBuf,
    },
    /// Makes volumes for claims on a node.
    VolumeProvisioner {
        /// The kubeconfig for the API server.
        kubeconfig: PathBuf,
        /// The name of the node.
        node: String,
        /// The directory of the volumes.
        directory: PathBuf,
    },
    /// Runs as the first process: prepares the sandbox and supervises the components.
    Init {
        /// The plan that `up` wrote.
        plan: PathBuf,
    },
}

impl Args {
    /// Runs the command. There is no runtime yet, because namespaces must be created by a process with one thread.
    ///
    /// # Errors
    /// The errors of the command.
    pub fn run(self) -> Result<(), Error> {
        match self.command {
            SandboxCommand::Enter { plan } => Ok(enter(&plan)?),
            SandboxCommand::Init { plan } => init(&plan),
            SandboxCommand::ExternalIp { kubeconfig } => runtime()?.block_on(async {
                Ok(external_ip::run(client_by(&kubeconfig).await?, shutdown::on_signal(|_| {})?).await?)
            }),
            SandboxCommand::VolumeProvisioner { kubeconfig, node, directory } => runtime()?.block_on(async {
                let client = client_by(&kubeconfig).await?;
                Ok(volume::run(client, &node, &directory, shutdown::on_signal(|_| {})?).await?)
            }),
        }
    }
}

fn init(plan_file: &Path) -> Result<(), Error> {
    let plan = BootPlan::read(plan_file)?;
    let booted = prepare(&plan).and_then(|()| runtime()?.block_on(supervisor::run(&plan)));
    let Err(error) = booted else { return Ok(()) };
    say(&failed(&error));
    if plan.keep {
        // The sandbox stays for inspection until `down` ends it.
        loop {
            std::thread::park();
        }
    }
    Err(error.into())
}

fn failed(error: &ClusterError) -> Message {
    match error {
        ClusterError::Component { component, what, .. } => {
            Message::Failed { component: component.clone(), what: what.clone() }
        }
        other => Message::Failed { component: "sandbox".into(), what: format!("could not be created: {other}") },
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, IoError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| IoError::new("start the runtime", source))
}
