//! The load's errors as the command line shows them: with the flag that was given, a hint and an exit code.

use super::Error;
use evenkeel_load::LoadError;

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        let bad = |what, given, why: &str| Self::BadValue { what, given, why: why.to_owned() };
        match error {
            LoadError::Method { given, why } => bad("--method", given, why),
            LoadError::Path { given, why } => bad("--path", given, why),
            LoadError::Header { given, why } => bad("--header", given, why),
            LoadError::Statuses { given, why } => bad("--expect", given, why),
            LoadError::TooFewDescriptors { connections, limit } => {
                let why = format!("each is an open file, and this process may have {limit} (ulimit -Hn)");
                bad("--connections", connections.to_string(), &why)
            }
            other => Self::Load(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_load::{RequestTemplate, StatusSet, ensure_descriptors};
    use std::io;
    use std::num::NonZeroU32;

    #[test]
    fn impossible_values_name_their_flag_and_exit_with_2() {
        let request = RequestTemplate::default;
        let errors = [
            ("--method", request().method("GET /").unwrap_err()),
            ("--path", request().path("x").unwrap_err()),
            ("--header", request().header("X").unwrap_err()),
            ("--expect", "2x".parse::<StatusSet>().unwrap_err()),
            ("--connections", ensure_descriptors(NonZeroU32::MAX).unwrap_err()),
        ];
        for (flag, error) in errors {
            // The library itself knows no flags.
            assert!(!error.to_string().contains("--"), "{error}");
            let error = Error::from(error);
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(error.to_string().contains(&format!("cannot be used for {flag}: ")), "{error}");
        }
    }

    #[test]
    fn failures_exit_with_1() {
        let source = || io::Error::from(io::ErrorKind::OutOfMemory);
        let target = "198.18.1.1:80".parse().unwrap();
        let errors = [
            (LoadError::DescriptorLimit { source: source() }, "the limit on open files could not be read: "),
            (LoadError::Epoll { source: source() }, "epoll could not be set up: "),
            (LoadError::Thread { source: source() }, "a thread could not be started: "),
            (LoadError::NoAddress { target }, "there is no address to send load to for 198.18.1.1:80"),
            (LoadError::Poll { target, source: source() }, "the load on 198.18.1.1:80 ended early: waiting for"),
            (LoadError::WorkerLost { target }, "the load on 198.18.1.1:80 ended early: a thread"),
            (LoadError::Histogram { why: "x".into() }, "a latency histogram"),
        ];
        for (error, sentence) in errors {
            let error = Error::from(error);
            assert_eq!(error.exit_code(), 1, "{error}");
            assert!(error.to_string().starts_with(sentence), "{error}");
            assert!(!error.hint().is_empty(), "{error}");
        }
    }
}
