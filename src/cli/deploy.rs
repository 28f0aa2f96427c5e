//! `evenkeel deploy`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::context::{CommandContext, RunningLab};
use super::status;
use crate::cli::error::Error;
use crate::cluster;
use crate::config::{InvalidValue, Replicas};
use crate::image::{self, Image};
use crate::toolbox::Toolbox;
use crate::workload::{self, WorkloadError, manifests::Manifests};

/// Arguments of `deploy`.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Number of pods [default: as many as there are, or 2]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub replicas: Option<Replicas>,
    /// Image to deploy instead of the server: an archive (OCI or docker, .tar or .tar.gz), or the reference of an image
    /// that the nodes already have
    #[arg(long, value_name = "FILE|REF")]
    pub image: Option<ImageArg>,
    /// The manifests.
    #[command(flatten)]
    pub manifests: ManifestsArg,
}

/// What `--image` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageArg {
    /// An archive.
    File(PathBuf),
    /// The reference, with a tag or digest, of an image that the nodes have.
    Reference(String),
}

impl FromStr for ImageArg {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if is_file(text) {
            return Ok(Self::File(text.into()));
        }
        let name = text.rsplit('/').next().unwrap_or(text);
        let allowed = |c: char| c.is_ascii_alphanumeric() || ":._-@/".contains(c);
        if text.is_empty() || !text.chars().all(allowed) {
            return Err(InvalidValue::expected("a file or the reference of an image"));
        }
        // The nodes ask no registry, so there is no default tag.
        if !name.contains([':', '@']) {
            return Err(InvalidValue::expected("a file, or a reference with a tag (NAME:TAG)"));
        }
        Ok(Self::Reference(text.to_owned()))
    }
}

/// Whether `--image` names a file rather than a reference.
fn is_file(image: &str) -> bool {
    let archive = [".tar", ".tar.gz", ".tgz"].iter().any(|ending| image.ends_with(ending));
    archive || image.starts_with(['.', '/']) || Path::new(image).exists()
}

/// The manifests, for the verbs that deploy.
#[derive(Debug, Default, clap::Args)]
pub struct ManifestsArg {
    /// Directory with manifests of your own [default: those in the program]
    #[arg(long, env = "EVENKEEL_MANIFESTS", value_name = "DIR", hide_env_values = true)]
    manifests: Option<PathBuf>,
}

impl ManifestsArg {
    /// Reads the manifests.
    ///
    /// # Errors
    /// [`WorkloadError::Manifest`].
    pub fn load(&self) -> Result<Manifests, WorkloadError> {
        Manifests::load(self.manifests.as_deref().filter(|directory| !directory.as_os_str().is_empty()))
    }
}

/// The validated arguments.
struct DeployRequest {
    manifests: Manifests,
    source: ImageSource,
    replicas: Option<Replicas>,
}

/// The image to deploy.
enum ImageSource {
    Server,
    Archive(Image),
    Reference(String),
}

impl Args {
    /// Deploys, follows the rollout, and prints the workload.
    ///
    /// # Errors
    /// [`ImageError::BadImage`](crate::image::ImageError::BadImage),
    /// [`WorkloadError::Manifest`],
    /// [`ClusterError::NoLab`](crate::cluster::ClusterError::NoLab),
    /// [`WorkloadError::RolloutStuck`] and more.
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        let request =
            DeployRequest { manifests: self.manifests.load()?, source: self.source()?, replicas: self.replicas };
        let (lab, _lock) = context.lab_to_change("deploy").await?;
        let toolbox = context.toolbox(false).await?;
        deploy(context, &lab, &toolbox, request).await?;
        status::show_workload(context, &lab.client).await
    }

    fn source(&self) -> Result<ImageSource, Error> {
        match &self.image {
            None => Ok(ImageSource::Server),
            Some(ImageArg::File(path)) => Ok(ImageSource::Archive(image::inspect(path)?)),
            Some(ImageArg::Reference(reference)) => Ok(ImageSource::Reference(reference.clone())),
        }
    }
}

/// Deploys an image that is already built.
///
/// # Errors
/// As [`Args::run`].
pub async fn built(
    context: &CommandContext,
    lab: &RunningLab,
    toolbox: &Toolbox,
    (manifests, image): (Manifests, Image),
    replicas: Option<Replicas>,
) -> Result<(), Error> {
    deploy(context, lab, toolbox, DeployRequest { manifests, source: ImageSource::Archive(image), replicas }).await
}

async fn deploy(
    context: &CommandContext,
    lab: &RunningLab,
    toolbox: &Toolbox,
    request: DeployRequest,
) -> Result<(), Error> {
    let CommandContext { progress, shutdown, .. } = context;
    let DeployRequest { manifests, source, replicas } = request;
    let reference = match source {
        ImageSource::Reference(reference) => reference,
        ImageSource::Archive(image) => load(context, lab, toolbox, image).await?,
        ImageSource::Server => {
            let image = image::build_server(&context.paths.cache, progress, shutdown).await?;
            load(context, lab, toolbox, image).await?
        }
    };
    let applied = workload::apply(&lab.client, manifests, &reference, replicas, progress);
    crate::shutdown::unless(shutdown, Box::pin(applied)).await??;
    Box::pin(workload::rollout(&lab.client, shutdown, progress)).await?;
    Ok(Box::pin(workload::scale::settle(&lab.access(Some(toolbox)), progress, shutdown)).await?)
}

/// Imports an image into all nodes, and returns its reference.
async fn load(context: &CommandContext, lab: &RunningLab, toolbox: &Toolbox, image: Image) -> Result<String, Error> {
    let step = context.progress.step("load the image into every node");
    let imported = cluster::import_image(&lab.cluster, toolbox, &image);
    crate::shutdown::unless(&context.shutdown, imported).await??;
    step.done_with(image.reference.clone());
    Ok(image.reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_need_a_tag() {
        for good in ["evenkeel.local/server:abc", "localhost:5000/server@sha256:00"] {
            assert_eq!(good.parse(), Ok(ImageArg::Reference(good.into())));
        }
        assert_eq!("./server".parse(), Ok(ImageArg::File("./server".into())));
        for bad in ["server", "localhost:5000/server", "", "a b:c"] {
            assert!(bad.parse::<ImageArg>().is_err(), "{bad:?} must be refused");
        }
    }
}
