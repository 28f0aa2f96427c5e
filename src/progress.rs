//! Progress events of long operations. The library emits them; `cli::terminal` shows them as a spinner, lines or JSON.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A progress event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ProgressEvent {
    /// A step began.
    Started {
        /// The step, as an imperative phrase: "start the control plane".
        step: String,
    },
    /// The progress of a step that is not finished: "kubelet ready", "7 of 10 pods ready".
    Detail {
        /// The step.
        step: String,
        /// The progress, as a short text.
        text: String,
    },
    /// A step succeeded.
    Done {
        /// The step.
        step: String,
        /// How long it took, in seconds.
        seconds: f64,
        /// Its result, if it has one: "3 programs".
        #[serde(skip_serializing_if = "Option::is_none", default)]
        result: Option<String>,
    },
    /// A step failed. The error itself is reported separately.
    Failed {
        /// The step.
        step: String,
        /// How long it took to fail, in seconds.
        seconds: f64,
    },
    /// A message that belongs to no step.
    Note {
        /// The message.
        text: String,
    },
}

/// The sink of progress events. Cheap to clone.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(ProgressEvent) + Send + Sync>);

impl Progress {
    /// Sends every event to `sink`.
    pub fn new(sink: impl Fn(ProgressEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Drops every event.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// Passes on an event that another process emitted, such as the sandbox.
    pub fn emit(&self, event: ProgressEvent) {
        (self.0)(event);
    }

    /// The same sink for the steps of one of several: each of its steps begins with `name`.
    #[must_use]
    pub fn of(&self, name: &str) -> Self {
        let (outer, name) = (self.clone(), name.to_owned());
        Self::new(move |mut event| {
            match &mut event {
                ProgressEvent::Started { step }
                | ProgressEvent::Detail { step, .. }
                | ProgressEvent::Done { step, .. }
                | ProgressEvent::Failed { step, .. } => *step = format!("{name}: {step}"),
                ProgressEvent::Note { .. } => {}
            }
            outer.emit(event);
        })
    }

    /// Emits a message that belongs to no step.
    pub fn note(&self, text: impl Into<String>) {
        self.emit(ProgressEvent::Note { text: text.into() });
    }

    /// Begins a step. End it with [`Step::done`]; a step that is dropped before that has failed.
    #[must_use]
    pub fn step(&self, step: impl Into<String>) -> Step {
        let step = step.into();
        self.emit(ProgressEvent::Started { step: step.clone() });
        Step { progress: self.clone(), name: step, began: Instant::now(), ended: false }
    }
}

/// A step that is not finished.
pub struct Step {
    progress: Progress,
    name: String,
    began: Instant,
    ended: bool,
}

impl Step {
    /// Reports progress of the step.
    pub fn detail(&self, text: impl Into<String>) {
        self.progress.emit(ProgressEvent::Detail { step: self.name.clone(), text: text.into() });
    }

    /// Ends the step as successful; returns how long it took.
    pub fn done(self) -> Duration {
        self.end(None)
    }

    /// Ends the step as successful, with its result.
    pub fn done_with(self, result: impl Into<String>) -> Duration {
        self.end(Some(result.into()))
    }

    fn end(mut self, result: Option<String>) -> Duration {
        let took = self.began.elapsed();
        self.ended = true;
        self.progress.emit(ProgressEvent::Done { step: self.name.clone(), seconds: took.as_secs_f64(), result });
        took
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            let seconds = self.began.elapsed().as_secs_f64();
            self.progress.emit(ProgressEvent::Failed { step: self.name.clone(), seconds });
        }
    }
}
