//! The threads of a run.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;

use super::client_connection::ClientConnection;
use super::connection::Connection;
use super::error::LoadError;
use super::gauge::{Gauge, Stopper};
use super::http2::Http2Connection;
use super::plan::Protocol;
use super::record::Record;
use super::shared::Job;
use super::worker::{Worker, WorkerResult};

/// Where the result of a worker arrives.
type ResultReceiver = oneshot::Receiver<io::Result<WorkerResult>>;

/// The workers of a run, each on a thread of its own. They stop when the pool is dropped.
#[derive(Default)]
pub(super) struct WorkerPool {
    stoppers: Vec<Stopper>,
    gauges: Vec<Arc<Gauge>>,
}

impl WorkerPool {
    /// Starts worker `number` of a job. Its result is sent to the receiver.
    pub(super) fn start(&mut self, job: &Job<'_>, number: usize) -> Result<ResultReceiver, LoadError> {
        match job.plan.protocol {
            Protocol::Http1 => self.start_with::<Connection>(job, number),
            Protocol::Http2 { .. } => self.start_with::<Http2Connection>(job, number),
        }
    }

    fn start_with<C: ClientConnection + Send + 'static>(
        &mut self,
        job: &Job<'_>,
        number: usize,
    ) -> Result<ResultReceiver, LoadError> {
        let record = Record::new(job.plan.duration, job.plan.schedule.is_some())?;
        let record = if job.tls.is_some() { record.with_handshakes()? } else { record };
        let record = record.with_requests(job.plan.templates().len());
        let record = if job.plan.request.may_stream() { record.with_messages()? } else { record };
        let gauge = Arc::new(Gauge::default());
        let (worker, stopper) =
            Worker::<C>::new(job, number, record, Arc::clone(&gauge)).map_err(|source| LoadError::Epoll { source })?;
        let (sender, receiver) = oneshot::channel();
        thread::Builder::new()
            .name(format!("load-{number}"))
            // If the receiver was dropped, the result is not needed.
            .spawn(move || drop(sender.send(worker.run())))
            .map_err(|source| LoadError::Thread { source })?;
        self.stoppers.push(stopper);
        self.gauges.push(gauge);
        Ok(receiver)
    }

    pub(super) fn gauges(&self) -> Vec<Arc<Gauge>> {
        self.gauges.clone()
    }

    pub(super) fn stop(&self) {
        self.stoppers.iter().for_each(Stopper::stop);
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.stop();
    }
}
