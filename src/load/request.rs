//! The request: checked when it is made, serialised once a run.

use http::{HeaderName, HeaderValue, Method};

use crate::error::Error;
use crate::workload::Endpoint;

/// Headers that follow from other options.
const DERIVED: [&str; 2] = ["content-length", "transfer-encoding"];

/// What is asked, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    method: String,
    path: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    close: bool,
}

impl Default for Request {
    /// A GET of the endpoint's own path.
    fn default() -> Self {
        Self { method: "GET".into(), path: None, headers: Vec::new(), body: Vec::new(), close: false }
    }
}

impl Request {
    /// With this method.
    ///
    /// # Errors
    /// [`Error::BadValue`] when it is none, or one that asks for more than an answer.
    pub fn method(mut self, method: &str) -> Result<Self, Error> {
        let bad = |why: &str| bad("--method", method, why);
        Method::from_bytes(method.as_bytes()).map_err(|_| bad("it takes a word like GET or POST"))?;
        if method.eq_ignore_ascii_case("CONNECT") {
            return Err(bad("it asks for a tunnel, not for an answer"));
        }
        method.clone_into(&mut self.method);
        Ok(self)
    }

    /// For this path, with its query, instead of the endpoint's own.
    ///
    /// # Errors
    /// [`Error::BadValue`] when it is none.
    pub fn path(mut self, path: &str) -> Result<Self, Error> {
        let bad = |why: &str| Err(bad("--path", path, why));
        if !path.starts_with('/') {
            return bad("it begins with a slash");
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return bad("blanks, #, control characters and letters beyond ASCII are written as %XX");
        }
        self.path = Some(path.to_owned());
        Ok(self)
    }

    /// With this header, `Name: value`, too. It takes the place of one that is sent otherwise: `Host`, `User-Agent`,
    /// `Accept`, `Connection`.
    ///
    /// # Errors
    /// [`Error::BadValue`] when it is none, or one that follows from the body.
    pub fn header(mut self, header: &str) -> Result<Self, Error> {
        let bad = |why: &str| bad("--header", header, why);
        let (name, value) = header.split_once(':').ok_or_else(|| bad("it takes 'Name: value'"))?;
        let value = value.trim_matches([' ', '\t']);
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("its name is none for a header"))?;
        HeaderValue::from_str(value).map_err(|_| bad("control characters and line ends are not sent in a header"))?;
        if DERIVED.iter().any(|derived| name.eq_ignore_ascii_case(derived)) {
            return Err(bad("it follows from --body"));
        }
        self.headers.push((name.to_owned(), value.to_owned()));
        Ok(self)
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// Says that the connection ends with the answer.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// What is asked of `endpoint`: its URL with the request's own path.
    #[must_use]
    pub fn url(&self, endpoint: &Endpoint) -> String {
        format!("http://{}{}", endpoint.host, self.path_at(endpoint))
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    fn path_at<'a>(&'a self, endpoint: &'a Endpoint) -> &'a str {
        self.path.as_deref().unwrap_or(&endpoint.path)
    }

    /// The bytes that are sent to `endpoint`.
    pub(super) fn serialise(&self, endpoint: &Endpoint) -> Vec<u8> {
        let given = |name: &str| self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let length = self.body.len().to_string();
        // Without a length a server would wait for one where a body is usual.
        let has_length = !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH");
        let own = [
            ("Host", endpoint.host.as_str(), true),
            ("User-Agent", "evenkeel", true),
            ("Accept", "*/*", true),
            ("Connection", "close", self.close),
            ("Content-Length", &length, has_length),
        ];
        let own = own.into_iter().filter(|(name, _, wanted)| *wanted && !given(name));
        let all = own.map(|(name, value, _)| (name, value));
        let all = all.chain(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let first = format!("{} {} HTTP/1.1", self.method, self.path_at(endpoint));
        let lines: Vec<String> =
            std::iter::once(first).chain(all.map(|(name, value)| format!("{name}: {value}"))).collect();
        [lines.join("\r\n").as_bytes(), b"\r\n\r\n", &self.body].concat()
    }
}

fn bad(what: &'static str, given: &str, why: &str) -> Error {
    Error::BadValue { what, given: given.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(request: &Request) -> String {
        let endpoint = Endpoint { address: "127.0.0.1:80".parse().unwrap(), host: "a:80".into(), path: "/own".into() };
        String::from_utf8(request.serialise(&endpoint)).unwrap()
    }

    #[test]
    fn as_it_is_sent() {
        let plain = "GET /own HTTP/1.1\r\nHost: a:80\r\nUser-Agent: evenkeel\r\nAccept: */*\r\n\r\n";
        assert_eq!(bytes(&Request::default()), plain);
        let request = Request::default().method("POST").unwrap().path("/x?y=%20").unwrap();
        let request = request.header("host: b").unwrap().header("X-Two:  1 2 ").unwrap().body(b"a\r\n".into()).close();
        let all = "POST /x?y=%20 HTTP/1.1\r\nUser-Agent: evenkeel\r\nAccept: */*\r\nConnection: close\r\n\
                   Content-Length: 3\r\nhost: b\r\nX-Two: 1 2\r\n\r\na\r\n";
        assert_eq!(bytes(&request), all);
        let kept = Request::default().header("Connection: keep-alive").unwrap().close();
        assert!(!bytes(&kept).contains("close"));
        assert!(bytes(&Request::default().method("PUT").unwrap()).contains("\r\nContent-Length: 0\r\n"));
    }

    #[test]
    fn nothing_can_be_smuggled_in() {
        for method in ["", "GET /", "GET\r\nX: y", "G:T", "CONNECT", "connect", "é"] {
            assert!(Request::default().method(method).is_err(), "{method:?}");
        }
        for path in ["", "x", "http://a/", "/a b", "/a\r\nX: y", "/a#b", "/é", "/\u{7f}", "*"] {
            assert!(Request::default().path(path).is_err(), "{path:?}");
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
            let error = Request::default().header(header).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{header:?}");
        }
    }
}
