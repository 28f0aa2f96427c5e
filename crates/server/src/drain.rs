//! Serves until a signal, then stops without losing a request.
//!
//! A load balancer learns late that a pod stops. So on SIGTERM the server becomes unready at once, and keeps accepting
//! connections and answering requests for the drain time. Each response closes its connection, so that clients move to
//! other pods; over HTTP/2 a GOAWAY does (see `http2`). If requests still arrive when the drain time ends, some node has not
//! been updated yet, and the server drains a while longer. When the drain is over, requests that have begun are answered
//! within a time limit, and idle connections are closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use crate::connections::{Connections, listen};
use crate::{Server, ServerError, Settings, memory, tls};

/// The time that idle connections get to close, even with `FINISH_SECONDS=0` and after a second signal.
const MIN_FINISH: Duration = Duration::from_millis(100);

/// The longest time for ending streams of messages.
const LONGEST_ENDING: Duration = Duration::from_millis(500);

/// When no request arrived for this long at the end of the drain time, all nodes are assumed to be updated.
const QUIET: Duration = Duration::from_millis(500);

/// Serves until a signal, drains, and finishes the requests in flight.
pub(super) async fn serve(server: Arc<Server>, settings: &Settings) -> Result<(), ServerError> {
    let began = Instant::now();
    let mut signals = StopSignals::new()?;
    let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
    let listener = listen(settings.address)?;
    info!(
        address = %settings.address,
        pod = settings.pod.as_str(),
        node = settings.node.as_str(),
        version = env!("CARGO_PKG_VERSION"),
        drain_seconds = settings.drain.as_secs_f64(),
        finish_seconds = settings.finish.as_secs_f64(),
        "started"
    );
    tokio::spawn(memory::return_after_load(server.clone()));
    let mut connections = Connections::new(listener, server.clone(), tls);

    let signal = tokio::select! {
        biased;
        name = signals.next() => name,
        () = connections.accept() => "none",
    };
    connections.start_draining();
    info!(
        signal,
        drain_seconds = settings.drain.as_secs_f64(),
        connections_open = server.metrics().open_connections(),
        requests = server.metrics().requests(),
        "draining"
    );

    let second_signal = tokio::select! {
        biased;
        name = signals.next() => Some(name),
        () = drain(&mut connections, &server, settings) => None,
    };
    if let Some(signal) = second_signal {
        warn!(signal, connections_open = server.metrics().open_connections(), "stopping at once");
        // After a timeout, the log line below says how many connections are still open.
        let now = Instant::now();
        let _ = timeout_at(now + MIN_FINISH, connections.finish(now + MIN_FINISH / 2)).await;
    }
    info!(
        requests = server.metrics().requests(),
        connections = server.metrics().connections(),
        // Idle connections are closed by now; a response was due on each that is still open.
        cut = server.metrics().open_connections(),
        late = server.metrics().late_connections(),
        seconds = began.elapsed().as_secs_f64(),
        "stopped"
    );
    Ok(())
}

async fn drain(connections: &mut Connections, server: &Server, settings: &Settings) {
    let limit = Instant::now() + settings.drain + settings.finish;
    tokio::select! {
        // In this order, a connection that waits to be accepted is accepted even when the time is up.
        biased;
        () = connections.accept() => {}
        () = drain_time(server, settings) => {}
    }
    // After a timeout, the log says how many connections are still open.
    let limit = limit.max(Instant::now() + MIN_FINISH);
    let _ = timeout_at(limit, connections.finish(ending(limit))).await;
}

/// When to end streams of messages, so that their clients have read how they ended at the `limit`.
fn ending(limit: Instant) -> Instant {
    let left = limit.saturating_duration_since(Instant::now());
    limit - (left / 4).min(LONGEST_ENDING)
}

/// Waits for the drain time. If requests still arrive at its end, waits longer: at most half of the finish time.
async fn drain_time(server: &Server, settings: &Settings) {
    let Some(unobserved) = settings.drain.checked_sub(QUIET) else { return sleep(settings.drain).await };
    sleep(unobserved).await;
    let mut longer = settings.finish / 2;
    loop {
        let requests = server.metrics().requests();
        sleep(QUIET).await;
        let arrived = server.metrics().requests() - requests;
        let Some(rest) = longer.checked_sub(QUIET).filter(|_| arrived > 0) else { return };
        info!(requests = arrived, "draining on");
        longer = rest;
    }
}

/// The signals that stop the server: SIGTERM (from the kubelet) and SIGINT (Ctrl-C).
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> Result<Self, ServerError> {
        let listen = |kind| signal(kind).map_err(|source| ServerError::System { action: "listen for signals", source });
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
