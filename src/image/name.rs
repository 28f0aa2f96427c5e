//! The full names of images, as containerd and the kubelet write them.

use std::fmt;
use std::str::FromStr;

use oci_spec::distribution::Reference;
use serde::{Serialize, Serializer};

use crate::config::InvalidValue;

/// The registry in the names of the images that this program builds. There is no such registry.
const OWN: &str = "evenkeel.local";

/// The full name of an image: registry, repository, and tag or digest. Short names are completed as Docker does: `app` is
/// `docker.io/library/app:latest`.
///
/// containerd must have no other form of a name. It looks images up by the full name, and if it has another one, it fails
/// to start every container whose image has the same content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageName(Reference);

impl ImageName {
    /// For the client of its registry.
    pub(super) fn reference(&self) -> &Reference {
        &self.0
    }

    /// The registry: `docker.io`, `localhost:5000`.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// The repository in the registry: `library/app`.
    #[must_use]
    pub fn repository(&self) -> &str {
        self.0.repository()
    }

    /// The tag, or the digest.
    #[must_use]
    pub fn version(&self) -> &str {
        self.0.digest().or(self.0.tag()).unwrap_or_default()
    }

    /// The digest, if the name contains one.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.0.digest()
    }

    /// Whether it is an image that this program builds. No registry has one.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.registry() == OWN
    }

    /// Whether the kubelet pulls the image each time, if a container with it does not say when to.
    #[must_use]
    pub fn is_latest(&self) -> bool {
        self.0.digest().is_none() && self.0.tag() == Some("latest")
    }
}

impl FromStr for ImageName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let reference: Reference =
            text.parse().map_err(|problem| InvalidValue::expected(format!("the name of an image ({problem})")))?;
        // With a digest, containerd ignores the tag.
        Ok(Self(match reference.digest() {
            Some(digest) => reference.clone_with_digest(digest.to_owned()),
            None => reference,
        }))
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for ImageName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_completed_as_docker_does() {
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        for (given, full) in [
            ("myapp", "docker.io/library/myapp:latest"),
            ("myapp:1", "docker.io/library/myapp:1"),
            ("user/app:1", "docker.io/user/app:1"),
            ("docker.io/app:1", "docker.io/library/app:1"),
            ("index.docker.io/app:1", "docker.io/library/app:1"),
            ("localhost/app:1", "localhost/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("ghcr.io/a/b:v1", "ghcr.io/a/b:v1"),
            (&format!("app:1@{digest}"), &format!("docker.io/library/app@{digest}")),
        ] {
            assert_eq!(given.parse::<ImageName>().unwrap().to_string(), full);
        }
        for bad in ["", ":1", "a b:1", "UPPER:1", "a:", "a@sha256:00", "../a", "a//b"] {
            assert!(bad.parse::<ImageName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_tag_latest_is_pulled_each_time() {
        let is_latest = |name: &str| name.parse::<ImageName>().unwrap().is_latest();
        assert!(is_latest("app") && is_latest("a.example/app:latest") && !is_latest("app:1"));
        assert!(!is_latest(&format!("app:latest@sha256:{}", "0".repeat(64))));
    }
}
