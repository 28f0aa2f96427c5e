//! The server in the pods: the environment's settings to [`evenkeel_server::run`].

use std::io::Write;
use std::process::ExitCode;

use evenkeel_server::{Settings, run};

fn main() -> ExitCode {
    match Settings::from_env().and_then(|settings| run(&settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With stderr closed, the exit code has to say it alone.
            let _ = writeln!(std::io::stderr(), "evenkeel-server: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
