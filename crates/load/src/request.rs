//! The request: validated when it is built, serialised once for each run.

use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::error::LoadError;
use super::grpc::{self, GrpcMethod, GrpcReply};
use super::http2::{Expected, Http2Request};
use super::target::Target;

/// Headers that follow from the body.
const DERIVED: [&str; 2] = ["content-length", "transfer-encoding"];

/// A request method: a token such as GET, other than CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestMethod(Method);

impl RequestMethod {
    /// GET.
    pub const GET: Self = Self(Method::GET);
    /// POST.
    pub const POST: Self = Self(Method::POST);
}

/// A path with its query, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPath(String);

/// A header of a request. The value may have characters beyond ASCII (obs-text, RFC 9110, section 5.5); they are sent
/// as UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    name: String,
    value: String,
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
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for RequestHeader {
    type Err = LoadError;

    /// From `Name: value`.
    fn from_str(text: &str) -> Result<Self, LoadError> {
        let (name, value) = text.split_once(':').ok_or_else(|| invalid("NAME: VALUE"))?;
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
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

const USER_AGENT: &str = "evenkeel";
const ACCEPT: &str = "*/*";

/// The request that a run sends again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTemplate {
    method: RequestMethod,
    path: Option<RequestPath>,
    headers: Vec<RequestHeader>,
    body: Vec<u8>,
    close: bool,
    /// What the server is told and answers, if the request calls a method of gRPC.
    grpc: Option<Call>,
}

/// A call of a method of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    /// The deadline that the server is told.
    timeout: Duration,
    reply: GrpcReply,
}

impl Default for RequestTemplate {
    /// GET of the target's own path.
    fn default() -> Self {
        Self { method: RequestMethod::GET, path: None, headers: Vec::new(), body: Vec::new(), close: false, grpc: None }
    }
}

impl RequestTemplate {
    /// Sets the method.
    #[must_use]
    pub fn method(mut self, method: RequestMethod) -> Self {
        self.method = method;
        self
    }

    /// Sets the path, with its query; without it, the path of the target is used.
    #[must_use]
    pub fn path(mut self, path: RequestPath) -> Self {
        self.path = Some(path);
        self
    }

    /// Adds a header. It replaces a header of that name which is sent by default: `Host`, `User-Agent`, `Accept`,
    /// `Connection`.
    #[must_use]
    pub fn header(mut self, header: RequestHeader) -> Self {
        self.headers.push(header);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// Calls a method of gRPC with the body as its message, encoded already. The server is told to answer within `timeout`.
    #[must_use]
    pub fn grpc(mut self, method: &GrpcMethod, timeout: Duration) -> Self {
        self.method = RequestMethod::POST;
        self.path = Some(RequestPath(method.path()));
        self.body = grpc::frame(&self.body);
        self.grpc = Some(Call { timeout, reply: GrpcReply::Unknown });
        self
    }

    /// Sets what the method of gRPC answers with.
    #[must_use]
    pub fn grpc_reply(mut self, reply: GrpcReply) -> Self {
        self.grpc = self.grpc.map(|call| Call { reply, ..call });
        self
    }

    /// Sets the message for the method of gRPC, encoded already.
    #[must_use]
    pub fn grpc_message(mut self, message: &[u8]) -> Self {
        self.body = grpc::frame(message);
        self
    }

    /// The host that `target` is asked for.
    #[must_use]
    pub fn host<'a>(&'a self, target: &'a Target) -> &'a str {
        self.given("Host").unwrap_or(&target.host)
    }

    /// The headers that were added, as HTTP/2 has them: with names in lower case, and without those of the connection.
    #[must_use]
    pub fn http2_metadata(&self) -> Vec<(String, String)> {
        let given = self.headers.iter().filter(|header| !header.is_of_connection());
        given.map(|header| (header.name.to_ascii_lowercase(), header.value.clone())).collect()
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
        format!("{}://{}{}", target.scheme(), target.host, self.path_at(target))
    }

    /// Whether it calls a method of gRPC.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.grpc.is_some()
    }

