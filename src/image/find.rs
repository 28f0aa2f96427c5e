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

/// The environment variables about registries and the network that [`find`] and the programs that it runs read.
pub const NETWORK_VARIABLES: [&str; 15] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "DOCKER_CONFIG",
    "DOCKER_HOST",
    "REGISTRY_AUTH_FILE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
];
/// Those about the caller and the local Docker or Podman.
const CALLER_VARIABLES: [&str; 5] = ["PATH", "HOME", "SUDO_UID", "XDG_RUNTIME_DIR", "CONTAINER_HOST"];

/// The variables, with their values here, that finding an image elsewhere needs.
#[must_use]
pub fn read_variables() -> Vec<(String, String)> {
    let variable = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
    CALLER_VARIABLES.iter().chain(&NETWORK_VARIABLES).filter_map(|name| variable(name)).collect()
}

/// The index whose digest a name has, if [`find`] has pulled the image of this name through it.
#[must_use]
pub fn index_of(name: &ImageName, sources: &ImageSources) -> Option<Vec<u8>> {
    registry::index(name, sources)
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
