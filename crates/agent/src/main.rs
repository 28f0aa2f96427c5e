//! The program in the pods from which a test sends its load.

use std::io::{BufReader, stdin, stdout};
use std::process::ExitCode;

use evenkeel_agent::session;

fn main() -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let ended = runtime.block_on(session::run(BufReader::new(stdin()), stdout()));
    if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
