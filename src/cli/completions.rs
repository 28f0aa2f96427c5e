//! `evenkeel completions`.

use clap_complete::Shell;

use super::output;
use crate::cli::error::Error;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    /// Writes the script.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn run(&self) -> Result<(), Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "evenkeel", &mut script);
        Ok(output::text(&String::from_utf8_lossy(&script))?)
    }
}
