//! `evenkeel deploy`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use kube::Client;

use super::context::{CommandContext, RunningLab};
use super::deploy_foreign;
use super::foreign::{ClusterFlags, ConsentFlag};
use super::manifest_flags::{LoadedManifests, ManifestFlags};
use super::status;
use super::subject::{SubjectFlag, forget, remember};
use crate::cli::error::Error;
use crate::cluster;
use crate::config::{InvalidValue, Replicas};
use crate::image::{self, Archive, Image, ImageError, ImageName, ImageSources};
use crate::toolbox::Toolbox;
use crate::workload::deployment::{self, ContainerImage, Deployed};
use crate::workload::manifest::Manifest;
use crate::workload::{self, Subject, SubjectWish, WorkloadError};

/// The namespace of a lab in which it is recorded what is deployed.
pub(super) const RECORD: &str = "default";

/// Arguments of `deploy`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of pods of the Service's controller [default: as in the manifests; for the server as many as there are, or 2]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub replicas: Option<Replicas>,
    /// Image for the container that the Service leads to: an archive (OCI or docker; tar, gzip or zstd; file or pipe), or
    /// the name of an image, which is taken from the nodes, a local Docker or Podman, or its registry
    #[arg(long, value_name = "FILE|NAME")]
    pub image: Option<ImageArg>,
    /// Name of the image in the archive, if the archive has several images or none has a name
    #[arg(long = "as", value_name = "NAME", requires = "image")]
    pub image_name: Option<ImageName>,
    /// The manifests.
    #[command(flatten)]
    pub manifests: ManifestFlags,
    /// Remove what an earlier deploy applied and this one does not
    #[arg(long)]
    pub prune: bool,
    /// The Service to test.
    #[command(flatten)]
    pub subject: SubjectFlag,
    /// A cluster that is no lab.
    #[command(flatten)]
    pub cluster: ClusterFlags,
    /// The consent to change it.
    #[command(flatten)]
    pub consent: ConsentFlag,
}

/// What `--image` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageArg {
    /// An archive.
    File(PathBuf),
    /// The name of an image.
    Name(ImageName),
}

impl FromStr for ImageArg {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if is_file(text) {
            return Ok(Self::File(text.into()));
        }
        text.parse().map(Self::Name).map_err(|_| InvalidValue::expected("a file or the name of an image"))
    }
}

/// Whether `--image` names a file rather than a reference.
fn is_file(image: &str) -> bool {
    let archive = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"].iter().any(|ending| image.ends_with(ending));
    archive || image.starts_with(['.', '/']) || Path::new(image).exists()
}

/// The validated arguments.
pub struct DeployRequest {
    /// The manifests, and where their objects go.
    pub manifests: LoadedManifests,
    /// The image of the container behind the Service.
    pub image: ImageSource,
    /// How many pods it gets.
    pub replicas: Option<Replicas>,
    /// Whether objects of earlier deploys that are no longer among the manifests are removed.
    pub prune: bool,
    /// Which of the Services is the one to test.
    pub wanted: SubjectWish,
}

/// The image to deploy.
pub enum ImageSource {
    /// Those that the manifests name.
    OfManifests,
    /// Evenkeel's own server.
    Server,
    /// An archive.
    Archive(Image),
    /// The name of an image.
    Name(ImageName),
}

impl Args {
    /// Deploys, follows the rollouts, and prints the workload.
    ///
    /// # Errors
    /// [`ImageError::BadImage`],
    /// [`WorkloadError::Manifest`],
    /// [`ClusterError::NoLab`](crate::cluster::ClusterError::NoLab),
    /// [`WorkloadError::RolloutStuck`] and more.
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        if let Some(cluster) = self.cluster.cluster(context).await? {
            return Box::pin(deploy_foreign::run(self, context, &cluster)).await;
        }
        let pipe = matches!(&self.image, Some(ImageArg::File(path)) if image::is_pipe(path));
        if pipe || self.manifests.read_once() {
            // What this process reads is not there any more for the command behind sudo.
            context.require_root("deploy")?;
        }
        let manifests = self.manifests.load(context).await?;
        let request = DeployRequest {
            image: self.image(context, &manifests)?,
            manifests,
            replicas: self.replicas,
            prune: self.prune,
            wanted: self.subject.wish_of_manifests(),
        };
        let (lab, _lock) = context.lab_to_change("deploy").await?;
        let toolbox = context.toolbox(false).await?;
        let subject = deploy(context, &lab, &toolbox, request).await?;
        status::show_workload(context, &lab.client, subject.as_ref()).await
    }

    fn image(&self, context: &CommandContext, manifests: &LoadedManifests) -> Result<ImageSource, Error> {
        Ok(match &self.image {
            None if manifests.are_own => ImageSource::Server,
            None => ImageSource::OfManifests,
            Some(ImageArg::File(path)) => {
                ImageSource::Archive(Archive::read(path, &context.progress)?.one(self.image_name.as_ref())?)
            }
            Some(ImageArg::Name(name)) => ImageSource::Name(name.clone()),
        })
    }
}

