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
    /// No way there: no route, no free local port, no descriptor.
    Unreachable,
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
            Self::Status(code) => write!(formatter, "status {code}"),
        }
    }
}
