//! The request: validated when it is built, serialised once for each run.

use http::{HeaderName, HeaderValue, Method};

use super::error::LoadError;
use super::target::Target;

/// Headers that follow from the body.
const DERIVED: [&str; 2] = ["content-length", "transfer-encoding"];

/// The request that a run sends again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTemplate {
    method: String,
    path: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    close: bool,
}

impl Default for RequestTemplate {
    /// GET of the target's own path.
    fn default() -> Self {
        Self { method: "GET".into(), path: None, headers: Vec::new(), body: Vec::new(), close: false }
    }
}

impl RequestTemplate {
    /// Sets the method.
    ///
    /// # Errors
    /// [`LoadError::Method`] when it is not a token, or CONNECT.
    pub fn method(mut self, method: &str) -> Result<Self, LoadError> {
        let bad = |why| LoadError::Method { given: method.to_owned(), why };
        Method::from_bytes(method.as_bytes()).map_err(|_| bad("expected a word like GET or POST"))?;
        if method.eq_ignore_ascii_case("CONNECT") {
            return Err(bad("CONNECT opens a tunnel instead of requesting a response"));
        }
        method.clone_into(&mut self.method);
        Ok(self)
    }

    /// Sets the path, with its query; without it, the path of the target is used.
    ///
    /// # Errors
    /// [`LoadError::Path`] when it does not begin with a slash, or has characters that must be percent-encoded.
    pub fn path(mut self, path: &str) -> Result<Self, LoadError> {
        let bad = |why| Err(LoadError::Path { given: path.to_owned(), why });
        if !path.starts_with('/') {
            return bad("it must begin with a slash");
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return bad("spaces, #, control characters and characters beyond ASCII must be written as %XX");
        }
        self.path = Some(path.to_owned());
        Ok(self)
    }

    /// Adds a header, `Name: value`. It replaces a header of that name which is sent by default: `Host`, `User-Agent`,
    /// `Accept`, `Connection`. The value may have characters beyond ASCII (obs-text, RFC 9110, section 5.5); they are sent
    /// as UTF-8.
    ///
    /// # Errors
    /// [`LoadError::Header`] when it is not a header, or one that follows from the body.
    pub fn header(mut self, header: &str) -> Result<Self, LoadError> {
        let bad = |why| LoadError::Header { given: header.to_owned(), why };
        let (name, value) = header.split_once(':').ok_or_else(|| bad("expected 'Name: value'"))?;
        let value = value.trim_matches([' ', '\t']);
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            bad("the name may have only ASCII letters, digits and !#$%&'*+-.^_`|~, and no space before the colon")
        })?;
        // Not `from_str`, which refuses characters beyond ASCII.
        HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| bad("the value may have no line ends and no control characters but tabs"))?;
        if DERIVED.iter().any(|derived| name.eq_ignore_ascii_case(derived)) {
            return Err(bad("it follows from the body"));
        }
        self.headers.push((name.to_owned(), value.to_owned()));
        Ok(self)
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// Adds `Connection: close`, unless there is a `Connection` header.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// The URL that is requested from `target`.
    #[must_use]
    pub fn url(&self, target: &Target) -> String {
        format!("http://{}{}", target.host, self.path_at(target))
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    fn path_at<'a>(&'a self, target: &'a Target) -> &'a str {
        self.path.as_deref().unwrap_or(&target.path)
    }

    /// The bytes that are sent to `target`.
    pub(super) fn serialise(&self, target: &Target) -> Vec<u8> {
        let given = |name: &str| self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let length = self.body.len().to_string();
        // These methods have a body as a rule, so its absence must be explicit (RFC 9110, section 8.6).
        let has_length = !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH");
        let own = [
            ("Host", target.host.as_str(), true),
            ("User-Agent", "evenkeel", true),
            ("Accept", "*/*", true),
            ("Connection", "close", self.close),
            ("Content-Length", &length, has_length),
        ];
        let own = own.into_iter().filter(|(name, _, wanted)| *wanted && !given(name));
        let all = own.map(|(name, value, _)| (name, value));
        let all = all.chain(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let first = format!("{} {} HTTP/1.1", self.method, self.path_at(target));
        let lines: Vec<String> =
            std::iter::once(first).chain(all.map(|(name, value)| format!("{name}: {value}"))).collect();
        [lines.join("\r\n").as_bytes(), b"\r\n\r\n", &self.body].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(request: &RequestTemplate) -> String {
        let target = Target { address: "127.0.0.1:80".parse().unwrap(), host: "a:80".into(), path: "/own".into() };
        String::from_utf8(request.serialise(&target)).unwrap()
    }

    #[test]
    fn the_bytes_that_are_sent() {
        let plain = "GET /own HTTP/1.1\r\nHost: a:80\r\nUser-Agent: evenkeel\r\nAccept: */*\r\n\r\n";
        assert_eq!(bytes(&RequestTemplate::default()), plain);
        let request = RequestTemplate::default().method("POST").unwrap().path("/x?y=%20").unwrap();
        let request = request.header("host: b").unwrap().header("X-Two:  1 2 ").unwrap().body(b"a\r\n".into()).close();
        let all = "POST /x?y=%20 HTTP/1.1\r\nUser-Agent: evenkeel\r\nAccept: */*\r\nConnection: close\r\n\
                   Content-Length: 3\r\nhost: b\r\nX-Two: 1 2\r\n\r\na\r\n";
        assert_eq!(bytes(&request), all);
        let kept = RequestTemplate::default().header("Connection: keep-alive").unwrap().close();
        assert!(!bytes(&kept).contains("close"));
        assert!(bytes(&RequestTemplate::default().method("PUT").unwrap()).contains("\r\nContent-Length: 0\r\n"));
    }

    #[test]
    fn no_second_header_or_request_can_be_injected() {
        for method in ["", "GET /", "GET\r\nX: y", "G:T", "CONNECT", "connect", "é"] {
            assert!(RequestTemplate::default().method(method).is_err(), "{method:?}");
        }
        for path in ["", "x", "http://a/", "/a b", "/a\r\nX: y", "/a#b", "/é", "/\u{7f}", "*"] {
            assert!(RequestTemplate::default().path(path).is_err(), "{path:?}");
        }
        for header in [
            "",
            "X",
            ": y",
            "X y: z",
            "X: y\r\nZ: z",
            "X: y\nZ: z",
            "X\r\nY: z",
            "X : y",
            "X: \0",
            "Content-Length: 5",
            "transfer-encoding: chunked",
        ] {
            assert!(RequestTemplate::default().header(header).is_err(), "{header:?}");
        }
    }

    #[test]
    fn a_header_is_refused_for_what_is_wrong_with_it() {
        let why = |header: &str| match RequestTemplate::default().header(header) {
            Err(LoadError::Header { why, .. }) => why,
            other => panic!("{header:?}: {other:?}"),
        };
        assert!(why("X").contains("Name: value"));
        for name in ["X y: z", "X : y", ": y", "é: y"] {
            assert!(why(name).starts_with("the name "), "{name:?}");
        }
        for value in ["X: a\nb", "X: \u{7f}", "X: \u{1b}[0m", "X: \0"] {
            assert!(why(value).starts_with("the value "), "{value:?}");
        }
    }

    #[test]
    fn values_may_have_tabs_and_characters_beyond_ascii() {
        let request = RequestTemplate::default().header("X-Name: é\t日本").unwrap();
        assert!(bytes(&request).contains("\r\nX-Name: é\t日本\r\n"));
    }
}
