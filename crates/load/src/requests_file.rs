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

/// Parses a file of requests. Each line is a JSON object with the fields `method`, `path`, `headers` (an object, whose
/// values are texts or lists of texts), and `body` or `body_base64`, none of which is required. Empty lines are ignored.
/// Paths, values of headers, and `body` may have the placeholders of a [`Template`].
///
/// ```
/// let file = br#"{"path":"/items?page={{random:1..9}}"}
/// {"method":"PUT","path":"/items/{{uuid}}","headers":{"Content-Type":"application/json"},"body":"{\"n\":{{sequence}}}"}"#;
/// assert_eq!(evenkeel_load::parse_requests_file(file).unwrap().len(), 2);
/// ```
///
/// # Errors
/// [`RequestsFileError`] with the line and the field.
pub fn parse_requests_file(text: &[u8]) -> Result<Vec<RequestTemplate>, RequestsFileError> {
    let mut requests = Vec::new();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        if requests.len() >= MOST_REQUESTS {
            return Err(RequestsFileError::TooMany { most: MOST_REQUESTS });
        }
        requests.push(request(line).map_err(|why| RequestsFileError::Line { line: number + 1, why })?);
    }
    if requests.is_empty() { Err(RequestsFileError::Empty) } else { Ok(requests) }
}

/// Parses a line, or says what is wrong with it.
fn request(line: &[u8]) -> Result<RequestTemplate, String> {
    let fields: Map<String, Value> = serde_json::from_slice(line).map_err(|error| not_json(&error))?;
    let mut request = RequestTemplate::default();
    if fields.contains_key("body") || fields.contains_key("body_base64") {
        request = request.method(RequestMethod::POST);
    }
    if fields.contains_key("body") && fields.contains_key("body_base64") {
        return Err("expected either the field body or the field body_base64".into());
    }
    for (name, value) in &fields {
        let field = |error: LoadError| format!("field {name}: {error}");
        let text = || value.as_str().ok_or_else(|| format!("field {name}: expected a text"));
        request = match name.as_str() {
            "method" => request.method(text()?.parse().map_err(field)?),
            "path" => request.path(text()?.parse().map_err(field)?),
            "headers" => headers(request, value)?,
            "body" => request.body_template(Template::parse(text()?.as_bytes()).map_err(field)?),
            "body_base64" => {
                request.body(BASE64_STANDARD.decode(text()?).map_err(|error| format!("field {name}: {error}"))?)
            }
            _ => return Err(format!("unknown field {name:?}, expected {FIELDS}")),
        };
    }
    Ok(request)
}

fn headers(mut request: RequestTemplate, value: &Value) -> Result<RequestTemplate, String> {
    let headers = value.as_object().ok_or("field headers: expected an object")?;
    for (name, value) in headers {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            let value = value.as_str().ok_or_else(|| format!("field headers, {name:?}: expected a text"))?;
            let header = RequestHeader::new(name, value);
            request = request.header(header.map_err(|error| format!("field headers, {name:?}: {error}"))?);
        }
    }
    Ok(request)
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
        assert_eq!(parse_requests_file(file).unwrap(), expected);
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
    fn a_file_has_some_requests_and_not_too_many() {
        assert_eq!(parse_requests_file(b"\n \n").unwrap_err(), RequestsFileError::Empty);
        let many = "{}\n".repeat(MOST_REQUESTS);
        assert_eq!(parse_requests_file(many.as_bytes()).unwrap().len(), MOST_REQUESTS);
        let error = parse_requests_file(format!("{many}{{}}").as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 100000 requests");
    }
}
