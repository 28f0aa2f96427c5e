//! The manifests that a verb deploys.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::context::CommandContext;
use crate::cli::error::Error;
use crate::cluster::ForeignCluster;
use crate::image::{self, Archive, Image};
use crate::process::Invocation;
use crate::toolbox::{self, Program};
use crate::workload::manifest::{self, Manifest, ManifestPlace, ManifestSource};
use crate::workload::{WorkloadError, deployment};

/// Flags that select manifests.
#[derive(Debug, Default, clap::Args)]
#[allow(clippy::doc_markdown, reason = "the help of the command line is plain text")]
pub struct ManifestFlags {
    /// File or directory with manifests to deploy instead of the server, or - for stdin; can be repeated [default: those in
    /// EVENKEEL_FILES]
    #[arg(short, long, value_name = "PATH", value_parser = clap::builder::OsStringValueParser::new())]
    filename: Vec<OsString>,
    /// Directory with a kustomization to deploy instead of the server; can be repeated
    #[arg(short, long, value_name = "DIR")]
    kustomize: Vec<PathBuf>,
    /// Namespace of objects that name none [default: default, or that of the context]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    namespace: Option<String>,
    /// Archive with images to load into the nodes first, or /dev/stdin; can be repeated [default: those in EVENKEEL_LOAD]
    #[arg(long, value_name = "FILE")]
    load: Vec<PathBuf>,
    /// Directory with manifests of your own for Evenkeel's server [default: those in the program]
    #[arg(long, env = "EVENKEEL_MANIFESTS", value_name = "DIR", hide_env_values = true)]
    manifests: Option<PathBuf>,
}

/// The manifests, read and parsed.
pub struct LoadedManifests {
    /// The objects.
    pub manifests: Vec<Manifest>,
    /// The namespace of objects that name none.
    pub namespace: String,
    /// The images to load into the nodes first.
    pub images: Vec<Image>,
    /// Whether they deploy Evenkeel's server.
    pub are_own: bool,
}

impl ManifestFlags {
    /// Whether something is read that can be read only once: the standard input, or a pipe.
    #[must_use]
    pub fn read_once(&self) -> bool {
        self.sources().any(|source| source == ManifestSource::Stdin)
            || self.archives().iter().any(|path| image::is_pipe(path))
    }

    /// The files and directories. Those in the environment count only if no other manifests are given.
    fn sources(&self) -> impl Iterator<Item = ManifestSource> {
        let given = self.filename.iter().cloned();
        let of_lab = (self.filename.is_empty() && self.kustomize.is_empty()).then(|| paths_in("EVENKEEL_FILES"));
        given.chain(of_lab.into_iter().flatten().map(PathBuf::into_os_string)).map(ManifestSource::from)
    }

    /// The archives. Those in the environment count only if none is given.
    fn archives(&self) -> Vec<PathBuf> {
        if self.load.is_empty() { paths_in("EVENKEEL_LOAD") } else { self.load.clone() }
    }

    /// Reads all manifests, and inspects the images.
    ///
    /// # Errors
    /// [`WorkloadError::Manifest`], [`ImageError::BadImage`](crate::image::ImageError::BadImage).
    pub async fn load(&self, context: &CommandContext) -> Result<LoadedManifests, Error> {
        let mut loaded = self.read(context, "default").await?;
        for path in self.archives() {
            loaded.images.extend(Archive::read(&path, &context.progress)?.all()?);
        }
        Ok(loaded)
    }

    /// Reads all manifests for a cluster whose nodes pull images themselves. Objects without a namespace, and Evenkeel's own
    /// objects, go to that of the context.
    ///
    /// # Errors
    /// [`WorkloadError::Manifest`], [`Error::BadValue`].
    pub async fn load_for(&self, context: &CommandContext, cluster: &ForeignCluster) -> Result<LoadedManifests, Error> {
        if let Some(archive) = self.load.first() {
            return Err(not_loaded("--load", archive));
        }
        let mut loaded = self.read(context, &cluster.namespace).await?;
        if loaded.are_own {
            deployment::move_to(&mut loaded.manifests, &loaded.namespace);
        }
        Ok(loaded)
    }

