//! `evenkeel test --target https://…`: the flags, the handshakes in the report, and the hints. What the load generator counts
//! is tested in crates/load/tests/tls.

use std::io::{Read, Write};
use std::process::Output;
use std::sync::Arc;

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::cli::{evenkeel, texts};
use super::server::{Server, from_pod};

/// A server over HTTP/1.1 and TLS, with a certificate for `localhost`, and that certificate in a file.
fn server() -> (Server, NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), made.cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
    let config = Arc::new(config);
    let server = Server::start(move |peer| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, peer.stream);
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            seen.extend_from_slice(&buffer[..read]);
            if seen.ends_with(b"\r\n\r\n") {
                seen.clear();
                let _ = stream.write_all(from_pod("tls").as_bytes()).and_then(|()| stream.flush());
            }
        }
    });
    (server, file)
}

fn test(server: &Server, scheme: &str, arguments: &[&str]) -> Output {
    let url = format!("{scheme}://localhost:{}/", server.address.port());
    evenkeel(&[arguments, &["--warmup", "0", "-c", "2", "--target", &url]].concat()).output().unwrap()
}

#[test]
fn handshakes_are_reported() {
    let (server, certificate) = server();
    let trusted = ["--cacert", certificate.path().to_str().unwrap(), "--requests", "50"];
    let output = test(&server, "https", &trusted);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stdout.contains("https://localhost:") && stdout.contains("\n2 TLS handshakes, half of them within "),
        "{stdout}"
    );
    let each = ["--no-keepalive", "--json"];
    for (resumption, some_are_resumed) in [(&[][..], true), (&["--no-tls-resumption"], false)] {
        let output = test(&server, "https", &[&trusted[..], &each, resumption].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let run = &report["runs"][0];
        assert_eq!((&run["requests"]["answered"], &run["errors"]), (&50.into(), &0.into()));
        let (handshakes, resumed) = (&run["tls_handshakes"], run["tls_handshakes"]["resumed"].as_u64().unwrap());
        assert!(handshakes["time_us"]["count"].as_u64().unwrap() >= 50, "{handshakes}");
        assert_eq!(resumed > 0, some_are_resumed, "{handshakes}");
    }
}

#[test]
fn a_certificate_that_is_not_accepted_and_a_wrong_scheme_have_their_hints() {
    let (tls, certificate) = server();
    let plain = Server::start(|peer| peer.answer_anything(&from_pod("a")));
    let trusted = ["--cacert", certificate.path().to_str().unwrap()];
    let cases = [
        (&tls, "https", &[][..], "certificate ", "--insecure"),
        (&tls, "http", &[], "TLS expected", "https://"),
        (&plain, "https", &trusted, "not TLS", "http://"),
        (&tls, "https", &["--cacert", trusted[1], "--http2"], "no HTTP/2 over TLS", "--http2"),
    ];
    for (server, scheme, arguments, kind, hint) in cases {
        let output = test(server, scheme, &[arguments, &["--requests", "4", "-t", "2s"]].concat());
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
        let hinted = stderr.lines().any(|line| line.starts_with("hint: ") && line.contains(hint));
        assert!(stderr.contains(&format!("failed: {kind}")) && hinted, "{kind}: {stderr}");
    }
    let insecure = test(&tls, "https", &["--insecure", "--requests", "4"]);
    assert_eq!(insecure.status.code(), Some(0), "{}", texts(&insecure).1);
}
