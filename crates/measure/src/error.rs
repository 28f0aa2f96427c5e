//! Why an assertion cannot be used.

use thiserror::Error as ThisError;

use crate::some;

/// Why an assertion cannot be used. `Display` is one sentence, which does not repeat the assertion.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum AssertionError {
    /// The text is not an assertion.
    #[error("expected an assertion such as p99<5ms or rps@10/rps@2>=0.95; {reason}")]
    Syntax {
        /// Where it goes wrong, and what is expected there: "column 6: p99 is a time, so it needs us, ms or s".
        reason: String,
    },
    /// It is about a number of pods at which nothing is run.
    #[error("there is no run at {}, {}", some(*replicas, "pod"), runs(counts))]
    NoSuchRun {
        /// The number of pods.
        replicas: u32,
        /// The numbers at which there are runs; empty where none was chosen.
        counts: Vec<u32>,
    },
}

/// At which numbers of pods there are runs.
fn runs(counts: &[u32]) -> String {
    if counts.is_empty() {
        return "because no number of pods was chosen".to_owned();
    }
    let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
    format!("only at {}", counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_one_sentence() {
        let missing = |counts: &[u32]| AssertionError::NoSuchRun { replicas: 7, counts: counts.to_vec() };
        assert_eq!(missing(&[2, 10]).to_string(), "there is no run at 7 pods, only at 2, 10");
        assert_eq!(missing(&[]).to_string(), "there is no run at 7 pods, because no number of pods was chosen");
        let syntax = AssertionError::Syntax { reason: "column 4: x".into() };
        assert!(
            syntax.to_string().starts_with("expected an assertion ") && syntax.to_string().ends_with("; column 4: x")
        );
    }
}
