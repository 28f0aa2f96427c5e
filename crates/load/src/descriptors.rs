//! Each connection is an open file, and the number of open files of a process is limited.

use std::io;
use std::num::NonZeroU32;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::error::LoadError;

/// Files that a process has open besides its connections: standard streams, epoll, those of the runtime.
const OTHERS: u64 = 64;

/// Raises the soft limit on open files of this process, if `connections` need that.
///
/// # Errors
/// [`LoadError::TooFewDescriptors`] when the hard limit is lower; [`LoadError::DescriptorLimit`] when it cannot be read.
pub fn ensure_descriptors(connections: NonZeroU32) -> Result<(), LoadError> {
    let needed = u64::from(connections.get()) + OTHERS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|errno| LoadError::DescriptorLimit { source: io::Error::from(errno) })?;
    if needed <= soft {
        return Ok(());
    }
    let raised = needed <= hard && setrlimit(Resource::RLIMIT_NOFILE, needed, hard).is_ok();
    raised.then_some(()).ok_or(LoadError::TooFewDescriptors { connections, limit: hard })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_hard_limit_is_refused_with_the_limit() {
        let error = ensure_descriptors(NonZeroU32::MAX).unwrap_err();
        assert!(matches!(error, LoadError::TooFewDescriptors { .. }), "{error}");
        assert!(ensure_descriptors(NonZeroU32::MIN).is_ok());
    }
}
