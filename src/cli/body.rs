//! The body of a request, as a flag has it.

use std::fmt;

use super::given_file::text_or_file;
use crate::cli::error::Error;
use crate::config::InvalidValue;
use evenkeel_load::{LoadError, Template};

/// The body of a request.
#[derive(Clone)]
pub(super) struct Body(Vec<u8>);

impl Body {
    /// The text itself, or the content of the file after `@`.
    pub(super) fn read(text: &str) -> Result<Self, InvalidValue> {
        text_or_file(text, |file| std::fs::read(file)).map(Self)
    }

    /// The bytes as they are.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.clone()
    }

    /// The body with its placeholders.
    ///
    /// # Errors
    /// [`Error::BadValue`] for a placeholder that does not exist.
    pub(super) fn template(&self) -> Result<Template, Error> {
        let refused = |why: LoadError| Error::BadValue { what: "--body", given: self.excerpt(), why: why.to_string() };
        Template::parse(&self.0).map_err(refused)
    }

    /// The first placeholder, for an error.
    fn excerpt(&self) -> String {
        const LONGEST: usize = 40;
        let text = String::from_utf8_lossy(&self.0);
        let begin = text.find("{{").unwrap_or(0);
        let rest = &text[begin..];
        rest.chars().take(LONGEST).collect()
    }
}

/// A body may be secret, and large.
impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Body({} bytes)", self.0.len())
    }
}
