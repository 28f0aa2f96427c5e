//! The minor versions of Kubernetes that a lab can use.

use std::fmt;

use super::module::Module;
use crate::version::Version;

/// A minor version of Kubernetes: 1.36.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release {
    major: u32,
    minor: u32,
}

impl Release {
    /// The release to which a version belongs.
    pub(super) fn of(Version(major, minor, _): Version) -> Self {
        Self { major, minor }
    }

    /// The pinned one, with which this program is tested.
    pub(super) fn pinned() -> Self {
        Self::of(Version::parse(Module::Kubernetes.pins().version()).unwrap_or(Version(1, 0, 0)))
    }

    /// Those that a lab can use: the pinned one and the next. Kubernetes removes nothing stable from one release to the next,
    /// and a distribution that is updated continuously, such as nixpkgs, may already have it.
    pub(super) fn supported() -> [Self; 2] {
        let pinned = Self::pinned();
        [pinned, pinned.after()]
    }

    pub(super) fn before(self) -> Self {
        Self { minor: self.minor.saturating_sub(1), ..self }
    }

    pub(super) fn after(self) -> Self {
        Self { minor: self.minor + 1, ..self }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}
