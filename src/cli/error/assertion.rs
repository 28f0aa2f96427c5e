//! What an error of the statistics says on the command line.

use super::Error;
use evenkeel_measure::AssertionError;

/// The option that takes assertions.
const ASSERT: &str = "--assert";

impl From<AssertionError> for Error {
    fn from(error: AssertionError) -> Self {
        let (given, why) = match error {
            AssertionError::Syntax { text, reason } => {
                (text, format!("{reason}; for example p99<5ms, errors==0 or rps@10/rps@2>=0.95"))
            }
            AssertionError::NoSuchRun { assertion, replicas, counts } => {
                let why = if counts.is_empty() {
                    format!("there is no run at {replicas} pods, because --replicas is not given")
                } else {
                    let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
                    format!("there is no run at {replicas} pods, only at {}", counts.join(", "))
                };
                (assertion, why)
            }
        };
        Self::BadValue { what: ASSERT, given, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_measure::Assertion;

    #[test]
    fn a_bad_assertion_names_its_option_and_exits_with_2() {
        let error: Error = "p99<5".parse::<Assertion>().unwrap_err().into();
        assert_eq!(
            error.to_string(),
            "\"p99<5\" cannot be used for --assert: column 6: p99 is a time, so it needs us, ms or s; for example p99<5ms, \
             errors==0 or rps@10/rps@2>=0.95"
        );
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn an_assertion_about_pods_that_are_not_run_says_which_are() {
        let check = |text: &str, counts: &[u32]| {
            let error: Error = text.parse::<Assertion>().unwrap().check(counts).unwrap_err().into();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        assert_eq!(
            check("rps@10/rps@3>=0.95", &[2, 10]),
            "\"rps@10/rps@3>=0.95\" cannot be used for --assert: there is no run at 3 pods, only at 2, 10"
        );
        assert!(check("p99@7<5ms", &[]).ends_with("there is no run at 7 pods, because --replicas is not given"));
    }
}
