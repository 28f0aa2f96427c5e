//! A connection to the stdin and stdout of an agent, through the API server.

use std::pin::Pin;
use std::sync::Arc;

use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, AttachedProcess};
use kube::{Api, Client};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::CONTAINER;
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;
use evenkeel_agent::{FromAgent, ToAgent};

/// How much is buffered in each direction.
const BUFFER: usize = 64 * 1024;
/// The longest message that is read. The histograms of 500 pods over an hour take a tenth.
const LONGEST: usize = 64 << 20;

/// How many results of a run are read at the same time. The others wait in the agents, so that the memory does not grow with
/// the number of agents.
pub(super) const RESULTS_AT_A_TIME: usize = 64;

/// Why there is no message when the connection has ended.
pub(super) const LOST: &str = "the connection to it was lost: its pod, its node or the API server ended";

/// A connection to an agent.
pub struct AgentStream {
    /// The connection ends when it is dropped.
    _process: AttachedProcess,
    /// Resolves when nothing more is received. After an error of the connection, `output` does not end by itself.
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_over: bool,
    input: Box<dyn AsyncWrite + Send + Unpin>,
    output: Box<dyn AsyncBufRead + Send + Unpin>,
    /// What has been read of the next message.
    line: Vec<u8>,
    /// Permits to read a result.
    results: Arc<Semaphore>,
    /// The permit for the result that is being read.
    permit: Option<OwnedSemaphorePermit>,
}

impl AgentStream {
    /// Attaches to the container of a pod. `results` has the permits to read a result.
    pub(super) async fn open(
        client: &Client,
        namespace: &str,
        pod: &str,
        results: Arc<Semaphore>,
    ) -> Result<Self, WorkloadError> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let mut params = AttachParams::default().container(CONTAINER).stdin(true).stdout(true).stderr(false);
        (params.max_stdin_buf_size, params.max_stdout_buf_size) = (Some(BUFFER), Some(BUFFER));
        let attached = pods.attach(pod, &params).await;
        let failed = |source| KubernetesError::new(format!("attach to the pod {namespace}/{pod}"), source);
        let mut process = attached.map_err(failed)?;
        let streams = process.stdin().zip(process.stdout());
        let missing = || std::io::Error::from(std::io::ErrorKind::NotConnected);
        let (input, output) = streams.ok_or_else(|| failed(kube::Error::ReadEvents(missing())))?;
        let status = process.take_status();
        let end = Box::pin(async move {
            if let Some(status) = status {
                status.await;
            }
        });
        let output = Box::new(BufReader::with_capacity(BUFFER, output));
        let input = Box::new(input);
        let line = Vec::new();
        Ok(Self { _process: process, end, is_over: false, input, output, line, results, permit: None })
    }

    /// Sends a message. If the connection is lost, the next [`AgentStream::receive`] says so.
    pub async fn send(&mut self, message: &ToAgent) {
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        if self.input.write_all(&line).await.is_ok() {
            let _ = self.input.flush().await;
        }
    }

    /// The next message; an error in a few words when there is none. When the future is dropped, nothing is lost.
    ///
    /// # Errors
    /// Why there is no message.
    pub async fn receive(&mut self) -> Result<FromAgent, String> {
        loop {
            // Only a result is longer than the buffer. Nobody closes the semaphore.
            if self.line.len() > BUFFER && self.permit.is_none() {
                self.permit = Arc::clone(&self.results).acquire_owned().await.ok();
            }
            let filled = if self.is_over {
                // What was received before the end is there.
                self.output.fill_buf().now_or_never().unwrap_or(Ok(&[]))
            } else {
                tokio::select! {
                    biased;
                    filled = self.output.fill_buf() => filled,
                    () = &mut self.end => {
                        self.is_over = true;
                        continue;
                    }
                }
            };
            let part = filled.map_err(|why| format!("the connection to it failed: {why}"))?;
            if part.is_empty() {
                return Err(LOST.into());
            }
            let (read, complete) = match part.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (part.len(), false),
            };
            self.line.extend_from_slice(&part[..read]);
            self.output.consume(read);
            if complete {
                let line = std::mem::take(&mut self.line);
                let _permit = self.permit.take();
                return serde_json::from_slice(&line).map_err(|why| format!("it sent something unexpected: {why}"));
            }
            if self.line.len() > LONGEST {
                return Err("it sent a message that is too long".into());
            }
        }
    }
}
