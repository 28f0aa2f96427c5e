//! Why an assertion cannot be used.

use thiserror::Error as ThisError;

/// Why an assertion cannot be used. `Display` is one sentence.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum AssertionError {
    /// The text is not an assertion.
    #[error("{text:?} is not an assertion: {reason}")]
    Syntax {
        /// The text.
        text: String,
        /// Where it goes wrong, and what is expected there: "column 6: p99 is a time, so it needs us, ms or s".
        reason: String,
    },
    /// It is about a number of pods at which nothing is run.
    #[error("{assertion:?} needs a run at {replicas} pods, {}", runs(counts))]
    NoSuchRun {
        /// The assertion as it is written.
        assertion: String,
        /// The number of pods.
        replicas: u32,
        /// The numbers at which there are runs; empty where none was chosen.
        counts: Vec<u32>,
    },
}

/// At which numbers of pods there are runs.
fn runs(counts: &[u32]) -> String {
    if counts.is_empty() {
        return "and no number of pods was chosen".to_owned();
    }
    let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
    format!("and there are runs at {} only", counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_one_sentence() {
        let missing = |counts: &[u32]| AssertionError::NoSuchRun {
            assertion: "p99@7<5ms".into(),
            replicas: 7,
            counts: counts.to_vec(),
        };
        assert_eq!(
            missing(&[2, 10]).to_string(),
            "\"p99@7<5ms\" needs a run at 7 pods, and there are runs at 2, 10 only"
        );
        assert_eq!(missing(&[]).to_string(), "\"p99@7<5ms\" needs a run at 7 pods, and no number of pods was chosen");
        let syntax = AssertionError::Syntax { text: "p99".into(), reason: "column 4: x".into() };
        assert_eq!(syntax.to_string(), "\"p99\" is not an assertion: column 4: x");
    }
}
