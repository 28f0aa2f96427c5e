//! `evenkeel deploy`.

use std::path::PathBuf;

use super::context::{Context, Lab, is_file};
use super::status;
use crate::cli::error::Error;
use crate::cluster;
use crate::config::Replicas;
use crate::image::{self, Image};
use crate::toolbox::Toolbox;
use crate::workload::{self, WorkloadError, manifests::Manifests};

/// Arguments of `deploy`.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// How many pods; without it, as many as there are, or 2
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub replicas: Option<Replicas>,
    /// An image instead of the server: an archive (OCI or docker, .tar or .tar.gz), or the reference of one that the
    /// nodes have
    #[arg(long, value_name = "FILE|REF")]
    pub image: Option<String>,
    /// Which manifests.
    #[command(flatten)]
    pub manifests: ManifestsArg,
}

/// Which manifests, for the verbs that deploy.
#[derive(Debug, Default, clap::Args)]
pub struct ManifestsArg {
    /// A directory with manifests of the workload instead of those that this program carries
    #[arg(long, env = "EVENKEEL_MANIFESTS", value_name = "DIR", hide_env_values = true)]
    manifests: Option<PathBuf>,
}

impl ManifestsArg {
    /// Reads them.
    ///
    /// # Errors
    /// [`Error::Manifest`].
    pub fn load(&self) -> Result<Manifests, WorkloadError> {
        Manifests::load(self.manifests.as_deref().filter(|directory| !directory.as_os_str().is_empty()))
    }
}

/// What shall run, after validation.
struct Wanted {
    manifests: Manifests,
    source: Source,
    replicas: Option<Replicas>,
}

/// Which image.
enum Source {
    Server,
    Archive(Image),
    Reference(String),
}

impl Args {
    /// Deploys, follows the rollout, and shows what runs.
    ///
    /// # Errors
    /// [`Error::BadImage`], [`Error::Manifest`], [`Error::NoLab`], [`Error::RolloutStuck`] and more.
    pub async fn run(&self, context: &Context) -> Result<(), Error> {
        let wanted = Wanted { manifests: self.manifests.load()?, source: self.source()?, replicas: self.replicas };
        let (lab, _lock) = context.lab_to_change("deploy").await?;
        let toolbox = context.toolbox(false).await?;
        deploy(context, &lab, &toolbox, wanted).await?;
        status::show_workload(context, &lab.client).await
    }

    fn source(&self) -> Result<Source, Error> {
        match &self.image {
            None => Ok(Source::Server),
            Some(image) if is_file(image) => Ok(Source::Archive(image::inspect(&PathBuf::from(image))?)),
            Some(reference) => Ok(Source::Reference(checked(reference)?)),
        }
    }
}

/// Deploys an image that is built already.
///
/// # Errors
/// As [`Args::run`].
pub async fn built(
    context: &Context,
    lab: &Lab,
    toolbox: &Toolbox,
    (manifests, image): (Manifests, Image),
    replicas: Option<Replicas>,
) -> Result<(), Error> {
    deploy(context, lab, toolbox, Wanted { manifests, source: Source::Archive(image), replicas }).await
}

async fn deploy(context: &Context, lab: &Lab, toolbox: &Toolbox, wanted: Wanted) -> Result<(), Error> {
    let Context { progress, shutdown, .. } = context;
    let Wanted { manifests, source, replicas } = wanted;
    let reference = match source {
        Source::Reference(reference) => reference,
        Source::Archive(image) => load(context, lab, toolbox, image).await?,
        Source::Server => {
            let image = image::build_server(&context.paths.cache, progress, shutdown).await?;
            load(context, lab, toolbox, image).await?
        }
    };
    let applied = workload::apply(&lab.client, manifests, &reference, replicas, progress);
    crate::shutdown::unless(shutdown, Box::pin(applied)).await??;
    Box::pin(workload::rollout(&lab.client, shutdown, progress)).await?;
    Ok(Box::pin(workload::scale::settle(&lab.access(Some(toolbox)), progress, shutdown)).await?)
}

/// Hands an image to the nodes; returns its reference.
async fn load(context: &Context, lab: &Lab, toolbox: &Toolbox, image: Image) -> Result<String, Error> {
    let step = context.progress.step("load the image into every node");
    let imported = cluster::import_image(&lab.cluster, toolbox, &image);
    crate::shutdown::unless(&context.shutdown, imported).await??;
    step.done_with(image.reference.clone());
    Ok(image.reference)
}

/// A reference must say which of an image's versions: the nodes ask no registry.
fn checked(reference: &str) -> Result<String, Error> {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    let plain = |c: char| c.is_ascii_alphanumeric() || ":._-@/".contains(c);
    let why = if !reference.chars().all(plain) || reference.is_empty() {
        "it is neither a file nor an image's reference"
    } else if !name.contains([':', '@']) {
        "it is no file, and as a reference it lacks the tag (name:tag)"
    } else {
        return Ok(reference.to_owned());
    };
    Err(Error::BadValue { what: "--image", given: reference.to_owned(), why: why.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_need_a_tag() {
        assert!(checked("evenkeel.local/server:abc").is_ok());
        assert!(checked("localhost:5000/server@sha256:00").is_ok());
        for bad in ["server", "localhost:5000/server", "", "a b:c"] {
            assert!(checked(bad).is_err(), "{bad:?} must be refused");
        }
    }
}
