//! Files of requests: one JSON object a line.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::error::LoadError;
use super::request::RequestTemplate;
use super::request_parts::{RequestHeader, RequestMethod};
use super::template::Template;

/// How many requests a file may have.
const MOST_REQUESTS: usize = 100_000;
const FIELDS: &str = "method, path, headers, body or body_base64";
const CALL_FIELDS: &str = "message or metadata";

/// Why a file is not a list of requests.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestsFileError {
    /// A line is not a request.
    #[error("line {line}: {why}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it, with the name of the field.
        why: String,
    },
    /// It has no requests.
    #[error("it has no requests")]
    Empty,
    /// It has too many.
    #[error("it has more than {most} requests")]
    TooMany {
        /// How many a file may have.
        most: usize,
    },
}

/// The requests of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestsFile {
    /// Of HTTP.
    Requests(Vec<RequestTemplate>),
    /// Calls of gRPC, of one method that the file does not name.
    Calls(Vec<CallLine>),
}

/// A call of gRPC in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLine {
    /// The number of its line, from 1.
    pub line: usize,
    /// The message, as JSON.
    pub message: String,
    /// The metadata.
    pub metadata: Vec<RequestHeader>,
}

/// Parses a file of requests. Each line is a JSON object with the fields `method`, `path`, `headers` (an object, whose
/// values are texts or lists of texts), and `body` or `body_base64`, none of which is required. Empty lines are ignored.
/// Paths, values of headers, and `body` may have the placeholders of a [`Template`].
///
/// A file whose first line has one of the fields `message` and `metadata` has calls of gRPC. `message` is an object, and
/// `metadata` is as `headers`; neither is required.
///
/// ```
/// use evenkeel_load::{RequestsFile, parse_requests_file};
///
/// let file = br#"{"path":"/items?page={{random:1..9}}"}
/// {"method":"PUT","path":"/items/{{uuid}}","headers":{"Content-Type":"application/json"},"body":"{\"n\":{{sequence}}}"}"#;
/// let RequestsFile::Requests(requests) = parse_requests_file(file).unwrap() else { panic!() };
/// assert_eq!(requests.len(), 2);
///
/// let file = br#"{"message":{"id":1}}"#;
/// let RequestsFile::Calls(calls) = parse_requests_file(file).unwrap() else { panic!() };
/// assert_eq!((calls[0].line, calls[0].message.as_str()), (1, r#"{"id":1}"#));
/// ```
///
/// # Errors
/// [`RequestsFileError`] with the line and the field.
pub fn parse_requests_file(text: &[u8]) -> Result<RequestsFile, RequestsFileError> {
    let mut file: Option<RequestsFile> = None;
    let mut count = 0;
    for (line, text) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        if text.trim_ascii().is_empty() {
            continue;
        }
        if count >= MOST_REQUESTS {
            return Err(RequestsFileError::TooMany { most: MOST_REQUESTS });
        }
        count += 1;
        let wrong = |why| RequestsFileError::Line { line, why };
        let fields: Map<String, Value> = serde_json::from_slice(text).map_err(|error| wrong(not_json(&error)))?;
        match file.get_or_insert_with(|| RequestsFile::of_kind(&fields)) {
            RequestsFile::Requests(requests) => requests.push(request(&fields).map_err(wrong)?),
            RequestsFile::Calls(calls) => calls.push(call(line, &fields).map_err(wrong)?),
        }
    }
    file.ok_or(RequestsFileError::Empty)
}

impl RequestsFile {
    /// An empty file of the kind to which a line with these fields belongs.
    fn of_kind(fields: &Map<String, Value>) -> Self {
        let is_call = fields.contains_key("message") || fields.contains_key("metadata");
        if is_call { Self::Calls(Vec::new()) } else { Self::Requests(Vec::new()) }
    }
}

