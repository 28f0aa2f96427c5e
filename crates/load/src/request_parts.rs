//! The parts of a request: method, path and headers.

use std::str::FromStr;

use http::{HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use super::error::LoadError;
use super::template::Template;

/// Headers that follow from the body.
const DERIVED: [&str; 2] = ["content-length", "transfer-encoding"];

/// A request method: a token such as GET, other than CONNECT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestMethod(pub(super) Method);

impl RequestMethod {
    /// GET.
    pub const GET: Self = Self(Method::GET);
    /// POST.
    pub const POST: Self = Self(Method::POST);
}

/// A path with its query, as it is sent. It may have the placeholders of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestPath(pub(super) Template);

/// A header of a request. The value may have characters beyond ASCII (obs-text, RFC 9110, section 5.5); they are sent
/// as UTF-8. It may have the placeholders of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHeader {
    pub(super) name: String,
    pub(super) value: Template,
}

fn invalid(expected: &'static str) -> LoadError {
    LoadError::InvalidValue { expected }
}

impl FromStr for RequestMethod {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        let method = Method::from_bytes(text.as_bytes()).map_err(|_| invalid("a method such as GET or POST"))?;
        if text.eq_ignore_ascii_case("CONNECT") {
            return Err(invalid("a method other than CONNECT, which opens a tunnel and requests no response"));
        }
        Ok(Self(method))
    }
}

impl TryFrom<String> for RequestMethod {
    type Error = LoadError;

    fn try_from(text: String) -> Result<Self, LoadError> {
        text.parse()
    }
}

impl From<RequestMethod> for String {
    fn from(method: RequestMethod) -> Self {
        method.0.to_string()
    }
}

impl FromStr for RequestPath {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        if !text.starts_with('/') {
            return Err(invalid("a path that begins with /"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(invalid(
                "a path in which spaces, #, control characters and characters beyond ASCII are written as %XX",
            ));
        }
        Ok(Self(Template::parse(text.as_bytes())?))
    }
}

impl FromStr for RequestHeader {
    type Err = LoadError;

    /// From `Name: value`.
    fn from_str(text: &str) -> Result<Self, LoadError> {
        let (name, value) = text.split_once(':').ok_or_else(|| invalid("NAME: VALUE"))?;
        Self::new(name, value)
    }
}

impl RequestHeader {
    /// A header of this name. Spaces and tabs around the value are not part of it.
    ///
    /// # Errors
    /// [`LoadError::InvalidValue`] if the name or the value is not valid.
    pub fn new(name: &str, value: &str) -> Result<Self, LoadError> {
        let value = value.trim_matches([' ', '\t']);
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            invalid("a name of ASCII letters, digits and !#$%&'*+-.^_`|~, and no space before the colon")
        })?;
        // Not `from_str`, which refuses characters beyond ASCII.
        HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| invalid("a value without line ends and without control characters other than tabs"))?;
        if DERIVED.iter().any(|derived| name.eq_ignore_ascii_case(derived)) {
            return Err(invalid(
                "a header other than Content-Length and Transfer-Encoding, which follow from the body",
            ));
        }
        Ok(Self { name: name.to_owned(), value: Template::parse(value.as_bytes())? })
    }
}

impl RequestHeader {
    /// Whether HTTP/2 does not have it: it is about the connection (RFC 9113, section 8.2.2), or the authority says it.
    pub(super) fn is_of_connection(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        let of_connection = ["connection", "host", "keep-alive", "proxy-connection", "upgrade"];
        of_connection.contains(&name.as_str())
            || (name == "te" && !self.value.as_literal().is_some_and(|value| value.eq_ignore_ascii_case(b"trailers")))
    }
}
