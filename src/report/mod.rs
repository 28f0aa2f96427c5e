//! Reports of runs: one file for each format, behind one trait.

mod agents;
mod autocannon;
mod comparison;
mod csv;
mod error;
mod events;
mod figures;
mod file;
mod format;
mod generator;
mod hgrm;
mod hlog;
mod html;
mod json;
mod markdown;
mod node_events;
mod nodes;
mod number;
mod over_time;
mod pods;
mod pods_csv;
mod requests;
mod rounds;
#[cfg(test)]
mod sample;
mod slow_pods;
mod table;
mod tail;
mod text_table;
mod words;

pub use error::ReportError;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use csv::Csv;
pub use file::{read, write};
pub use format::Format;
pub use hgrm::Hgrm;
pub use hlog::Hlog;
pub use html::Html;
pub use json::Json;
pub use markdown::Markdown;
pub use pods_csv::PodsCsv;
pub use table::Table;
pub use text_table::{Align, Look, plain_table};

use evenkeel_measure::{Measurement, count_uniformity_tests};

/// The version of [`Report`]'s JSON: it increases when a reader of the old version would misread the new one.
pub const SCHEMA_VERSION: u32 = 2;
/// The oldest version that can still be read: version 1 has nothing over time.
pub const OLDEST_SCHEMA_VERSION: u32 = 1;

/// All runs of one invocation of `test`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The version of Evenkeel that made the runs.
    pub evenkeel_version: String,
    /// The target: `http://198.18.1.1/`.
    pub target: String,
    /// The parts of the environment that the caller knows: "kernel", "CPU", "kube-proxy mode", …
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The runs, in order.
    pub runs: Vec<Measurement>,
}

impl Report {
    /// A report of all `runs` of an invocation against `target`, without an environment.
    #[must_use]
    pub fn new(target: impl Into<String>, mut runs: Vec<Measurement>) -> Self {
        count_uniformity_tests(&mut runs);
        Self {
            schema_version: SCHEMA_VERSION,
            evenkeel_version: env!("CARGO_PKG_VERSION").to_owned(),
            target: target.into(),
            environment: BTreeMap::new(),
            runs,
        }
    }
}

/// A format.
pub trait Exporter {
    /// The report in this format.
    ///
    /// # Errors
    /// [`ReportError::Io`] when the report cannot be written in this format.
    fn export(&self, report: &Report) -> Result<String, ReportError>;
}
