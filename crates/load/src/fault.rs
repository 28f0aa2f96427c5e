//! The kinds of failures of single requests.

use std::fmt;
use std::io;

/// Why a request got no response, or one that counts as a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The connection was refused: nothing listens at the address.
    Refused,
    /// The connection was reset.
    Reset,
    /// The connection was closed before the response was complete.
    Closed,
    /// There was no complete response, or no connection, within the plan's timeout.
    TimedOut,
    /// What was received is not a valid response.
    ProtocolError,
    /// The server does not speak HTTP/2.
    NotHttp2,
    /// The server refused the stream, or ended the connection before it processed the stream (HTTP/2).
    NotProcessed,
    /// The server reset the stream (HTTP/2).
    StreamReset,
    /// No connection could be opened for another reason: no route, no file descriptor.
    Unreachable,
    /// No local port is free for another connection.
    NoAddress,
    /// A complete response whose status is not one of those that the plan expects.
    Status(u16),
}

impl Fault {
    /// Whether there was a complete response.
    #[must_use]
    pub fn is_response(self) -> bool {
        matches!(self, Self::Status(_))
    }

    /// The same fault with less detail: the class instead of the status, 500 for every 5xx.
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
            Self::ProtocolError => formatter.write_str("protocol error"),
            Self::NotHttp2 => formatter.write_str("not HTTP/2"),
            Self::NotProcessed => formatter.write_str("not processed"),
            Self::StreamReset => formatter.write_str("stream reset"),
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
    fn errors_of_the_kernel_become_faults() {
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