    async fn read(&self, context: &CommandContext, namespace: &str) -> Result<LoadedManifests, Error> {
        let mut manifests = Vec::new();
        for source in self.sources() {
            manifests.extend(manifest::read(&source)?);
        }
        for directory in &self.kustomize {
            manifests.extend(kustomized(context, directory).await?);
        }
        let are_own = manifests.is_empty();
        if are_own {
            let given = self.manifests.as_deref().filter(|directory| !directory.as_os_str().is_empty());
            manifests = match given {
                Some(directory) => manifest::read(&ManifestSource::Path(directory.to_owned()))?,
                None => manifest::own()?,
            };
        }
        skip_hooks(context, &mut manifests)?;
        let namespace = self.namespace.clone().unwrap_or_else(|| namespace.to_owned());
        Ok(LoadedManifests { manifests, namespace, images: Vec::new(), are_own })
    }
}

/// The error for an image that cannot be loaded into the nodes.
pub(super) fn not_loaded(what: &'static str, archive: &Path) -> Error {
    let why =
        "the nodes of this cluster only run images that they can pull, so push it to a registry and name it there";
    Error::BadValue { what, given: archive.display().to_string(), why: why.to_owned() }
}

/// Leaves out Helm's hooks that an installation does not create, such as the pods of `helm test`.
fn skip_hooks(context: &CommandContext, manifests: &mut Vec<Manifest>) -> Result<(), WorkloadError> {
    let skipped = manifest::take_other_hooks(manifests);
    let Some(first) = skipped.first() else { return Ok(()) };
    let names: Vec<String> = skipped.iter().map(|hook| format!("{} {}", hook.kind(), hook.name())).collect();
    let why = format!("Helm does not create these hooks when it installs a chart: {}", names.join(", "));
    if manifests.is_empty() {
        return Err(WorkloadError::Manifest { place: first.place.clone(), why });
    }
    context.progress.note(format!("not applied: {why}"));
    Ok(())
}

/// The paths in an environment variable, which are separated as in PATH.
fn paths_in(variable: &str) -> Vec<PathBuf> {
    let value = std::env::var_os(variable).unwrap_or_default();
    std::env::split_paths(&value).filter(|path| !path.as_os_str().is_empty()).collect()
}

/// The objects of a kustomization, as the toolbox's kubectl renders them.
async fn kustomized(context: &CommandContext, directory: &Path) -> Result<Vec<Manifest>, Error> {
    let name = directory.display().to_string();
    let found = toolbox::find_one(Program::Kubectl, &context.paths.cache).await;
    let kubectl = found.path.unwrap_or_else(|| Path::new("kubectl").into());
    let arguments = [Path::new("kustomize"), directory];
    let rendered = Invocation::new(kubectl, arguments).run_async().await.map_err(|error| {
        let place = ManifestPlace { file: name.clone(), document: None };
        let words = error.tail.trim();
        WorkloadError::Manifest { place, why: if words.is_empty() { error.outcome.clone() } else { words.to_owned() } }
    })?;
    let manifests = manifest::read_text(&name, &String::from_utf8_lossy(&rendered))?;
    if manifests.is_empty() {
        let place = ManifestPlace { file: name, document: None };
        return Err(WorkloadError::Manifest { place, why: "the kustomization contains no object".into() }.into());
    }
    Ok(manifests)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        flags: ManifestFlags,
    }

    #[test]
    fn a_path_with_a_colon_is_one_path() {
        let Command { flags } = Command::parse_from(["deploy", "-f", "a:b.yaml", "-f", "-", "--load", "c:d.tar"]);
        let sources: Vec<ManifestSource> = flags.sources().collect();
        assert_eq!(sources, [ManifestSource::Path("a:b.yaml".into()), ManifestSource::Stdin]);
        assert!(flags.read_once());
        assert_eq!(flags.archives(), [PathBuf::from("c:d.tar")]);
    }
}
