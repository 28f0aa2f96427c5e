//! The program that runs in the pods: reads its settings from the environment and calls [`evenkeel_server::run`].

use std::io::Write;
use std::process::ExitCode;

use evenkeel_server::{Settings, run};

fn main() -> ExitCode {
    match Settings::from_env().and_then(|settings| run(&settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr is closed, the exit code alone reports the failure.
            let _ = writeln!(std::io::stderr(), "evenkeel-server: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
