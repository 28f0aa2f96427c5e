//! Finds an image by its name: in a local Docker or Podman, or in its registry.

use std::path::{Path, PathBuf};

use super::{Image, ImageName, engine, registry};
use crate::image::ImageError;
use crate::progress::Progress;
use crate::shutdown::{Shutdown, unless};

/// Where images are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSources {
    /// The directory of the cache for images.
    pub cache: PathBuf,
    /// Files with credentials for registries, in the format of Docker and Podman; the first one that has some counts.
    pub credentials: Vec<PathBuf>,
}

impl ImageSources {
    /// A cache, and the credentials of the user who called this program, also behind sudo.
    #[must_use]
    pub fn of_caller(cache: &Path) -> Self {
        Self { cache: cache.join("images"), credentials: registry::credential_files() }
    }
}

/// The environment variables that [`find`] and the programs that it runs read.
const VARIABLES: [&str; 20] = [
    "PATH",
    "HOME",
    "SUDO_UID",
    "XDG_RUNTIME_DIR",
    "DOCKER_CONFIG",
    "DOCKER_HOST",
    "CONTAINER_HOST",
    "REGISTRY_AUTH_FILE",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
];

/// The variables, with their values here, that finding an image elsewhere needs.
#[must_use]
pub fn read_variables() -> Vec<(String, String)> {
    let variable = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
    VARIABLES.iter().filter_map(|name| variable(name)).collect()
}

/// The image of that name. A local Docker or Podman comes first, because a tag may name something there that was built a
/// moment ago; then its registry, from which the cache keeps what was pulled.
///
/// # Errors
/// [`ImageError::Registry`], [`ImageError::Unauthorised`], [`ImageError::NotInRegistry`], [`ImageError::WrongPlatform`],
/// [`ImageError::Interrupted`].
pub async fn find(
    name: &ImageName,
    sources: &ImageSources,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<Image, ImageError> {
    match unless(shutdown, engine::find(name, progress)).await? {
        Some(image) => Ok(image),
        None => registry::pull(name, sources, progress, shutdown).await,
    }
}
