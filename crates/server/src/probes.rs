//! The three questions a kubelet asks.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::Server;

/// `GET /startupz`: it listens, so it has started.
pub(super) async fn startup() -> &'static str {
    "started\n"
}

/// `GET /healthz`: it answers, so it lives; draining is no reason to be killed.
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: whether new connections should come here.
pub(super) async fn ready(State(server): State<Arc<Server>>) -> (StatusCode, &'static str) {
    if server.is_draining() { (StatusCode::SERVICE_UNAVAILABLE, "draining\n") } else { (StatusCode::OK, "ready\n") }
}