/// Deploys, and waits until the rollouts and the load balancer are ready. Returns the Service to test, if it is clear which
/// one that is.
///
/// # Errors
/// As [`Args::run`].
pub async fn deploy(
    context: &CommandContext,
    lab: &RunningLab,
    toolbox: &Toolbox,
    request: DeployRequest,
) -> Result<Option<Subject>, Error> {
    let CommandContext { progress, shutdown, paths, .. } = context;
    let LoadedManifests { mut manifests, namespace, images, are_own } = request.manifests;
    let changes = request.replicas.is_some() || !matches!(request.image, ImageSource::OfManifests);
    let subject = deployment::subject_of(&manifests, &namespace, &request.wanted);
    let subject = match subject {
        Ok(subject) => Some(subject),
        Err(unclear) if changes || request.wanted.given.is_some() => return Err(unclear.into()),
        Err(unclear) => {
            ask_for_service(context, &unclear);
            None
        }
    };
    if let (Some(subject), Some(replicas)) = (&subject, request.replicas) {
        workload::require_room_in_lab(&lab.cluster, &lab.client, subject, replicas).await?;
    }
    for image in images {
        load(context, lab, toolbox, image).await?;
    }
    let asked = match &request.image {
        ImageSource::Name(name) => Some(name.clone()),
        _ => None,
    };
    let reference = match request.image {
        ImageSource::OfManifests => None,
        ImageSource::Name(name) => Some(name.to_string()),
        ImageSource::Archive(image) => Some(load(context, lab, toolbox, image).await?),
        ImageSource::Server => {
            let image = image::build_server(&paths.cache, progress, shutdown).await?;
            Some(load(context, lab, toolbox, image).await?)
        }
    };
    if let (Some(subject), Some(reference)) = (&subject, reference) {
        deployment::set_image(&mut manifests, &namespace, subject, &reference)?;
    }
    if let Some(subject) = &subject {
        let kept = if are_own { workload::replicas(&lab.client, subject).await? } else { None };
        if let Some(replicas) = request.replicas.or(kept) {
            deployment::set_replicas(&mut manifests, &namespace, subject, replicas)?;
        }
    }
    let present = provide(context, lab, toolbox, &manifests, asked).await?;
    run_what_nodes_have(&mut manifests, &present);
    let applied = deployment::deploy(&lab.client, &manifests, &namespace, RECORD, progress);
    let deployed = crate::shutdown::unless(shutdown, Box::pin(applied)).await??;
    if request.prune {
        let pruning = deployment::prune(&lab.client, &deployed, progress);
        crate::shutdown::unless(shutdown, Box::pin(pruning)).await??;
    }
    follow(context, &lab.client, &deployed).await?;
    let Some(subject) = subject else {
        // The next command asks which Service is meant, instead of using that of an earlier deploy.
        forget(paths)?;
        return Ok(None);
    };
    let wanted = SubjectWish { given: Some(subject.name()), ..SubjectWish::default() };
    let subject = Subject::find(&lab.client, &wanted).await?;
    remember(paths, &subject)?;
    Box::pin(workload::scale::settle(&lab.access(Some(toolbox)), &subject, progress, shutdown)).await?;
    Ok(Some(subject))
}

/// Says why later commands need `--service`. Manifests without a Service have nothing to test.
pub(super) fn ask_for_service(context: &CommandContext, unclear: &WorkloadError) {
    if !matches!(unclear, WorkloadError::NoServiceGiven) {
        context.progress.note(format!("{unclear}; add --service [NAMESPACE/]NAME[:PORT] here or to the next commands"));
    }
}

