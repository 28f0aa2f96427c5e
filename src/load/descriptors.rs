//! A connection is an open file, and a process may hold only so many.

use std::num::NonZeroU32;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::error::Error;
use crate::io_error::IoError;

/// Files a process has open besides its connections: streams, epoll, the runtime's.
const OTHERS: u64 = 64;

/// Makes room for `connections`, raising the soft limit if need be.
///
/// # Errors
/// [`Error::BadValue`] when the hard limit is lower.
pub fn make_room(connections: NonZeroU32) -> Result<(), Error> {
    let needed = u64::from(connections.get()) + OTHERS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|errno| IoError::new("read the limit on open files", std::io::Error::from(errno)))?;
    if needed <= soft {
        return Ok(());
    }
    let raised = needed <= hard && setrlimit(Resource::RLIMIT_NOFILE, needed, hard).is_ok();
    raised.then_some(()).ok_or_else(|| Error::BadValue {
        what: "--connections",
        given: connections.to_string(),
        why: format!("each is an open file, and this process may have {hard} (ulimit -Hn)"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_hard_limit_is_refused_with_the_limit() {
        let error = make_room(NonZeroU32::MAX).unwrap_err();
        assert!(matches!(error, Error::BadValue { .. }), "{error}");
        assert!(make_room(NonZeroU32::MIN).is_ok());
    }
}
