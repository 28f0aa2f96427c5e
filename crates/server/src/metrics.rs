//! The server's counters, and `GET /metrics` in the Prometheus text format.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::extract::State;
use axum::http::Version;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::Server;

/// The server's counters. Their values only grow.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: AtomicU64,
    http2_requests: AtomicU64,
    grpc_calls: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
    late: AtomicU64,
}

impl Metrics {
    /// Counts a request over this version of HTTP and returns its number: 1 for the first.
    pub fn request(&self, version: Version) -> u64 {
        if version == Version::HTTP_2 {
            self.http2_requests.fetch_add(1, Relaxed);
        }
        self.requests.fetch_add(1, Relaxed) + 1
    }

    /// The number of requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// How many of the requests came over HTTP/2.
    pub fn http2_requests(&self) -> u64 {
        self.http2_requests.load(Relaxed)
    }

    /// Counts a call of gRPC, which is counted as a request over HTTP/2 as well.
    pub(super) fn grpc_call(&self) {
        self.grpc_calls.fetch_add(1, Relaxed);
    }

    /// The number of accepted connections so far.
    pub fn connections(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// The number of connections that are open now.
    pub fn open_connections(&self) -> u64 {
        self.connections().saturating_sub(self.closed.load(Relaxed))
    }

    /// The number of connections on which bytes arrived after the server had ended them. These bytes are not served.
    pub fn late_connections(&self) -> u64 {
        self.late.load(Relaxed)
    }

    /// Counts a connection as open until [`OpenConnection::end`] is called or the returned value is dropped.
    pub(super) fn connection(server: &Arc<Server>) -> OpenConnection {
        server.metrics.opened.fetch_add(1, Relaxed);
        OpenConnection { server: server.clone(), ended: false, late: false }
    }
}

/// A connection that counts as open.
pub(super) struct OpenConnection {
    server: Arc<Server>,
    ended: bool,
    late: bool,
}

impl OpenConnection {
    /// The server that accepted the connection.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Counts the connection as closed, once.
    pub(super) fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.server.metrics.closed.fetch_add(1, Relaxed);
        }
    }

    /// Counts that bytes arrived after the end of the connection, once.
    pub(super) fn late(&mut self) {
        if !std::mem::replace(&mut self.late, true) {
            self.server.metrics.late.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.end();
    }
}

/// `GET /metrics`.
pub(super) async fn show(State(server): State<Arc<Server>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render(&server))
}

fn render(server: &Server) -> String {
    let metrics = &server.metrics;
    let mut text = String::with_capacity(1024);
    let mut family = |name: &str, kind: &str, help: &str, labels: &str, value: u64| {
        // Writing to a String cannot fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}\n");
    };
    family(
        "evenkeel_requests_total",
        "counter",
        "Responses to GET / and calls of evenkeel.v1.Echo.",
        "",
        metrics.requests(),
    );
    family("evenkeel_http2_requests_total", "counter", "Of these, over HTTP/2.", "", metrics.http2_requests());
    family(
        "evenkeel_grpc_calls_total",
        "counter",
        "Of those, calls of evenkeel.v1.Echo.",
        "",
        metrics.grpc_calls.load(Relaxed),
    );
    family("evenkeel_connections_total", "counter", "Connections accepted.", "", metrics.connections());
    family("evenkeel_connections_open", "gauge", "Connections open now.", "", metrics.open_connections());
    family("evenkeel_draining", "gauge", "1 while the server drains, else 0.", "", u64::from(server.is_draining()));
    let labels = format!(
        "{{version=\"{}\",pod=\"{}\",node=\"{}\"}}",
        env!("CARGO_PKG_VERSION"),
        server.pod.as_str(),
        server.node.as_str()
    );
    family("evenkeel_build_info", "gauge", "Version, pod and node as labels; the value is always 1.", &labels, 1);
    text
}
