//! A server with TLS, by tokio-rustls and h2: it sends the body of each request back.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use bytes::{Bytes, BytesMut};
use evenkeel_load::TlsOptions;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

/// A certificate and its key, as PEM.
pub(crate) struct Identity {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

/// An authority that signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> Vec<u8> {
        self.certificate.clone().into_bytes()
    }

    /// The options of a client that trusts it.
    pub(crate) fn trusted(&self) -> TlsOptions {
        TlsOptions { authorities: Some(self.pem()), ..TlsOptions::default() }
    }

    pub(crate) fn certify(&self, name: &str) -> Identity {
        self.sign(&CertificateParams::new([name.to_owned()]).unwrap())
    }

    /// A certificate that expires in this year.
    pub(crate) fn certify_until(&self, year: i32) -> Identity {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(year - 1, 1, 1), date_time_ymd(year, 1, 1));
        self.sign(&params)
    }

    /// A certificate that is valid from this year on.
    pub(crate) fn certify_from(&self, year: i32) -> Identity {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(year, 1, 1), date_time_ymd(year + 1, 1, 1));
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() }
    }
}

pub(crate) struct TlsServer {
    pub(crate) address: SocketAddr,
}

impl TlsServer {
    pub(crate) fn start(identity: &Identity) -> Self {
        Self::with(identity, None, &[b"h2", b"http/1.1"])
    }

    pub(crate) fn start_with_http_1_only(identity: &Identity) -> Self {
        Self::with(identity, None, &[b"http/1.1"])
    }

    /// A server that accepts only clients with a certificate of this authority.
    pub(crate) fn start_for_clients_of(authority: &Authority, identity: &Identity) -> Self {
        Self::with(identity, Some(authority), &[b"h2", b"http/1.1"])
    }

    fn with(identity: &Identity, clients: Option<&Authority>, protocols: &[&[u8]]) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(&authority.pem()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            }
        };
        let certificate = CertificateDer::from_pem_slice(&identity.certificate).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&identity.key).unwrap();
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Self::serve(TlsAcceptor::from(Arc::new(config)))
    }

    fn serve(acceptor: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    stream.set_nodelay(true).unwrap();
                    let acceptor = acceptor.clone();
                    tokio::spawn(async move {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        match stream.get_ref().1.alpn_protocol() {
                            Some(b"h2") => http_2(stream).await,
                            _ => http_1(stream).await,
                        }
                    });
                }
            });
        });
        Self { address }
    }
}

async fn http_1(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut received = BytesMut::new();
    loop {
        let head = loop {
            if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                break received.split_to(end + 4);
            }
            if !matches!(stream.read_buf(&mut received).await, Ok(read) if read > 0) {
                return;
            }
        };
        let head = String::from_utf8(head.to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        while received.len() < length {
            if !matches!(stream.read_buf(&mut received).await, Ok(read) if read > 0) {
                return;
            }
        }
        let body = received.split_to(length);
        let close = if head.contains("Connection: close") { "Connection: close\r\n" } else { "" };
        let answer = format!("HTTP/1.1 200 OK\r\nx-evenkeel-pod: pod-tls\r\n{close}Content-Length: {length}\r\n\r\n");
        if stream.write_all(&[answer.as_bytes(), &body].concat()).await.is_err() {
            return;
        }
        if !close.is_empty() {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

async fn http_2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let Ok(mut session) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = session.accept().await {
        tokio::spawn(async move {
            let mut body = request.into_body();
            let mut all = BytesMut::new();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                all.extend_from_slice(&data);
            }
            let response = http::Response::builder().header("x-evenkeel-pod", "pod-tls").body(()).unwrap();
            if let Ok(mut stream) = respond.send_response(response, false) {
                let _ = stream.send_data(Bytes::from(all), true);
            }
        });
    }
}
