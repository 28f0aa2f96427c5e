//! The platform of this machine, by its name in images.

use oci_spec::image::Arch;

/// The operating system of every image that a node runs.
pub(super) const OS: &str = "linux";

/// The architecture of this machine, by its name in Go and in images.
pub(super) fn architecture() -> Arch {
    match std::env::consts::ARCH {
        "x86_64" => Arch::Amd64,
        "aarch64" => Arch::ARM64,
        other => Arch::Other(other.to_owned()),
    }
}

/// `linux/amd64`.
pub(super) fn of_this_machine() -> String {
    format!("{OS}/{}", architecture())
}
