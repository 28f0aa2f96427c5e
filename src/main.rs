//! The command line of Evenkeel; everything is in [`evenkeel::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    evenkeel::cli::main()
}