/// Makes a call of the fields of a line, or says what is wrong with them.
fn call(line: usize, fields: &Map<String, Value>) -> Result<CallLine, String> {
    let mut call = CallLine { line, message: "{}".into(), metadata: Vec::new() };
    for (name, value) in fields {
        match name.as_str() {
            "message" if value.is_object() => call.message = value.to_string(),
            "message" => return Err("field message: expected an object".into()),
            "metadata" => call.metadata = headers(name, value)?,
            _ => return Err(format!("unknown field {name:?} of a call of gRPC, expected {CALL_FIELDS}")),
        }
    }
    Ok(call)
}

/// Makes a request of the fields of a line, or says what is wrong with them.
fn request(fields: &Map<String, Value>) -> Result<RequestTemplate, String> {
    let mut request = RequestTemplate::default();
    if fields.contains_key("body") || fields.contains_key("body_base64") {
        request = request.method(RequestMethod::POST);
    }
    if fields.contains_key("body") && fields.contains_key("body_base64") {
        return Err("expected either the field body or the field body_base64".into());
    }
    for (name, value) in fields {
        let field = |error: LoadError| format!("field {name}: {error}");
        let text = || value.as_str().ok_or_else(|| format!("field {name}: expected a text"));
        request = match name.as_str() {
            "method" => request.method(text()?.parse().map_err(field)?),
            "path" => request.path(text()?.parse().map_err(field)?),
            "headers" => headers(name, value)?.into_iter().fold(request, RequestTemplate::header),
            "body" => request.body_template(Template::parse(text()?.as_bytes()).map_err(field)?),
            "body_base64" => {
                request.body(BASE64_STANDARD.decode(text()?).map_err(|error| format!("field {name}: {error}"))?)
            }
            _ => return Err(format!("unknown field {name:?}, expected {FIELDS}")),
        };
    }
    Ok(request)
}

/// The headers in the value of this field.
fn headers(field: &str, value: &Value) -> Result<Vec<RequestHeader>, String> {
    let given = value.as_object().ok_or_else(|| format!("field {field}: expected an object"))?;
    let mut headers = Vec::new();
    for (name, value) in given {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            let value = value.as_str().ok_or_else(|| format!("field {field}, {name:?}: expected a text"))?;
            let header = RequestHeader::new(name, value);
            headers.push(header.map_err(|error| format!("field {field}, {name:?}: {error}"))?);
        }
    }
    Ok(headers)
}

