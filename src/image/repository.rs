//! The repository of a registry to which images are pushed.

use std::fmt;
use std::str::FromStr;

use super::ImageName;
use crate::config::InvalidValue;

/// What is expected, with an example.
const EXPECTED: &str = "REGISTRY/REPOSITORY, such as ghcr.io/me/evenkeel or localhost:5000/evenkeel";

/// A repository with its registry: `ghcr.io/me/evenkeel`. The registry is always given, because a short name would silently
/// mean Docker Hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository(ImageName);

impl Repository {
    /// Its registry.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// It as the name of an image.
    pub(super) fn name(&self) -> &ImageName {
        &self.0
    }
}

impl FromStr for Repository {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let expected = |but: &str| InvalidValue::expected(format!("{EXPECTED}{but}"));
        if text.contains("://") {
            return Err(expected(", without http:// or https://"));
        }
        let (registry, repository) = text.split_once('/').ok_or_else(|| expected(""))?;
        if repository.contains([':', '@']) {
            return Err(expected(", without a tag or a digest"));
        }
        // As Docker tells a registry from the first part of a repository on Docker Hub.
        if registry != "localhost" && !registry.contains(['.', ':']) {
            return Err(expected(&format!(", but \"{registry}\" is not the name of a registry")));
        }
        let name: ImageName = text
            .parse()
            .map_err(|_| expected(": small letters, digits, and single \".\", \"_\" and \"-\" between them"))?;
        if name.is_own() {
            return Err(expected(&format!(", but there is no registry {registry}")));
        }
        Ok(Self(name))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.0.registry(), self.0.repository())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_names_its_registry_and_no_version() {
        for (given, full) in [
            ("ghcr.io/me/evenkeel", "ghcr.io/me/evenkeel"),
            ("localhost/evenkeel", "localhost/evenkeel"),
            ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c"),
            ("docker.io/me/evenkeel", "docker.io/me/evenkeel"),
        ] {
            assert_eq!(given.parse::<Repository>().unwrap().to_string(), full);
        }
        let digest = format!("ghcr.io/me/evenkeel@sha256:{}", "0".repeat(64));
        for (bad, said) in [
            ("", "such as"),
            ("evenkeel", "such as"),
            ("ghcr.io", "such as"),
            ("ghcr.io/", "small letters"),
            ("ghcr.io/Me/app", "small letters"),
            ("ghcr.io/me//app", "small letters"),
            ("https://ghcr.io/me", "without http:// or https://"),
            ("ghcr.io/me/app:1", "without a tag"),
            (&digest, "without a tag"),
            ("me/evenkeel", "\"me\" is not the name of a registry"),
            ("evenkeel.local/server", "no registry evenkeel.local"),
        ] {
            let error = bad.parse::<Repository>().unwrap_err().to_string();
            assert!(error.contains(said), "{bad:?}: {error}");
        }
    }
}