    /// Whether the calls are known to be answered with streams of messages (gRPC).
    #[must_use]
    pub fn streams(&self) -> bool {
        self.grpc.is_some_and(|call| call.reply == GrpcReply::Stream)
    }

    /// Whether a response may have another number of messages of gRPC than one.
    pub(super) fn may_stream(&self) -> bool {
        self.grpc.is_some_and(|call| call.reply != GrpcReply::One)
    }

    pub(super) fn is_head(&self) -> bool {
        self.method.0 == Method::HEAD
    }

    fn path_at<'a>(&'a self, target: &'a Target) -> &'a str {
        self.path.as_ref().map_or(&target.path, |path| &path.0)
    }

    /// The bytes that are sent to `target` over HTTP/1.1.
    pub(super) fn serialise(&self, target: &Target) -> Vec<u8> {
        let connection = self.close.then_some(("Connection", "close"));
        let length = self.length();
        let own = [("Host", target.host.as_str()), ("User-Agent", USER_AGENT), ("Accept", ACCEPT)].into_iter();
        let own = own.chain(connection).chain(length.as_deref().map(|length| ("Content-Length", length)));
        let own = own.filter(|(name, _)| self.given(name).is_none());
        let all = own.chain(self.headers.iter().map(|header| (header.name.as_str(), header.value.as_str())));
        let first = format!("{} {} HTTP/1.1", self.method.0, self.path_at(target));
        let lines: Vec<String> =
            std::iter::once(first).chain(all.map(|(name, value)| format!("{name}: {value}"))).collect();
        [lines.join("\r\n").as_bytes(), b"\r\n\r\n", &self.body].concat()
    }

    /// The same request over HTTP/2.
    pub(super) fn http2(&self, target: &Target) -> Http2Request {
        let expected = Expected { is_head: self.is_head(), grpc: self.grpc.map(|call| call.reply) };
        Http2Request::new(&self.http2_headers(target), self.body.clone(), expected)
    }

    /// Its headers, with names in lower case.
    fn http2_headers(&self, target: &Target) -> Vec<(String, String)> {
        let length = self.length();
        let host = self.host(target);
        let pseudo = [
            (":method", self.method.0.as_str()),
            (":scheme", target.scheme()),
            (":path", self.path_at(target)),
            (":authority", host),
        ];
        let accept = self.grpc.is_none().then_some(("accept", ACCEPT));
        let own = std::iter::once(("user-agent", USER_AGENT)).chain(accept);
        let timeout = self.grpc.map(|call| grpc::timeout(call.timeout));
        let of_grpc = timeout
            .as_deref()
            .map(|timeout| [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", timeout)]);
        let length = length.filter(|_| self.grpc.is_none());
        let own = own.chain(length.as_deref().map(|length| ("content-length", length)));
        let own = own.chain(of_grpc.into_iter().flatten()).filter(|(name, _)| self.given(name).is_none());
        let own = pseudo.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value.to_owned()));
        own.chain(self.http2_metadata()).collect()
    }

    /// The value of a header that was added.
    fn given(&self, name: &str) -> Option<&str> {
        let given = self.headers.iter().find(|given| given.name.eq_ignore_ascii_case(name));
        given.map(|header| header.value.as_str())
    }

    /// The length of the body. These methods have a body as a rule, so its absence must be explicit (RFC 9110, section 8.6).
    fn length(&self) -> Option<String> {
        let has_length = !self.body.is_empty() || matches!(self.method.0.as_str(), "POST" | "PUT" | "PATCH");
        has_length.then(|| self.body.len().to_string())
    }
}