/// Finds the images that the manifests name and the nodes lack, and then imports them. Returns the names of all images that
/// the nodes have.
async fn provide(
    context: &CommandContext,
    lab: &RunningLab,
    toolbox: &Toolbox,
    manifests: &[Manifest],
    asked: Option<ImageName>,
) -> Result<BTreeSet<String>, Error> {
    let CommandContext { progress, shutdown, paths, .. } = context;
    let mut present = cluster::image_names(&lab.cluster, toolbox).await?;
    let mut found = Vec::new();
    let sources = ImageSources::of_caller(&paths.cache);
    let containers = deployment::container_images(manifests);
    let named = containers.iter().filter_map(|container| Some((to_pull(container)?, Some(&container.container))));
    let wanted = asked.into_iter().map(|name| (name, None)).chain(named);
    for (name, container) in wanted.filter(|(name, _)| !name.is_own()) {
        if present.insert(name.to_string()) {
            let image = image::find(&name, &sources, progress, shutdown).await;
            found.push(image.map_err(|error| of_container(error, container))?);
        }
    }
    for image in found {
        load(context, lab, toolbox, image).await?;
    }
    Ok(present)
}

/// An error about an image, with the container that has it. Ctrl-C is not about an image.
fn of_container(error: ImageError, container: Option<&String>) -> Error {
    match container {
        Some(container) if !matches!(error, ImageError::Interrupted(_)) => {
            Error::ContainerImage { container: container.clone(), source: error }
        }
        _ => error.into(),
    }
}

/// The image of a container, if it may be pulled. A name that is invalid is left to the kubelet, which reports it.
fn to_pull(container: &ContainerImage) -> Option<ImageName> {
    let name: ImageName = container.image.parse().ok()?;
    (container.pull_policy.as_deref() != Some("Never")).then_some(name)
}

/// Lets the kubelet run images that the nodes have. It would otherwise ask a registry each time for images with the tag
/// `latest` or the policy `Always`, and an image that was loaded is in no registry.
fn run_what_nodes_have(manifests: &mut [Manifest], present: &BTreeSet<String>) {
    deployment::set_pull_policy(manifests, |container| {
        let name: ImageName = container.image.parse().ok()?;
        let always = match &container.pull_policy {
            Some(policy) => policy == "Always",
            None => name.is_latest(),
        };
        (always && present.contains(&name.to_string())).then_some("IfNotPresent")
    });
}

/// Waits for all rollouts and Jobs, at the same time.
pub(super) async fn follow(context: &CommandContext, client: &Client, deployed: &Deployed) -> Result<(), Error> {
    let CommandContext { progress, shutdown, .. } = context;
    let rollouts = deployed.controllers.iter();
    let rollouts = rollouts.map(|controller| Box::pin(workload::rollout(client, controller, shutdown, progress)));
    let jobs = deployed.jobs.iter();
    let jobs = jobs.map(|(namespace, name)| Box::pin(workload::job(client, namespace, name, shutdown, progress)));
    futures::try_join!(futures::future::try_join_all(rollouts), futures::future::try_join_all(jobs))?;
    Ok(())
}

/// Imports an image into all nodes, and returns its reference.
///
/// # Errors
/// [`ClusterError::ImageTooLarge`](crate::cluster::ClusterError::ImageTooLarge), [`Error::Interrupted`] and more.
pub(super) async fn load(
    context: &CommandContext,
    lab: &RunningLab,
    toolbox: &Toolbox,
    image: Image,
) -> Result<String, Error> {
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
    fn an_image_is_a_file_or_a_name() {
        for (given, name) in [("web", "docker.io/library/web:latest"), ("localhost:5000/a:1", "localhost:5000/a:1")] {
            assert_eq!(given.parse(), Ok(ImageArg::Name(name.parse().unwrap())));
        }
        for file in ["./server", "none.tar", "none.tar.zst"] {
            assert_eq!(file.parse(), Ok(ImageArg::File(file.into())));
        }
        for bad in ["", "a b:c", "UPPER", "a:"] {
            assert!(bad.parse::<ImageArg>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn an_image_that_the_nodes_have_is_not_pulled() {
        let text = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [
            {name: a, image: app}, {name: b, image: 'app:1', imagePullPolicy: Always}, {name: c, image: 'app:1'},
            {name: d, image: 'other:latest'}, {name: e, image: app, imagePullPolicy: Never}]}}";
        let mut manifests = workload::manifest::read_text("pod.yaml", text).unwrap();
        let present = ["docker.io/library/app:latest", "docker.io/library/app:1"].map(str::to_owned);
        run_what_nodes_have(&mut manifests, &present.into());
        let policies = deployment::container_images(&manifests).into_iter().map(|found| found.pull_policy);
        let policies: Vec<_> = policies.map(Option::unwrap_or_default).collect();
        assert_eq!(policies, ["IfNotPresent", "IfNotPresent", "", "", "Never"]);
    }
}
