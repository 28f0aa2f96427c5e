//! The C library of this machine, which static programs are linked to.

use crate::process::Invocation;
use crate::version::Version;

/// The first version of glibc whose static programs understand packed relocations (the release notes of glibc 2.36: `DT_RELR`).
const FIRST: Version = Version(2, 36, 0);

/// The argument with which the linker packs relocations. A linker that does not know it ignores it with a warning.
pub(super) const PACK_RELOCATIONS: &str = "-Clink-arg=-Wl,-z,pack-relative-relocs";

/// Whether a static program may have packed relocations. Each process then has 0.25 MB less in memory.
pub(super) async fn understands_packed_relocations() -> bool {
    let version = Invocation::new("getconf", ["GNU_LIBC_VERSION"]).run_async().await;
    version.is_ok_and(|said| is_new_enough(&String::from_utf8_lossy(&said)))
}

/// Whether the version that `getconf` prints is new enough. Without glibc it prints none.
fn is_new_enough(said: &str) -> bool {
    said.strip_prefix("glibc ").and_then(Version::in_text).is_some_and(|version| version >= FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_unknown_libraries_get_no_packed_relocations() {
        for new in ["glibc 2.36\n", "glibc 2.41\n", "glibc 2.42.9000", "glibc 3.0"] {
            assert!(is_new_enough(new), "{new}");
        }
        for old in ["glibc 2.35\n", "glibc 2.4", "", "undefined", "musl 1.2.5", "glibc two.36"] {
            assert!(!is_new_enough(old), "{old}");
        }
    }
}
