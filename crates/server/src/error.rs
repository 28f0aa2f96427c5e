//! The errors of the server, each one sentence.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the server did not start, or stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The value of an environment variable cannot be used.
    BadSetting {
        /// The name of the variable.
        name: &'static str,
        /// Its value.
        given: String,
        /// Which values are accepted.
        expected: &'static str,
    },
    /// The certificate or its key cannot be used.
    Certificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// One of the two files of TLS is not given.
    HalfOfTls {
        /// The variable that is missing.
        missing: &'static str,
    },
    /// The server could not listen on its address.
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// The system could not provide signal handlers or an event loop.
    System {
        /// What failed, as a verb phrase: "listen for signals".
        action: &'static str,
        /// The error of the system.
        source: io::Error,
    },
}

impl ServerError {
    /// The exit code: 2 for a setting that cannot be used, 1 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::BadSetting { .. } | Self::Certificate { .. } | Self::HalfOfTls { .. } => 2,
            Self::Listen { .. } | Self::System { .. } => 1,
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadSetting { name, given, expected } => {
                write!(formatter, "{name}={given:?} cannot be used: expected {expected}")
            }
            Self::Certificate { file, why } => {
                write!(formatter, "{} cannot be used for TLS: {why}", file.display())
            }
            Self::HalfOfTls { missing } => {
                write!(formatter, "{missing} is not set: TLS needs both TLS_CERT_FILE and TLS_KEY_FILE")
            }
            Self::Listen { address, source } => write!(formatter, "could not listen on {address}: {source}"),
            Self::System { action, source } => write!(formatter, "could not {action}: {source}"),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BadSetting { .. } | Self::Certificate { .. } | Self::HalfOfTls { .. } => None,
            Self::Listen { source, .. } | Self::System { source, .. } => Some(source),
        }
    }
}
