//! The built programs as one archive, for machines that should not build them: a gzipped tar with a manifest and the files of
//! each module.
//!
//! Equal programs make equal archives: no entry has a time, an owner or a name of its machine.

mod export;
mod import;
mod manifest;

use std::io;
use std::time::{Duration, Instant};

pub use export::export;
pub use import::{ImportedToolbox, import};
pub use manifest::{ArchivedFile, ArchivedModule, ToolboxManifest};

use crate::progress::Step;
use crate::shutdown::Shutdown;

/// How many bytes are read at once.
const CHUNK: usize = 1 << 18;
/// How often progress in bytes is reported.
const INTERVAL: Duration = Duration::from_millis(250);

/// Reports how much of the programs was read, and ends the work on shutdown.
struct Pace<'a> {
    step: &'a Step,
    shutdown: &'a Shutdown,
    bytes: u64,
    reported: Instant,
}

impl<'a> Pace<'a> {
    fn new(step: &'a Step, shutdown: &'a Shutdown) -> Self {
        Self { step, shutdown, bytes: 0, reported: Instant::now() }
    }

    /// Counts `bytes` more.
    ///
    /// # Errors
    /// When the work is to end.
    fn advance(&mut self, bytes: usize) -> io::Result<()> {
        if self.shutdown.is_cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        self.bytes += bytes as u64;
        if self.reported.elapsed() >= INTERVAL {
            self.reported = Instant::now();
            self.step.detail(format!("{} MB", self.bytes / 1_000_000));
        }
        Ok(())
    }
}
