//! TLS: whom the client trusts, and who it is.

mod stream;
mod unverified;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};

use super::error::LoadError;
use super::plan::Protocol;

pub(super) use stream::TlsStream;

/// How the client speaks TLS to a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsOptions {
    /// Certificates of the authorities that are trusted, as PEM. Without them, those of the system are.
    pub authorities: Option<Vec<u8>>,
    /// Whether any certificate of the server is accepted.
    pub insecure: bool,
    /// The client's own certificate, with those that lead to an authority, and its key, both as PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// Whether each connection has a full handshake, even if the server would resume an earlier session.
    pub full_handshakes: bool,
}

/// A configuration of TLS that was checked. All clones share their sessions.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "TlsSource", into = "TlsSource")]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    source: Arc<TlsSource>,
}

/// What a configuration is made from.
#[derive(Clone, Serialize, Deserialize)]
struct TlsSource {
    host: String,
    options: TlsOptions,
}

impl TryFrom<TlsSource> for Tls {
    type Error = LoadError;

    fn try_from(source: TlsSource) -> Result<Self, LoadError> {
        Self::new(&source.host, &source.options)
    }
}

impl From<Tls> for TlsSource {
    fn from(tls: Tls) -> Self {
        Arc::unwrap_or_clone(tls.source)
    }
}

impl Tls {
    /// The configuration for a server of this name, or with this address.
    ///
    /// # Errors
    /// [`LoadError::Certificate`] if a certificate or key is not usable, [`LoadError::ServerName`] if no certificate can
    /// have this name.
    pub fn new(host: &str, options: &TlsOptions) -> Result<Self, LoadError> {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| LoadError::ServerName { name: host.to_owned() })?;
        let provider = Arc::new(provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|why| unusable("TLS", why))?;
        let builder = if options.insecure {
            builder.dangerous().with_custom_certificate_verifier(unverified::verifier(&provider))
        } else {
            builder.with_root_certificates(authorities(options.authorities.as_deref())?)
        };
        let mut config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|why| unusable("the key", pem_error(&why)))?;
                let chain = certificates("the certificate", chain)?;
                builder.with_client_auth_cert(chain, key).map_err(|why| unusable("the certificate or its key", why))?
            }
        };
        if options.full_handshakes {
            config.resumption = Resumption::disabled();
        }
        let source = Arc::new(TlsSource { host: host.to_owned(), options: options.clone() });
        Ok(Self { config: Arc::new(config), name, source })
    }

    /// The configuration for a connection over HTTP/2 beside the load, and the name of the server. The load does not resume
    /// its session.
    #[must_use]
    pub fn http2(&self) -> (Arc<ClientConfig>, ServerName<'static>) {
        let Self { config, name, .. } = self.offering(Protocol::Http2 { streams: NonZeroU32::MIN });
        let mut config = ClientConfig::clone(&config);
        config.resumption = Resumption::disabled();
        (Arc::new(config), name)
    }

    /// The same for a run with this protocol, which is offered to the server (ALPN).
    pub(super) fn offering(&self, protocol: Protocol) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        let name: &[u8] = if protocol == Protocol::Http1 { b"http/1.1" } else { b"h2" };
        config.alpn_protocols = vec![name.to_vec()];
        Self { config: Arc::new(config), name: self.name.clone(), source: Arc::clone(&self.source) }
    }
}

/// The cryptography. AES with keys of 128 bits and SHA-256 are offered first, as browsers and Go's clients do: processors have
/// instructions for both, and few have some for the SHA-384 that goes with 256 bits.
fn provider() -> CryptoProvider {
    const FIRST: [CipherSuite; 3] = [
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ];
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !FIRST.contains(&suite.suite()));
    provider
}

/// Two are equal if they share their sessions.
impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for Tls {}

/// Without keys.
impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

fn unusable(what: &'static str, why: impl fmt::Display) -> LoadError {
    LoadError::Certificate { what, why: why.to_string() }
}

/// The certificates in a PEM file, at least one.
fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(unusable(what, "it has no PEM section CERTIFICATE")),
        Ok(all) => Ok(all),
        Err(why) => Err(unusable(what, pem_error(&why))),
    }
}

fn pem_error(why: &pem::Error) -> String {
    match why {
        pem::Error::NoItemsFound => "it has no PEM section PRIVATE KEY".to_owned(),
        why => format!("it is not valid PEM: {why}"),
    }
}

/// The authorities in a PEM file, or those of the system.
fn authorities(pem: Option<&[u8]>) -> Result<RootCertStore, LoadError> {
    let mut store = RootCertStore::empty();
    if let Some(pem) = pem {
        for certificate in certificates("the authority's certificate", pem)? {
            store.add(certificate).map_err(|why| unusable("the authority's certificate", why))?;
        }
    } else {
        // Systems have certificates that are not valid. Without any, no server's certificate is accepted.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(store)
}

/// The algorithms that this program has.
type Provider = Arc<CryptoProvider>;

#[cfg(test)]
mod tests {
    use rustls::SupportedCipherSuite;

    use super::*;

    fn refused(options: &TlsOptions) -> String {
        Tls::new("localhost", options).unwrap_err().to_string()
    }

    #[test]
    fn what_processors_compute_fast_is_offered_first() {
        let (ours, all) = (provider().cipher_suites, ring::default_provider().cipher_suites);
        let names: Vec<_> = ours.iter().map(SupportedCipherSuite::suite).collect();
        assert_eq!(names[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert!(names[1..3].iter().all(|name| format!("{name:?}").contains("WITH_AES_128_GCM_SHA256")), "{names:?}");
        assert_eq!(ours.len(), all.len(), "nothing is left out");
    }

    #[test]
    fn files_that_are_no_certificates_are_refused() {
        let authorities = |pem: &[u8]| TlsOptions { authorities: Some(pem.to_vec()), ..TlsOptions::default() };
        assert!(refused(&authorities(b"")).contains("no PEM section CERTIFICATE"));
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(refused(&authorities(broken)).starts_with("the authority's certificate cannot be used"));
        let unfinished = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(refused(&authorities(unfinished)).contains("not valid PEM"));
        let identity = TlsOptions { identity: Some((broken.to_vec(), b"".to_vec())), ..TlsOptions::default() };
        assert!(refused(&identity).contains("no PEM section PRIVATE KEY"));
    }

    #[test]
    fn a_name_that_no_certificate_can_have_is_refused() {
        for name in ["", "a b", "-", "a..b"] {
            assert!(matches!(Tls::new(name, &TlsOptions::default()), Err(LoadError::ServerName { .. })), "{name:?}");
        }
        for name in ["localhost", "127.0.0.1", "::1", "a.example"] {
            Tls::new(name, &TlsOptions::default()).unwrap();
        }
    }
}
