//! Flags of TLS.

use std::fmt;

use super::target::TargetUrl;
use crate::cli::error::Error;
use crate::config::InvalidValue;
use evenkeel_load::TlsOptions;

/// Flags for a --target with https.
#[derive(Debug, clap::Args)]
pub struct TlsFlags {
    /// Trust the authorities in this PEM file, instead of those of the system
    #[arg(long, value_name = "FILE", value_parser = File::read, requires = "target", conflicts_with = "insecure")]
    cacert: Option<File>,
    /// Accept any certificate of the server
    #[arg(long, requires = "target")]
    insecure: bool,
    /// Certificate of the client, in a PEM file
    #[arg(long, value_name = "FILE", value_parser = File::read, requires_all = ["target", "key"])]
    cert: Option<File>,
    /// Key of the client's certificate, in a PEM file
    #[arg(long, value_name = "FILE", value_parser = File::read, requires_all = ["target", "cert"])]
    key: Option<File>,
    /// Make a full TLS handshake for each connection, and resume no session
    #[arg(long, requires = "target")]
    no_tls_resumption: bool,
}

impl TlsFlags {
    /// The options that the flags describe.
    #[must_use]
    pub fn options(&self) -> TlsOptions {
        TlsOptions {
            authorities: self.cacert.as_ref().map(|file| file.0.clone()),
            insecure: self.insecure,
            identity: self.cert.as_ref().zip(self.key.as_ref()).map(|(cert, key)| (cert.0.clone(), key.0.clone())),
            full_handshakes: self.no_tls_resumption,
        }
    }

    /// Refuses the flags for a target without TLS.
    ///
    /// # Errors
    /// [`Error::BadValue`] for the first one.
    pub fn check_unused(&self, target: &TargetUrl) -> Result<(), Error> {
        let flags = [
            ("--cacert", self.cacert.is_some()),
            ("--insecure", self.insecure),
            ("--cert", self.cert.is_some()),
            ("--no-tls-resumption", self.no_tls_resumption),
        ];
        match flags.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((flag, _)) => {
                let why = format!("{flag} is for TLS, so expected a URL that begins with https://");
                Err(Error::BadValue { what: "--target", given: target.to_string(), why })
            }
        }
    }
}

/// The content of a file.
#[derive(Clone)]
struct File(Vec<u8>);

impl File {
    fn read(path: &str) -> Result<Self, InvalidValue> {
        let unreadable = |source| InvalidValue::expected(format!("a file that can be read ({source})"));
        std::fs::read(path).map(Self).map_err(unreadable)
    }
}

/// A key is secret.
impl fmt::Debug for File {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "File({} bytes)", self.0.len())
    }
}
