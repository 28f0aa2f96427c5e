//! Flags of TLS.

use std::fmt;

use super::given_file::unreadable;
use super::target::TargetUrl;
use crate::cli::error::Error;
use crate::config::InvalidValue;
use crate::workload::Subject;
use evenkeel_load::{Tls, TlsOptions};

/// Flags for load over TLS: to a Service with --tls, or to a --target with https.
#[derive(Debug, Default, clap::Args)]
#[command(group = clap::ArgGroup::new("over_tls").args(["tls", "target"]))]
pub struct TlsFlags {
    /// Speak TLS to the Service; a --target has https:// instead
    #[arg(long)]
    tls: bool,
    /// Name that the server's certificate must have [default: NAME.NAMESPACE.svc of the Service, or the host of --target]
    #[arg(long, value_name = "NAME", requires = "over_tls")]
    server_name: Option<String>,
    /// Trust the authorities in this PEM file, instead of those of the system
    #[arg(long, value_name = "FILE", value_parser = File::read, requires = "over_tls", conflicts_with = "insecure")]
    cacert: Option<File>,
    /// Accept any certificate of the server
    #[arg(long, requires = "over_tls")]
    insecure: bool,
    /// Certificate of the client, in a PEM file
    #[arg(long, value_name = "FILE", value_parser = File::read, requires_all = ["over_tls", "key"])]
    cert: Option<File>,
    /// Key of the client's certificate, in a PEM file
    #[arg(long, value_name = "FILE", value_parser = File::read, requires_all = ["over_tls", "cert"])]
    key: Option<File>,
    /// Make a full TLS handshake for each connection, and resume no session
    #[arg(long, requires = "over_tls")]
    no_tls_resumption: bool,
}

impl TlsFlags {
    fn options(&self) -> TlsOptions {
        TlsOptions {
            authorities: self.cacert.as_ref().map(|file| file.0.clone()),
            insecure: self.insecure,
            identity: self.cert.as_ref().zip(self.key.as_ref()).map(|(cert, key)| (cert.0.clone(), key.0.clone())),
            full_handshakes: self.no_tls_resumption,
        }
    }

    /// Whether TLS is spoken, and the authorities of the system decide about certificates.
    #[must_use]
    pub fn trusts_the_system(&self) -> bool {
        self.tls && self.cacert.is_none() && !self.insecure
    }

    /// How to speak TLS to this Service, if it is to be spoken.
    ///
    /// # Errors
    /// [`LoadError`](evenkeel_load::LoadError) if the options or the name cannot be used.
    pub fn to_service(&self, subject: &Subject) -> Result<Option<Tls>, Error> {
        let name = format!("{}.{}.svc", subject.service, subject.namespace);
        self.tls.then(|| self.to_server(&name)).transpose()
    }

    /// How to speak TLS to a server with the name of the flags, or else with this `name`.
    ///
    /// # Errors
    /// [`LoadError`](evenkeel_load::LoadError) if the options or the name cannot be used.
    pub fn to_server(&self, name: &str) -> Result<Tls, Error> {
        Ok(Tls::new(self.server_name.as_deref().unwrap_or(name), &self.options())?)
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
            ("--server-name", self.server_name.is_some()),
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
        std::fs::read(path).map(Self).map_err(|source| unreadable(&source))
    }
}

/// A key is secret.
impl fmt::Debug for File {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "File({} bytes)", self.0.len())
    }
}
