//! What is told of the runs: one file a format, behind one trait.

mod autocannon;
mod generator;
mod grid;
mod json;
mod number;
mod pods;
#[cfg(test)]
mod sample;
mod table;

use serde::{Deserialize, Serialize};

pub use grid::Look;
pub use json::Json;
pub use table::Table;

use crate::error::Error;
use crate::measure::Measurement;

/// The version of [`Report`]'s JSON: it grows when a reader of the old one would misread the new one.
pub const SCHEMA_VERSION: u32 = 1;

/// All runs of one `test`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The version of Evenkeel that measured.
    pub evenkeel_version: String,
    /// What was asked: `http://198.18.1.1/`.
    pub target: String,
    /// The runs, in order.
    pub runs: Vec<Measurement>,
}

impl Report {
    /// A report of `runs` against `target`.
    #[must_use]
    pub fn new(target: impl Into<String>, runs: Vec<Measurement>) -> Self {
        let evenkeel_version = env!("CARGO_PKG_VERSION").to_owned();
        Self { schema_version: SCHEMA_VERSION, evenkeel_version, target: target.into(), runs }
    }
}

/// A format.
pub trait Exporter {
    /// The report in this format.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written so.
    fn export(&self, report: &Report) -> Result<String, Error>;
}
