//! The manifests that a verb deploys.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::context::CommandContext;
use crate::cli::error::Error;
use crate::image::{self, Archive, Image};
use crate::process::Invocation;
use crate::toolbox::{self, Program};
use crate::workload::WorkloadError;
use crate::workload::manifest::{self, Manifest, ManifestPlace, ManifestSource};

/// Flags that select manifests.
#[derive(Debug, Default, clap::Args)]
pub struct ManifestFlags {
    /// File or directory with manifests to deploy instead of the server, or - for stdin; can be repeated
    #[arg(short, long, env = "EVENKEEL_FILES", value_name = "PATH", value_delimiter = ':', hide_env_values = true)]
    #[arg(value_parser = clap::builder::OsStringValueParser::new())]
    filename: Vec<OsString>,
    /// Directory with a kustomization to deploy instead of the server; can be repeated
    #[arg(short, long, value_name = "DIR")]
    kustomize: Vec<PathBuf>,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    /// Archive with images to load into the nodes first, or /dev/stdin; can be repeated
    #[arg(long, env = "EVENKEEL_LOAD", value_name = "FILE", value_delimiter = ':', hide_env_values = true)]
    load: Vec<PathBuf>,
    /// Directory with manifests of your own for Evenkeel's server [default: those in the program]
    #[arg(long, env = "EVENKEEL_MANIFESTS", value_name = "DIR", hide_env_values = true)]
    #[arg(conflicts_with_all = ["filename", "kustomize"])]
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
        self.filename.iter().any(|path| ManifestSource::from(path.clone()) == ManifestSource::Stdin)
            || self.load.iter().any(|path| image::is_pipe(path))
    }

    /// Reads all manifests, and inspects the images.
    ///
    /// # Errors
    /// [`WorkloadError::Manifest`], [`ImageError::BadImage`](crate::image::ImageError::BadImage).
    pub async fn load(&self, context: &CommandContext) -> Result<LoadedManifests, Error> {
        let mut manifests = Vec::new();
        for path in self.filename.iter().filter(|path| !path.is_empty()) {
            manifests.extend(manifest::read(&ManifestSource::from(path.clone()))?);
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
        let archives = self.load.iter().filter(|path| !path.as_os_str().is_empty());
        let mut images = Vec::new();
        for path in archives {
            images.extend(Archive::read(path, &context.progress)?.all()?);
        }
        Ok(LoadedManifests { manifests, namespace: self.namespace.clone(), images, are_own })
    }
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
