//! From start to stop, losing nothing on the way.
//!
//! Whoever balances load learns late that a pod stops. So it says at once that it is unready, and goes on accepting and
//! answering for the drain time, each answer the last of its connection: by the time it stops, the clients have moved.
//! Where clients still come when the drain time ends, the news has not arrived yet, and it goes on for a while. Then comes
//! the last call: what has come by then is answered, within a limit, and connections that ask nothing end.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{info, warn};

use crate::connections::{Connections, listen};
use crate::{Server, ServerError, Settings};

/// Even without time to finish, how long idle connections take to end.
const AT_ONCE: Duration = Duration::from_millis(100);

/// When no request came for so long, nobody is sent here any more.
const QUIET: Duration = Duration::from_millis(500);

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
        finish_seconds = settings.finish.as_secs_f64(),
        "started"
    );
    let mut connections = Connections::new(listener, server.clone());

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
        () = drain(&mut connections, &server, settings) => None,
    };
    if let Some(signal) = at_once {
        warn!(signal, connections_open = server.metrics().open_connections(), "stopping at once");
        // Whether all is done by then, the counters tell.
        let _ = timeout(AT_ONCE, connections.finish()).await;
    }
    info!(
        requests = server.metrics().requests(),
        connections = server.metrics().connections(),
        // Still open: each was owed an answer.
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
        // In this order a connection that already waits is accepted even when time is up.
        biased;
        () = connections.accept() => {}
        () = nobody_comes(server, settings) => {}
    }
    // Whether all is done by then, the counters tell.
    let _ = timeout_at(limit.max(Instant::now() + AT_ONCE), connections.finish()).await;
}

/// Waits for the drain time and, while requests still come at its end, for at most half the time to finish.
async fn nobody_comes(server: &Server, settings: &Settings) {
    let Some(unobserved) = settings.drain.checked_sub(QUIET) else { return sleep(settings.drain).await };
    sleep(unobserved).await;
    let mut longer = settings.finish / 2;
    loop {
        let requests = server.metrics().requests();
        sleep(QUIET).await;
        let came = server.metrics().requests() - requests;
        let Some(rest) = longer.checked_sub(QUIET).filter(|_| came > 0) else { return };
        info!(requests = came, "draining on");
        longer = rest;
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
