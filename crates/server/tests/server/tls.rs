//! TLS on the same port as everything else, by a client of others (tokio-rustls).

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use http::Method;
use nix::sys::signal::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http2::{ask, block_on, over};
use crate::running::Running;

/// A certificate for `localhost` and its key, in files.
struct Files {
    directory: TempDir,
    pem: String,
}

impl Files {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("tls.crt"), made.cert.pem()).unwrap();
        std::fs::write(directory.path().join("tls.key"), made.signing_key.serialize_pem()).unwrap();
        Self { directory, pem: made.cert.pem() }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn server(&self, more: &[(&str, &str)]) -> Running {
        let files = [("TLS_CERT_FILE", &*self.path("tls.crt")), ("TLS_KEY_FILE", &*self.path("tls.key"))];
        Running::start(&[&files, more].concat())
    }

    async fn connect(&self, address: SocketAddr, protocol: &str) -> TlsStream<tokio::net::TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        stream
    }
}

/// Sends a request over HTTP/1.1 and reads the response, which fits into one read or two.
async fn get(stream: &mut TlsStream<tokio::net::TcpStream>) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut text = String::new();
    while !text.ends_with("}\n") {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

#[test]
fn one_port_speaks_everything() {
    let files = Files::new();
    let server = files.server(&[]);
    assert_eq!(server.connect().get("/").status, 200);
    block_on(async {
        let mut http1 = files.connect(server.address, "http/1.1").await;
        for _ in 0..3 {
            assert!(get(&mut http1).await.starts_with("HTTP/1.1 200 OK\r\n"));
        }
        let (mut http2, _end) = over(files.connect(server.address, "h2").await).await.unwrap();
        for _ in 0..3 {
            assert_eq!(ask(&mut http2, Method::GET, "/").await.unwrap().0, 200);
        }
    });
}

#[test]
fn a_drain_ends_connections_with_tls_as_others() {
    let files = Files::new();
    let server = files.server(&[("DRAIN_SECONDS", "0.5"), ("FINISH_SECONDS", "3600")]);
    block_on(async {
        let mut http1 = files.connect(server.address, "http/1.1").await;
        get(&mut http1).await;
        let mut idle = files.connect(server.address, "http/1.1").await;
        get(&mut idle).await;
        let (mut http2, end) = over(files.connect(server.address, "h2").await).await.unwrap();
        ask(&mut http2, Method::GET, "/").await.unwrap();
        // Opened, and silent: it has not even begun with TLS.
        let mut silent = tokio::net::TcpStream::connect(server.address).await.unwrap();
        server.connect().get("/");
        server.signal(Signal::SIGTERM);
        assert!(end.await.unwrap().is_ok());
        assert!(get(&mut http1).await.contains("connection: close"));
        for closed in [&mut http1, &mut idle] {
            assert_eq!(closed.read(&mut [0]).await.unwrap(), 0, "closed with the message of TLS that announces it");
        }
        assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    });
    let (status, log) = server.ended();
    let last = log.last().unwrap();
    assert_eq!((status, &last["cut"], &last["late"]), (Some(0), &0.into(), &0.into()), "{log:?}");
}

#[test]
fn files_that_cannot_be_used_are_one_line_and_exit_2() {
    let (files, other) = (Files::new(), Files::new());
    let (certificate, key, missing) = (files.path("tls.crt"), files.path("tls.key"), files.path("missing"));
    let other = other.path("tls.key");
    let cases = [
        (Some(&certificate), None, "TLS_KEY_FILE"),
        (None, Some(&key), "TLS_CERT_FILE"),
        (Some(&missing), Some(&key), &*missing),
        (Some(&certificate), Some(&missing), &*missing),
        (Some(&certificate), Some(&certificate), &*certificate),
        (Some(&key), Some(&key), &*key),
        (Some(&certificate), Some(&other), &*certificate),
    ];
    for (certificate, key, named) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel-server"));
        certificate.map(|file| command.env("TLS_CERT_FILE", file));
        key.map(|file| command.env("TLS_KEY_FILE", file));
        let output = command.env("HOST", "127.0.0.1").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.lines().count() == 1 && said.contains(named), "{said}");
    }
}
