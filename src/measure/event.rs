//! What happened during a run, to be marked beside its seconds.

use serde::{Deserialize, Serialize};

/// Something that happened to the workload while it was under load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, in seconds since the run began.
    pub second: f64,
    /// What, in a few words: "scaled to 10 pods".
    pub what: String,
}
