//! The load generator over TLS, against servers on loopback with certificates of their own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]

mod server;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::{NonZeroU32, NonZeroU64};
use std::thread;
use std::time::Duration;

use evenkeel_load::{CertificateFault, Fault, LoadPlan, Protocol, RunResult, Target, Tls, TlsOptions};
use tokio_util::sync::CancellationToken;

use server::{Authority, TlsServer};

const HTTP_2: Protocol = Protocol::Http2 { streams: NonZeroU32::new(10).unwrap() };

/// A plan of so many requests over two connections.
fn requests(protocol: Protocol, requests: u64) -> LoadPlan {
    let plan = LoadPlan::new(NonZeroU32::new(2).unwrap(), Duration::from_secs(20));
    LoadPlan { protocol, requests: NonZeroU64::new(requests), timeout: Duration::from_secs(5), ..plan }
}

fn run(address: SocketAddr, options: Option<&TlsOptions>, plan: &LoadPlan) -> RunResult {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tls = options.map(|options| Tls::new("localhost", options).unwrap());
    let target = Target { address, host: format!("localhost:{}", address.port()), path: "/".into(), tls };
    runtime.block_on(async {
        let run = async { evenkeel_load::run(&target, plan, &CancellationToken::new(), |_| {}).await };
        tokio::time::timeout(Duration::from_secs(30), run).await.unwrap().unwrap()
    })
}

fn kinds(run: &RunResult) -> Vec<Fault> {
    let mut kinds: Vec<_> = run.faults.keys().map(|at| at.fault).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[test]
fn requests_are_answered_over_both_protocols() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority.certify("localhost"));
    for protocol in [Protocol::Http1, HTTP_2] {
        let run = run(server.address, Some(&authority.trusted()), &requests(protocol, 500));
        assert_eq!((run.answered, run.sent, run.faults.len(), run.opened), (500, 500, 0, 2), "{run:?}");
        let handshakes = run.handshakes.unwrap();
        assert_eq!((handshakes.times.count(), run.connect.count(), run.pods[0].name.as_str()), (2, 2, "pod-tls"));
    }
}

#[test]
fn large_bodies_pass_in_both_directions() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority.certify("localhost"));
    for protocol in [Protocol::Http1, HTTP_2] {
        let mut plan = requests(protocol, 20);
        plan.request = plan.request.method("POST".parse().unwrap()).body(vec![b'x'; 300_000]);
        let run = run(server.address, Some(&authority.trusted()), &plan);
        // The server sends the body back.
        let bytes: u64 = run.seconds.iter().map(|second| second.bytes).sum();
        assert_eq!((run.answered, run.faults.len()), (20, 0), "{run:?}");
        assert!(bytes > 20 * 300_000);
    }
}

#[test]
fn sessions_are_resumed_unless_full_handshakes_are_asked_for() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority.certify("localhost"));
    for protocol in [Protocol::Http1, HTTP_2] {
        let plan = requests(protocol, 50).without_keepalive();
        let resumed = |full_handshakes| {
            let options = TlsOptions { full_handshakes, ..authority.trusted() };
            let run = run(server.address, Some(&options), &plan);
            assert_eq!((run.answered, run.faults.len()), (50, 0), "{run:?}");
            let handshakes = run.handshakes.unwrap();
            assert!(handshakes.times.count() >= 50);
            handshakes.resumed
        };
        assert!(resumed(false) >= 20, "most are resumed");
        assert_eq!(resumed(true), 0);
    }
}

#[test]
fn a_certificate_that_is_not_accepted_is_counted_with_its_reason() {
    let authority = Authority::new();
    let trusted = authority.trusted();
    let cases = [
        (
            authority.certify("localhost"),
            TlsOptions { authorities: Some(Authority::new().pem()), ..trusted.clone() },
            CertificateFault::UnknownIssuer,
        ),
        (authority.certify("other.example"), trusted.clone(), CertificateFault::OtherName),
        (authority.certify_until(2001), trusted.clone(), CertificateFault::Expired),
        (authority.certify_from(3000), trusted.clone(), CertificateFault::NotYetValid),
    ];
    for (identity, options, why) in cases {
        let server = TlsServer::start(&identity);
        let refused = run(server.address, Some(&options), &requests(Protocol::Http1, 4));
        assert_eq!((kinds(&refused), refused.answered), (vec![Fault::Certificate(why)], 0));
        let insecure = TlsOptions { insecure: true, ..options };
        let accepted = run(server.address, Some(&insecure), &requests(Protocol::Http1, 4));
        assert_eq!((accepted.answered, accepted.faults.len()), (4, 0), "{accepted:?}");
    }
}

#[test]
fn a_server_may_ask_for_the_certificate_of_the_client() {
    let authority = Authority::new();
    let server = TlsServer::start_for_clients_of(&authority, &authority.certify("localhost"));
    let client = authority.certify("client");
    let identity = Some((client.certificate, client.key));
    let known = run(server.address, Some(&TlsOptions { identity, ..authority.trusted() }), &requests(HTTP_2, 20));
    assert_eq!((known.answered, known.faults.len()), (20, 0), "{known:?}");
    let unknown = run(server.address, Some(&authority.trusted()), &requests(Protocol::Http1, 4));
    assert_eq!(unknown.answered, 0);
    // With TLS 1.3 the server refuses the client after the client has completed the handshake.
    assert!(
        kinds(&unknown).iter().all(|fault| matches!(fault, Fault::Tls | Fault::Reset | Fault::Closed)),
        "{unknown:?}"
    );
}

#[test]
fn a_server_without_http_2_is_named_so() {
    let authority = Authority::new();
    let server = TlsServer::start_with_http_1_only(&authority.certify("localhost"));
    let run = run(server.address, Some(&authority.trusted()), &requests(HTTP_2, 4));
    assert_eq!((kinds(&run), run.answered), (vec![Fault::NoAlpn], 0));
}

#[test]
fn tls_to_a_plain_port_and_the_reverse() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
                while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
            });
        }
    });
    let authority = Authority::new();
    let server = TlsServer::start(&authority.certify("localhost"));
    for protocol in [Protocol::Http1, HTTP_2] {
        let to_plain = run(plain, Some(&authority.trusted()), &requests(protocol, 4));
        assert_eq!((kinds(&to_plain), to_plain.answered), (vec![Fault::NotTls], 0));
        let without = run(server.address, None, &requests(protocol, 4));
        assert_eq!((kinds(&without), without.answered), (vec![Fault::TlsExpected], 0));
        assert!(without.handshakes.is_none());
    }
}

#[test]
fn a_server_that_never_completes_the_handshake_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let _open: Vec<_> = listener.incoming().flatten().collect();
    });
    for protocol in [Protocol::Http1, HTTP_2] {
        let plan = LoadPlan { timeout: Duration::from_millis(100), ..requests(protocol, 4) };
        let run = run(address, Some(&TlsOptions::default()), &plan);
        assert_eq!((kinds(&run), run.answered), (vec![Fault::TimedOut], 0));
    }
}
