//! The platforms of images, and that of this machine, by their names in images.

use std::fmt;

use oci_spec::image::Arch;
use serde::Deserialize;

use crate::platform;

/// The operating system of every image that a node runs.
pub(super) const OS: &str = "linux";

/// The architecture of this machine, by its name in Go and in images.
pub(super) fn architecture() -> Arch {
    Arch::from(platform::architecture())
}

/// `linux/amd64`.
pub(super) fn of_this_machine() -> String {
    format!("{OS}/{}", architecture())
}

/// The platform of an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Platform {
    pub(super) os: String,
    pub(super) architecture: String,
}

impl Platform {
    /// The platform in an image's configuration; `None` if it has none.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub(super) fn of(configuration: &[u8]) -> Result<Option<Self>, String> {
        #[derive(Deserialize)]
        struct Of {
            os: Option<String>,
            architecture: Option<String>,
        }
        let of: Of = serde_json::from_slice(configuration)
            .map_err(|problem| format!("its configuration is invalid ({problem})"))?;
        Ok(of.os.zip(of.architecture).map(|(os, architecture)| Self { os, architecture }))
    }

    /// Whether images for it run on this machine.
    pub(super) fn is_here(&self) -> bool {
        self.to_string() == of_this_machine()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)
    }
}
