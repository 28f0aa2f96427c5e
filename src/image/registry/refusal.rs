//! What a registry refused, and its words for it.

use oci_client::errors::{OciDistributionError, OciErrorCode as Code};
use serde::Deserialize;

/// The HTTP status that a registry's refusal has or means; 0 if it is something else.
pub(super) fn status(problem: &OciDistributionError) -> u16 {
    match problem {
        OciDistributionError::RegistryError { envelope, .. } => {
            match envelope.errors.first().map(|error| &error.code) {
                Some(Code::Unauthorized | Code::Denied) => 401,
                Some(Code::ManifestUnknown | Code::NameUnknown | Code::NotFound | Code::BlobUnknown) => 404,
                _ => 0,
            }
        }
        OciDistributionError::ServerError { code, .. } => *code,
        OciDistributionError::RequestError(error) => error.status().map_or(0, |status| status.as_u16()),
        OciDistributionError::AuthenticationFailure(_) | OciDistributionError::UnauthorizedError { .. } => 401,
        OciDistributionError::ImageManifestNotFoundError(_) => 404,
        _ => 0,
    }
}

/// The registry's own words, or those of the first cause of an error.
pub(super) fn words(problem: &(dyn std::error::Error + 'static)) -> String {
    let own = match problem.downcast_ref() {
        Some(OciDistributionError::RegistryError { envelope, .. }) => {
            let messages = envelope.errors.iter().map(|error| error.message.as_str()).filter(|text| !text.is_empty());
            messages.collect::<Vec<_>>().join("; ")
        }
        Some(OciDistributionError::ServerError { code, message, .. }) => {
            of_answer(message).unwrap_or_else(|| format!("HTTP {code} {}", message.trim()))
        }
        Some(OciDistributionError::AuthenticationFailure(text)) => of_answer(text).unwrap_or_else(|| text.clone()),
        Some(OciDistributionError::UnauthorizedError { .. }) => "authentication required".to_owned(),
        Some(OciDistributionError::RequestError(error)) => {
            error.status().map(|status| format!("HTTP {status}")).unwrap_or_default()
        }
        _ => String::new(),
    };
    if let Some(line) = own.trim().lines().next() {
        return line.to_owned();
    }
    let mut cause = problem;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The messages in the JSON with which registries and their token servers refuse.
fn of_answer(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        errors: Vec<Message>,
        details: Option<String>,
    }
    #[derive(Deserialize)]
    struct Message {
        #[serde(default)]
        message: String,
    }
    let answer: Answer = serde_json::from_str(text).ok()?;
    let messages = answer.errors.into_iter().map(|error| error.message).chain(answer.details);
    let messages: Vec<String> = messages.filter(|message| !message.is_empty()).collect();
    (!messages.is_empty()).then(|| messages.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_the_registrys_own() {
        let answer = |message: &str| OciDistributionError::ServerError {
            code: 405,
            url: "http://localhost/".into(),
            message: message.into(),
        };
        for (text, said) in [
            (r#"{"errors":[{"code":"UNSUPPORTED","message":"it is read-only"}]}"#, "it is read-only"),
            (r#"{"errors":[{"code":"A","message":"one"},{"code":"B"},{"code":"C","message":"two"}]}"#, "one; two"),
            (r#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
            ("<html>\n</html>", "HTTP 405 <html>"),
            (r#"{"errors":[]}"#, r#"HTTP 405 {"errors":[]}"#),
            ("", "HTTP 405"),
        ] {
            assert_eq!(words(&answer(text)), said);
        }
        assert_eq!(status(&answer("")), 405);
    }
}
