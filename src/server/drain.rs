//! From start to stop, losing nothing on the way.
//!
//! Whoever balances load learns late that a pod stops. So it says at once that it is unready, and goes on accepting and
//! answering for the drain time, each answer the last of its connection: by the time it stops, the clients have moved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::connections::{Connections, listen};
use super::{Server, ServerError, Settings};

/// After the drain, how long a half-sent request may take to be whole.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Serves until a signal, drains, finishes what is in flight.
pub(super) async fn serve(server: Arc<Server>, settings: &Settings) -> Result<(), ServerError> {
    let began = Instant::now();
    let mut signals = StopSignals::new()?;
    let listener = listen(settings.address)?;
    info!(
        address = %settings.address,
        pod = settings.pod.as_str(),
        node = settings.node.as_str(),
        version = env!("CARGO_PKG_VERSION"),
        drain_seconds = settings.drain.as_secs_f64(),
        "started"
    );
    let connections = Connections::new(listener, server.clone());

    let signal = tokio::select! {
        biased;
        name = signals.next() => name,
        () = connections.accept() => "none",
    };
    server.start_draining();
    info!(
        signal,
        drain_seconds = settings.drain.as_secs_f64(),
        connections_open = server.metrics().open_connections(),
        requests = server.metrics().requests(),
        "draining"
    );

    let at_once = tokio::select! {
        biased;
        name = signals.next() => Some(name),
        () = drain(connections, settings.drain) => None,
    };
    if let Some(signal) = at_once {
        warn!(signal, connections_open = server.metrics().open_connections(), "stopping at once");
    }
    info!(
        requests = server.metrics().requests(),
        connections = server.metrics().connections(),
        seconds = began.elapsed().as_secs_f64(),
        "stopped"
    );
    Ok(())
}

async fn drain(connections: Connections, time: Duration) {
    tokio::select! {
        // In this order a connection that already waits is accepted even when time is up.
        biased;
        () = connections.accept() => {}
        () = sleep(time) => {}
    }
    if timeout(LAST_ANSWERS, connections.finish()).await.is_err() {
        warn!("connections with a request that never became whole were cut");
    }
}

/// What asks it to stop: a kubelet (SIGTERM) or Ctrl-C (SIGINT).
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