/// What the JSON library says, without the line, which is always the first one.
fn not_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    format!("expected a JSON object, but found this at column {}: {what}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_requests() {
        let file = b"{}\n\n  \r\n{\"path\":\"/a\",\"headers\":{\"X-A\":\"1\",\"X-B\":[\"2\",\"3\"]}}\r\n\
            {\"method\":\"PUT\",\"body_base64\":\"AAH/\"}\n{\"body\":\"{{{{\"}";
        let get = RequestTemplate::default();
        let header = |text: &str| text.parse::<RequestHeader>().unwrap();
        let expected = [
            get.clone(),
            get.clone()
                .path("/a".parse().unwrap())
                .header(header("X-A: 1"))
                .header(header("X-B: 2"))
                .header(header("X-B: 3")),
            get.clone().method("PUT".parse().unwrap()).body(vec![0, 1, 255]),
            get.method(RequestMethod::POST).body(b"{{".into()),
        ];
        assert_eq!(parse_requests_file(file).unwrap(), RequestsFile::Requests(expected.into()));
    }

    #[test]
    fn a_wrong_line_is_named_with_its_field() {
        let why = |line: &str| {
            let error = parse_requests_file(format!("{{}}\n\n{line}\n").as_bytes()).unwrap_err().to_string();
            error.strip_prefix("line 3: ").unwrap().to_owned()
        };
        assert_eq!(
            why("5"),
            "expected a JSON object, but found this at column 1: invalid type: integer `5`, expected a map"
        );
        assert!(why("{\"path\":\"/\"").starts_with("expected a JSON object, but found this at column 11: EOF"));
        assert!(why("GET /").starts_with("expected a JSON object"));
        assert_eq!(why(r#"{"url":"/"}"#), format!("unknown field \"url\", expected {FIELDS}"));
        assert_eq!(why(r#"{"path":5}"#), "field path: expected a text");
        assert_eq!(why(r#"{"path":"a"}"#), "field path: expected a path that begins with /");
        assert!(why(r#"{"path":"/{{id}}"}"#).starts_with("field path: expected {{uuid}}, "));
        assert!(why(r#"{"method":"CONNECT"}"#).starts_with("field method: expected a method other than CONNECT"));
        assert!(why(r#"{"body_base64":"%"}"#).starts_with("field body_base64: "));
        assert!(why(r#"{"body":"a","body_base64":"YQ=="}"#).starts_with("expected either"));
        assert_eq!(why(r#"{"body":{"a":1}}"#), "field body: expected a text");
        assert_eq!(why(r#"{"headers":["X: y"]}"#), "field headers: expected an object");
        assert_eq!(why(r#"{"headers":{"X-A":[5]}}"#), "field headers, \"X-A\": expected a text");
        assert!(why(r#"{"headers":{"X A":"1"}}"#).starts_with("field headers, \"X A\": expected a name "));
        assert!(why(r#"{"headers":{"X":"1\n2"}}"#).starts_with("field headers, \"X\": expected a value "));
        assert!(why(r#"{"headers":{"Content-Length":"1"}}"#).contains("follow from the body"));
    }

    #[test]
    fn lines_become_calls() {
        let file = br#"{"metadata":{"x-a":"1","x-b":["2","{{uuid}}"]}}

{"message":{"id":12345678901234567890,"tags":["a"]}}
{}"#;
        let header = |text: &str| text.parse::<RequestHeader>().unwrap();
        let call =
            |line, message: &str, metadata: Vec<RequestHeader>| CallLine { line, message: message.into(), metadata };
        let expected = vec![
            call(1, "{}", vec![header("x-a: 1"), header("x-b: 2"), header("x-b: {{uuid}}")]),
            call(3, r#"{"id":12345678901234567890,"tags":["a"]}"#, Vec::new()),
            call(4, "{}", Vec::new()),
        ];
        assert_eq!(parse_requests_file(file).unwrap(), RequestsFile::Calls(expected));
    }

    #[test]
    fn a_wrong_call_is_named_with_its_line_and_its_field() {
        let why = |line: &str| {
            let error =
                parse_requests_file(format!("{{\"message\":{{}}}}\n{line}\n").as_bytes()).unwrap_err().to_string();
            error.strip_prefix("line 2: ").unwrap().to_owned()
        };
        assert_eq!(why(r#"{"message":"{}"}"#), "field message: expected an object");
        assert_eq!(why(r#"{"metadata":["a: b"]}"#), "field metadata: expected an object");
        assert!(why(r#"{"metadata":{"x a":"1"}}"#).starts_with("field metadata, \"x a\": expected a name "));
        assert_eq!(why(r#"{"path":"/"}"#), "unknown field \"path\" of a call of gRPC, expected message or metadata");
        assert!(why("5").starts_with("expected a JSON object"));
        let error = parse_requests_file(b"{\"path\":\"/\"}\n{\"message\":{}}").unwrap_err().to_string();
        assert_eq!(error, format!("line 2: unknown field \"message\", expected {FIELDS}"));
    }

    #[test]
    fn a_file_has_some_requests_and_not_too_many() {
        assert_eq!(parse_requests_file(b"\n \n").unwrap_err(), RequestsFileError::Empty);
        let many = "{}\n".repeat(MOST_REQUESTS);
        assert!(parse_requests_file(many.as_bytes()).is_ok());
        let error = parse_requests_file(format!("{many}{{}}").as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 100000 requests");
    }
}