impl RequestHeader {
    /// Whether HTTP/2 does not have it: it is about the connection (RFC 9113, section 8.2.2), or the authority says it.
    fn is_of_connection(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        let of_connection = ["connection", "host", "keep-alive", "proxy-connection", "upgrade"];
        of_connection.contains(&name.as_str()) || (name == "te" && !self.value.eq_ignore_ascii_case("trailers"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(request: &RequestTemplate) -> String {
        let target =
            Target { address: "127.0.0.1:80".parse().unwrap(), host: "a:80".into(), path: "/own".into(), tls: None };
        String::from_utf8(request.serialise(&target)).unwrap()
    }

    #[test]
    fn the_bytes_that_are_sent() {
        let plain = "GET /own HTTP/1.1\r\nHost: a:80\r\nUser-Agent: evenkeel\r\nAccept: */*\r\n\r\n";
        assert_eq!(bytes(&RequestTemplate::default()), plain);
        let request = RequestTemplate::default().method("POST".parse().unwrap()).path("/x?y=%20".parse().unwrap());
        let request = request
            .header("host: b".parse().unwrap())
            .header("X-Two:  1 2 ".parse().unwrap())
            .body(b"a\r\n".into())
            .close();
        let all = "POST /x?y=%20 HTTP/1.1\r\nUser-Agent: evenkeel\r\nAccept: */*\r\nConnection: close\r\n\
                   Content-Length: 3\r\nhost: b\r\nX-Two: 1 2\r\n\r\na\r\n";
        assert_eq!(bytes(&request), all);
        let kept = RequestTemplate::default().header("Connection: keep-alive".parse().unwrap()).close();
        assert!(!bytes(&kept).contains("close"));
        assert!(
            bytes(&RequestTemplate::default().method("PUT".parse().unwrap())).contains("\r\nContent-Length: 0\r\n")
        );
    }

    #[test]
    fn over_http_2_the_host_is_the_authority_and_no_header_is_of_the_connection() {
        let target =
            Target { address: "127.0.0.1:80".parse().unwrap(), host: "a:80".into(), path: "/own".into(), tls: None };
        let text = |request: &RequestTemplate| format!("{:?}", request.http2_headers(&target));
        let headers = ["Host: b", "Connection: close", "X-Two: 1", "TE: gzip", "Upgrade: h2c"];
        let request =
            headers.iter().fold(RequestTemplate::default(), |request, header| request.header(header.parse().unwrap()));
        assert_eq!(
            text(&request.close()),
            r#"[(":method", "GET"), (":scheme", "http"), (":path", "/own"), (":authority", "b"), ("user-agent", "evenkeel"), ("accept", "*/*"), ("x-two", "1")]"#
        );
        let method = "a.B/C".parse().unwrap();
        let call = text(&RequestTemplate::default().grpc(&method, Duration::from_millis(1500)));
        for part in [
            r#"(":method", "POST")"#,
            r#"(":path", "/a.B/C")"#,
            r#"("te", "trailers")"#,
            r#"("grpc-timeout", "1500m")"#,
        ] {
            assert!(call.contains(part), "{part}: {call}");
        }
    }

    #[test]
    fn no_second_header_or_request_can_be_injected() {
        for method in ["", "GET /", "GET\r\nX: y", "G:T", "CONNECT", "connect", "é"] {
            assert!(method.parse::<RequestMethod>().is_err(), "{method:?}");
        }
        for path in ["", "x", "http://a/", "/a b", "/a\r\nX: y", "/a#b", "/é", "/\u{7f}", "*"] {
            assert!(path.parse::<RequestPath>().is_err(), "{path:?}");
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
            assert!(header.parse::<RequestHeader>().is_err(), "{header:?}");
        }
    }

    #[test]
    fn a_header_is_refused_for_what_is_wrong_with_it() {
        let why = |header: &str| header.parse::<RequestHeader>().unwrap_err().to_string();
        assert_eq!(why("X"), "expected NAME: VALUE");
        for name in ["X y: z", "X : y", ": y", "é: y"] {
            assert!(why(name).starts_with("expected a name "), "{name:?}");
        }
        for value in ["X: a\nb", "X: \u{7f}", "X: \u{1b}[0m", "X: \0"] {
            assert!(why(value).starts_with("expected a value "), "{value:?}");
        }
    }

    #[test]
    fn values_may_have_tabs_and_characters_beyond_ascii() {
        let request = RequestTemplate::default().header("X-Name: é\t日本".parse().unwrap());
        assert!(bytes(&request).contains("\r\nX-Name: é\t日本\r\n"));
    }
}
