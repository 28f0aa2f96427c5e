//! What can go wrong with a request, by kind.

use std::fmt;
use std::io;

/// Why a request was not answered, or not answered well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Nobody listens there.
    Refused,
    /// The connection was reset.
    Reset,
    /// The connection was closed before the answer was whole.
    Closed,
    /// No whole answer, or no connection, within the plan's timeout.
    TimedOut,
    /// What came is not HTTP/1.
    Garbage,
    /// No way there: no route, no descriptor.
    Unreachable,
    /// No local address and port is free for another connection.
    NoAddress,
    /// A whole answer whose status is not 2xx.
    Status(u16),
}

impl Fault {
    /// Whether an answer came, all the same.
    #[must_use]
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Status(_))
    }

    /// The same with less detail: every 5xx is 500.
    pub(super) fn coarse(self) -> Self {
        match self {
            Self::Status(code) => Self::Status(code / 100 * 100),
            other => other,
        }
    }
}

impl From<&io::Error> for Fault {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                Self::Reset
            }
            io::ErrorKind::UnexpectedEof => Self::Closed,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::AddrNotAvailable => Self::NoAddress,
            _ => Self::Unreachable,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => formatter.write_str("refused"),
            Self::Reset => formatter.write_str("reset"),
            Self::Closed => formatter.write_str("closed early"),
            Self::TimedOut => formatter.write_str("timed out"),
            Self::Garbage => formatter.write_str("no HTTP"),
            Self::Unreachable => formatter.write_str("unreachable"),
            Self::NoAddress => formatter.write_str("no address"),
            Self::Status(code) => write!(formatter, "status {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn what_the_kernel_says() {
        let all = [
            (Errno::ECONNREFUSED, Fault::Refused),
            (Errno::ECONNRESET, Fault::Reset),
            (Errno::EPIPE, Fault::Reset),
            (Errno::ETIMEDOUT, Fault::TimedOut),
            (Errno::EADDRNOTAVAIL, Fault::NoAddress),
            (Errno::EHOSTUNREACH, Fault::Unreachable),
            (Errno::ENETUNREACH, Fault::Unreachable),
            (Errno::EMFILE, Fault::Unreachable),
        ];
        for (errno, fault) in all {
            assert_eq!(Fault::from(&io::Error::from(errno)), fault, "{errno}");
        }
    }
}
