//! The kinds of failures of single requests.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use super::grpc::GrpcStatus;

/// Why a request got no response, or one that counts as a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// The server does not speak TLS.
    NotTls,
    /// The server speaks TLS, and the request was sent without it.
    TlsExpected,
    /// The server does not offer HTTP/2 over TLS (ALPN).
    NoAlpn,
    /// The certificate of the server was not accepted.
    Certificate(CertificateFault),
    /// The TLS handshake failed for another reason.
    Tls,
    /// A complete response of gRPC whose status is not OK.
    Grpc(GrpcStatus),
    /// A complete response with this status of HTTP, and without one of gRPC, to a call of gRPC.
    NotGrpc(u16),
    /// A complete response whose status is not one of those that the plan expects.
    Status(u16),
}

/// Why the certificate of a server was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CertificateFault {
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// No authority that is trusted has signed it.
    UnknownIssuer,
    /// It is for another name.
    OtherName,
    /// Another reason.
    Other,
}

impl Fault {
    /// The fault of a server whose answer is not the protocol that was expected, but begins with `said`.
    #[cold]
    pub(super) fn of_unexpected(said: &[u8], otherwise: Self) -> Self {
        // An alert of TLS, of any version.
        if matches!(said, [0x15, 0x03, ..]) { Self::TlsExpected } else { otherwise }
    }

    /// Whether there was a complete response.
    #[must_use]
    pub fn is_response(self) -> bool {
        matches!(self, Self::Status(_) | Self::Grpc(_) | Self::NotGrpc(_))
    }

    /// The same fault with less detail: the class instead of the status, 500 for every 5xx.
    pub(super) fn coarse(self) -> Self {
        match self {
            Self::Status(code) => Self::Status(code / 100 * 100),
            Self::NotGrpc(code) => Self::Grpc(GrpcStatus::of_http(code)),
            other => other,
        }
    }
}

impl From<&rustls::Error> for Fault {
    fn from(error: &rustls::Error) -> Self {
        use rustls::AlertDescription::NoApplicationProtocol;
        use rustls::CertificateError::{
            BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
            NotValidYetContext, UnknownIssuer,
        };
        let certificate = match error {
            rustls::Error::InvalidMessage(_) => return Self::NotTls,
            rustls::Error::AlertReceived(NoApplicationProtocol) => return Self::NoAlpn,
            rustls::Error::InvalidCertificate(why) => why,
            _ => return Self::Tls,
        };
        Self::Certificate(match certificate {
            Expired | ExpiredContext { .. } => CertificateFault::Expired,
            NotValidYet | NotValidYetContext { .. } => CertificateFault::NotYetValid,
            // The signature is by another authority of the same name.
            UnknownIssuer | BadSignature => CertificateFault::UnknownIssuer,
            NotValidForName | NotValidForNameContext { .. } => CertificateFault::OtherName,
            _ => CertificateFault::Other,
        })
    }
}

impl From<&io::Error> for Fault {
    fn from(error: &io::Error) -> Self {
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::from(error);
        }
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
            Self::NotTls => formatter.write_str("not TLS"),
            Self::TlsExpected => formatter.write_str("TLS expected"),
            Self::NoAlpn => formatter.write_str("no HTTP/2 over TLS"),
            Self::Certificate(why) => write!(formatter, "certificate {why}"),
            Self::Tls => formatter.write_str("TLS error"),
            Self::Grpc(status) => write!(formatter, "grpc-status {status}"),
            Self::NotGrpc(code) => write!(formatter, "grpc-status {} (HTTP status {code})", GrpcStatus::of_http(*code)),
            Self::Status(code) => write!(formatter, "status {code}"),
        }
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Expired => "expired",
            Self::NotYetValid => "not yet valid",
            Self::UnknownIssuer => "not trusted",
            Self::OtherName => "for another name",
            Self::Other => "not valid",
        })
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
