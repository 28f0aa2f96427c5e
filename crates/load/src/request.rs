//! The request: validated when it is built, serialised once for each run.

use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};

use super::grpc::{self, GrpcMethod, GrpcReply};
use super::http2::{Expected, RequestHeaders};
use super::prepared::Http1Request;
use super::request_parts::{RequestHeader, RequestMethod, RequestPath};
use super::target::Target;
use super::template::Template;

const USER_AGENT: &str = "evenkeel";
const ACCEPT: &str = "*/*";

/// The request that a run sends again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTemplate {
    method: RequestMethod,
    path: Option<RequestPath>,
    headers: Vec<RequestHeader>,
    body: Template,
    close: bool,
    /// What the server is told and answers, if the request calls a method of gRPC.
    grpc: Option<Call>,
}

/// A call of a method of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Call {
    /// The deadline that the server is told.
    timeout: Duration,
    reply: GrpcReply,
}

impl Default for RequestTemplate {
    /// GET of the target's own path.
    fn default() -> Self {
        Self {
            method: RequestMethod::GET,
            path: None,
            headers: Vec::new(),
            body: Template::default(),
            close: false,
            grpc: None,
        }
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

    /// Adds those of the headers for which there is none of the same name.
    #[must_use]
    pub fn default_headers(mut self, headers: &[RequestHeader]) -> Self {
        let missing: Vec<_> = headers.iter().filter(|header| self.given(&header.name).is_none()).cloned().collect();
        self.headers.extend(missing);
        self
    }

    /// Sets the body, in which nothing is a placeholder.
    #[must_use]
    pub fn body(self, body: Vec<u8>) -> Self {
        self.body_template(Template::literal(body))
    }

    /// Sets the body.
    #[must_use]
    pub fn body_template(mut self, body: Template) -> Self {
        self.body = body;
        self
    }

    /// Calls a method of gRPC with the body as its message, encoded already and without placeholders. The server is told to answer within `timeout`.
    #[must_use]
    pub fn grpc(mut self, method: &GrpcMethod, timeout: Duration) -> Self {
        self.method = RequestMethod::POST;
        self.path = Some(RequestPath(Template::literal(method.path())));
        self.body = Template::literal(grpc::frame(self.body.as_literal().unwrap_or_default()));
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
        self.body = Template::literal(grpc::frame(message));
        self
    }

    /// The host that `target` is asked for.
    #[must_use]
    pub fn host(&self, target: &Target) -> String {
        let given = self.given("Host").and_then(Template::as_literal);
        given.map_or_else(|| target.host.clone(), |host| String::from_utf8_lossy(host).into_owned())
    }

    /// The headers that were added, as HTTP/2 has them: with names in lower case, and without those of the connection.
    /// Those with placeholders are left out.
    #[must_use]
    pub fn http2_metadata(&self) -> Vec<(String, String)> {
        let given = self.headers.iter().filter(|header| !header.is_of_connection());
        let literal = |header: &RequestHeader| {
            let value = header.value.as_literal()?;
            Some((header.name.to_ascii_lowercase(), String::from_utf8_lossy(value).into_owned()))
        };
        given.filter_map(literal).collect()
    }

    /// Adds `Connection: close`, unless there is a `Connection` header.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// The method, and the path if the request has one of its own, for people.
    #[must_use]
    pub fn name(&self) -> String {
        let path = self.path.as_ref().map(|path| format!(" {}", path.0.source())).unwrap_or_default();
        format!("{}{path}", self.method.0)
    }

    /// The URL that is requested from `target`.
    #[must_use]
    pub fn url(&self, target: &Target) -> String {
        format!("{}://{}{}", target.scheme(), target.host, self.path_at(target).source())
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

    fn is_head(&self) -> bool {
        self.method.0 == Method::HEAD
    }

    fn path_at(&self, target: &Target) -> Template {
        self.path.as_ref().map_or_else(|| Template::literal(target.path.as_str()), |path| path.0.clone())
    }

    /// What is sent to `target` over HTTP/1.1.
    pub(super) fn http1(&self, target: &Target) -> Http1Request {
        let connection = self.close.then(|| ("Connection", Template::literal("close")));
        let own = [("Host", target.host.as_str()), ("User-Agent", USER_AGENT), ("Accept", ACCEPT)];
        let own = own.into_iter().map(|(name, value)| (name, Template::literal(value)));
        let own = own.chain(connection).chain(self.length().map(|length| ("Content-Length", length)));
        let own = own.filter(|(name, _)| self.given(name).is_none());
        let given = self.headers.iter().map(|header| (header.name.as_str(), header.value.clone()));
        let mut head = Template::literal(format!("{} ", self.method.0));
        head.push(&self.path_at(target));
        head.push_text(b" HTTP/1.1\r\n");
        for (name, value) in own.chain(given) {
            head.push_text(format!("{name}: ").as_bytes());
            head.push(&value);
            head.push_text(b"\r\n");
        }
        head.push_text(b"\r\n");
        Http1Request::new(head, self.body.clone(), self.is_head())
    }

    /// The same request over HTTP/2: its headers, with names in lower case, and its body.
    pub(super) fn http2(&self, target: &Target) -> RequestHeaders {
        let expected = Expected { is_head: self.is_head(), grpc: self.grpc.map(|call| call.reply) };
        RequestHeaders { list: self.http2_headers(target), body: self.body.clone(), expected }
    }

    fn http2_headers(&self, target: &Target) -> Vec<(String, Template)> {
        let host = self.given("Host").cloned().unwrap_or_else(|| Template::literal(target.host.as_str()));
        let pseudo = [
            (":method", Template::literal(self.method.0.as_str())),
            (":scheme", Template::literal(target.scheme())),
            (":path", self.path_at(target)),
            (":authority", host),
        ];
        let accept = self.grpc.is_none().then_some(("accept", ACCEPT));
        let own = std::iter::once(("user-agent", USER_AGENT)).chain(accept);
        let own = own.map(|(name, value)| (name, Template::literal(value)));
        let timeout = self.grpc.map(|call| grpc::timeout(call.timeout));
        let of_grpc = timeout
            .as_deref()
            .map(|timeout| [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", timeout)]);
        let of_grpc = of_grpc.into_iter().flatten().map(|(name, value)| (name, Template::literal(value)));
        let length = self.length().filter(|_| self.grpc.is_none());
        let own = own.chain(length.map(|length| ("content-length", length)));
        let own = own.chain(of_grpc).filter(|(name, _)| self.given(name).is_none());
        let given = self.headers.iter().filter(|header| !header.is_of_connection());
        let given = given.map(|header| (header.name.as_str(), header.value.clone()));
        let all = pseudo.into_iter().chain(own).chain(given);
        all.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
    }

    /// The value of a header that was added.
    fn given(&self, name: &str) -> Option<&Template> {
        let given = self.headers.iter().find(|given| given.name.eq_ignore_ascii_case(name));
        given.map(|header| &header.value)
    }

    /// The length of the body. These methods have a body as a rule, so its absence must be explicit (RFC 9110, section 8.6).
    fn length(&self) -> Option<Template> {
        let has_length = !self.body.is_empty() || matches!(self.method.0.as_str(), "POST" | "PUT" | "PATCH");
        let length = |body: &[u8]| Template::literal(body.len().to_string());
        has_length.then(|| self.body.as_literal().map_or_else(Template::body_length, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(request: &RequestTemplate) -> String {
        let target =
            Target { address: "127.0.0.1:80".parse().unwrap(), host: "a:80".into(), path: "/own".into(), tls: None };
        String::from_utf8(request.http1(&target).as_literal().unwrap().to_vec()).unwrap()
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
        let text = |request: &RequestTemplate| {
            let headers = request.http2_headers(&target).into_iter().map(|(name, value)| (name, value.source()));
            format!("{:?}", headers.collect::<Vec<_>>())
        };
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
