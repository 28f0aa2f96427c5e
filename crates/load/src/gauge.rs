//! The progress of a worker for other threads, and the handle that stops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mio::Waker;

use super::record::Record;

/// The progress of one worker, for others to read.
#[derive(Default)]
pub(super) struct Gauge {
    /// When it was set, in microseconds since the start of the run.
    pub(super) at: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) faults: AtomicU64,
    pub(super) p99: AtomicU64,
    pub(super) pods: AtomicU64,
    stop: AtomicBool,
}

impl Gauge {
    pub(super) fn set(&self, at_micros: u64, record: &Record) {
        self.at.store(at_micros, Ordering::Relaxed);
        self.requests.store(record.answered, Ordering::Relaxed);
        self.faults.store(record.faults(), Ordering::Relaxed);
        self.p99.store(record.latency.quantile(0.99), Ordering::Relaxed);
        self.pods.store(record.answering_pods() as u64, Ordering::Relaxed);
    }

    /// Whether the worker is to stop.
    #[inline]
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Stops a worker from another thread.
pub(super) struct Stopper {
    gauge: Arc<Gauge>,
    waker: Waker,
}

impl Stopper {
    pub(super) fn new(gauge: Arc<Gauge>, waker: Waker) -> Self {
        Self { gauge, waker }
    }

    pub(super) fn stop(&self) {
        self.gauge.stop.store(true, Ordering::Relaxed);
        // If this fails, the worker still reads the flag at its next tick.
        let _ = self.waker.wake();
    }
}
