//! `grpc.health.v1.Health`, which the kubelet's probes and load balancers ask.

use axum::body::Bytes;
use axum::http::HeaderMap;
use tokio::sync::watch;

use super::limits::{Limits, wait_for};
use super::messages::{Failure, Messages};
use super::reply::Reply;
use super::status::Status;
use super::{reflection, wire};
use crate::connections::Phase;

/// A `HealthCheckResponse` with its prefix.
const SERVING: Bytes = Bytes::from_static(&[0, 0, 0, 0, 2, 0x08, 1]);
const NOT_SERVING: Bytes = Bytes::from_static(&[0, 0, 0, 0, 2, 0x08, 2]);
const SERVICE_UNKNOWN: Bytes = Bytes::from_static(&[0, 0, 0, 0, 2, 0x08, 3]);

/// `Check`.
pub(super) async fn check(mut messages: Messages, draining: bool, reply: &mut Reply) -> Result<Status, Failure> {
    if !is_known(&messages.one().await?) {
        return Ok(Status::NotFound);
    }
    reply.send(if draining { NOT_SERVING } else { SERVING })?;
    Ok(Status::Ok)
}

/// `Watch`: the health now, and each change.
pub(super) async fn watch(
    mut messages: Messages,
    headers: &HeaderMap,
    phase: watch::Receiver<Phase>,
    reply: &mut Reply,
) -> Result<Status, Failure> {
    let mut changes = phase.clone();
    let mut limits = Limits::new(headers, phase, true);
    let known = is_known(&messages.one().await?);
    let draining = *changes.borrow() >= Phase::Draining;
    reply.send(match (known, draining) {
        (false, _) => SERVICE_UNKNOWN,
        (true, true) => NOT_SERVING,
        (true, false) => SERVING,
    })?;
    if known && !draining {
        tokio::select! {
            biased;
            gone = reply.gone() => return Err(gone.into()),
            status = limits.reached() => return Ok(status),
            () = wait_for(&mut changes, Phase::Draining) => {}
        }
        reply.send(NOT_SERVING)?;
    }
    tokio::select! {
        biased;
        gone = reply.gone() => Err(gone.into()),
        status = limits.reached() => Ok(status),
    }
}

/// Whether a `HealthCheckRequest` is about the whole server or one of its services.
fn is_known(request: &[u8]) -> bool {
    let service = wire::bytes(request, 1);
    service.is_empty() || reflection::services().any(|known| known.as_bytes() == service)
}
