//! The server that runs in the pods of a lab. Its responses name the pod, it answers the kubelet's probes, and it stops
//! without losing a request.
//!
//! The program `evenkeel-server` is the only file of the server's image. The program `evenkeel-pause` keeps the namespaces
//! of a pod open and does not use this library.

mod connections;
mod drain;
mod error;
mod grpc;
mod http2;
mod memory;
mod metrics;
mod probes;
mod routes;
mod settings;
mod stream;
mod tls;
mod transport;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub use error::ServerError;
pub use metrics::Metrics;
pub use routes::{POD_HEADER, app};
pub use settings::{Name, Settings, TlsFiles};

use routes::Greeting;

/// The state that all requests share.
#[derive(Debug)]
pub struct Server {
    pod: Name,
    node: Name,
    greeting: Greeting,
    metrics: Metrics,
    draining: AtomicBool,
    drain_over: AtomicBool,
}

impl Server {
    /// A server whose counters are 0.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            pod: settings.pod.clone(),
            node: settings.node.clone(),
            greeting: Greeting::new(&settings.pod, &settings.node),
            metrics: Metrics::default(),
            draining: AtomicBool::new(false),
            drain_over: AtomicBool::new(false),
        }
    }

    /// The server's counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether the server was asked to stop. It is then unready, and every response closes its connection.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    fn start_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether the drain is over: requests that have begun are finished, and no other request is served.
    fn is_drain_over(&self) -> bool {
        self.drain_over.load(Relaxed)
    }

    fn end_drain(&self) {
        self.drain_over.store(true, Relaxed);
    }
}

/// Serves until SIGTERM or SIGINT, then drains. A second signal stops the server at once.
///
/// # Errors
/// [`ServerError`] if the address is in use, or if the system provides no signal handlers or event loop.
pub fn run(settings: &Settings) -> Result<(), ServerError> {
    // Fails only if the caller has already set up logging, which is then used.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_max_level(settings.log_level)
        .try_init();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| ServerError::System { action: "start an event loop", source })?
        .block_on(drain::serve(Arc::new(Server::new(settings)), settings))
}
