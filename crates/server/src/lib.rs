//! What runs in the pods: says who answered, tells the kubelet how it is, and stops without losing a request.
//!
//! The program `evenkeel-server` is the whole of the image. `evenkeel-pause` holds a pod's namespaces open and uses
//! nothing of this library.

mod connections;
mod drain;
mod error;
mod metrics;
mod probes;
mod routes;
mod settings;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub use error::ServerError;
pub use metrics::Metrics;
pub use routes::{POD_HEADER, app};
pub use settings::{Name, Settings};

use routes::Greeting;

/// What all requests share.
#[derive(Debug)]
pub struct Server {
    pod: Name,
    node: Name,
    greeting: Greeting,
    metrics: Metrics,
    draining: AtomicBool,
    last_call: AtomicBool,
}

impl Server {
    /// A server that has answered nothing yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            pod: settings.pod.clone(),
            node: settings.node.clone(),
            greeting: Greeting::new(&settings.pod, &settings.node),
            metrics: Metrics::default(),
            draining: AtomicBool::new(false),
            last_call: AtomicBool::new(false),
        }
    }

    /// What it has counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether it was asked to stop: unready, and every answer is its connection's last.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    fn start_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether the drain is over: what is in flight is finished, and nothing else begun.
    fn is_last_call(&self) -> bool {
        self.last_call.load(Relaxed)
    }

    fn sound_last_call(&self) {
        self.last_call.store(true, Relaxed);
    }
}

/// Serves until SIGTERM or SIGINT, then drains; a second signal stops it at once.
///
/// # Errors
/// [`ServerError`] when the address is taken or the system refuses an event loop.
pub fn run(settings: &Settings) -> Result<(), ServerError> {
    // Fails only when someone has set up logging already, and then theirs is to be used.
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
