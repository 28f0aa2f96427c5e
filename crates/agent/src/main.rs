//! The program in the pods from which a test sends its load.

use std::io::{BufReader, stdin, stdout};
use std::process::ExitCode;

use evenkeel_agent::session::{self, Ended};

fn main() -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let ended = runtime.block_on(session::run(BufReader::new(stdin()), stdout()));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended::Abandoned) => ExitCode::from(session::ABANDONED),
        Err(_) => ExitCode::FAILURE,
    }
}
