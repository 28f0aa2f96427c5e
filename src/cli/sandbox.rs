//! `evenkeel sandbox …`: hidden commands that the lab runs inside its sandboxes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use super::output;
use crate::cli::error::Error;
use crate::cluster::{ClusterError, configure_network};

use crate::cluster::image_mirror::MirrorSettings;
use crate::cluster::sandbox::{enter, prepare, say};
use crate::cluster::{
    BootPlan, Message, RouterSettings, client_by, delay_packets, image_mirror, supervisor, try_to_delay_packets,
};
use crate::config::Subnet;
use crate::image::{self, ImageName, ImageSources};
use crate::io_error::IoError;
use crate::platform::MachineNamespaces;
use crate::progress::{Progress, ProgressEvent};
use crate::shutdown;
use crate::workload::{external_ip, router, volume};

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
    /// Delays the packets of this network namespace.
    DelayPackets {
        /// For so many milliseconds.
        millis: u64,
    },
    /// Tries in a new network namespace whether packets can be delayed.
    TryDelay {
        /// The program iptables.
        iptables: PathBuf,
    },
    /// Gives external IPs to Services of type LoadBalancer.
    ExternalIp {
        /// The kubeconfig for the API server.
        kubeconfig: PathBuf,
        /// The lab's addresses.
        subnet: Subnet,
    },
    /// Configures the network namespace in which it runs.
    ConfigureNetwork {
        /// The program ip.
        ip: PathBuf,
        /// The steps, as JSON.
        steps: String,
    },
    /// Keeps the routes of the router.
    Router {
        /// The kubeconfig for the API server.
        kubeconfig: PathBuf,
        /// The settings that `up` wrote.
        settings: PathBuf,
    },
    /// Writes the archive of an image to stdout, for the image mirror.
    FindImage {
        /// The name of the image.
        image: ImageName,
        /// The cache.
        #[arg(long)]
        cache: PathBuf,
        /// The digest of an image for which nothing is written.
        #[arg(long)]
        known: Option<String>,
        /// Instead of the archive, the index whose digest the name has, or nothing.
        #[arg(long)]
        index: bool,
    },
    /// Answers containerd's requests for images.
    ImageMirror {
        /// The settings that `up` wrote.
        settings: PathBuf,
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
            SandboxCommand::DelayPackets { millis } => Ok(delay_packets(Duration::from_millis(millis))?),
            SandboxCommand::TryDelay { iptables } => Ok(try_to_delay_packets(&iptables)?),
            SandboxCommand::ExternalIp { kubeconfig, subnet } => runtime()?.block_on(async {
                Ok(external_ip::run(client_by(&kubeconfig).await?, subnet, shutdown::on_signal(|_| {})?).await?)
            }),
            SandboxCommand::ConfigureNetwork { ip, steps } => Ok(configure_network(&ip, &steps)?),
            SandboxCommand::Router { kubeconfig, settings } => runtime()?.block_on(async {
                let settings = RouterSettings::read(&settings)?;
                let client = client_by(&kubeconfig).await?;
                Ok(router::run(client, settings, &notes(), shutdown::on_signal(|_| {})?).await?)
            }),
            SandboxCommand::FindImage { image, cache, index: true, .. } => {
                runtime()?.block_on(find_index(&image, &cache))
            }
            SandboxCommand::FindImage { image, cache, known, .. } => {
                runtime()?.block_on(find_image(&image, &cache, known.as_deref()))
            }
            SandboxCommand::ImageMirror { settings } => {
                let settings = MirrorSettings::read(&settings)?;
                let machine = MachineNamespaces::given();
                let machine = machine.map_err(|source| IoError::new("find the machine's namespaces", source))?;
                Ok(runtime()?.block_on(image_mirror::serve(settings, machine))?)
            }
            SandboxCommand::VolumeProvisioner { kubeconfig, node, directory } => runtime()?.block_on(async {
                let client = client_by(&kubeconfig).await?;
                Ok(volume::run(client, &node, &directory, shutdown::on_signal(|_| {})?).await?)
            }),
        }
    }
}

/// Writes notes to the component's log. A full disk must not stop the component.
fn notes() -> Progress {
    Progress::new(|event| {
        if let ProgressEvent::Note { text } = event {
            let _ = output::text(&format!("{text}\n"));
        }
    })
}

async fn find_image(name: &ImageName, cache: &Path, known: Option<&str>) -> Result<(), Error> {
    let shutdown = shutdown::on_signal(|_| {})?;
    let image = image::find(name, &ImageSources::of_caller(cache), &Progress::silent(), &shutdown).await?;
    if known == Some(image.digest.as_str()) {
        return Ok(());
    }
    let copied = image.open_import().and_then(|mut archive| io::copy(&mut archive, &mut io::stdout().lock()));
    copied.map_err(|source| IoError::file("copy", &image.archive, source))?;
    Ok(())
}

async fn find_index(name: &ImageName, cache: &Path) -> Result<(), Error> {
    let shutdown = shutdown::on_signal(|_| {})?;
    let sources = ImageSources::of_caller(cache);
    image::find(name, &sources, &Progress::silent(), &shutdown).await?;
    let written = io::stdout().lock().write_all(&image::index_of(name, &sources).unwrap_or_default());
    Ok(written.map_err(|source| IoError::new("write an index", source))?)
}

fn init(plan_file: &Path) -> Result<(), Error> {
    let plan = BootPlan::read(plan_file)?;
    let booted = prepare(&plan).and_then(|machine| runtime()?.block_on(supervisor::run(&plan, machine)));
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
