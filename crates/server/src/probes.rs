//! The routes for the kubelet's startup, liveness and readiness probes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::Server;

/// `GET /startupz`: always 200, since a server that listens has started.
pub(super) async fn startup() -> &'static str {
    "started\n"
}

/// `GET /healthz`: always 200, also while the server drains, so that the kubelet does not kill it.
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200, or 503 while the server drains, so that it gets no new connections.
pub(super) async fn ready(State(server): State<Arc<Server>>) -> (StatusCode, &'static str) {
    if server.is_draining() { (StatusCode::SERVICE_UNAVAILABLE, "draining\n") } else { (StatusCode::OK, "ready\n") }
}
