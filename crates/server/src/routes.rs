//! The routes, and the response to `GET /`, which load tests measure.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{self, HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::{Name, Server, metrics, probes};

/// The response header that names the pod.
pub const POD_HEADER: HeaderName = HeaderName::from_static("x-evenkeel-pod");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The end of the body, after the number.
const END: &[u8] = b"}\n";

/// The number of digits of the largest `u64`.
const LONGEST_NUMBER: usize = 20;

/// The router with all routes.
pub fn app(server: Arc<Server>) -> Router {
    Router::new()
        .route("/", get(hello))
        .route("/startupz", get(probes::startup))
        .route("/readyz", get(probes::ready))
        .route("/healthz", get(probes::health))
        .route("/metrics", get(metrics::show))
        .route("/version", get(version))
        .fallback(not_found)
        .with_state(server)
}

/// The constant parts of the response to `GET /`. Each request only adds its number.
#[derive(Debug)]
pub(super) struct Greeting {
    before_number: Box<[u8]>,
    pod: HeaderValue,
}

impl Greeting {
    pub(super) fn new(pod: &Name, node: &Name) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let before_number =
            format!(r#"{{"pod":"{}","node":"{}","version":"{version}","request":"#, pod.as_str(), node.as_str());
        Self {
            before_number: before_number.into_bytes().into(),
            // A `Name` has only characters that are valid in a header, so the fallback is never used.
            pod: HeaderValue::from_str(pod.as_str()).unwrap_or(HeaderValue::from_static("unknown")),
        }
    }

    /// The name of the pod.
    pub(super) fn pod(&self) -> HeaderValue {
        self.pod.clone()
    }

    /// The response with this number. `headers` is the header map of the request: it is emptied and reused, which saves an
    /// allocation.
    fn response(&self, number: u64, mut headers: HeaderMap) -> http::Response<Bytes> {
        let mut digits = [0; LONGEST_NUMBER];
        let digits = decimal(number, &mut digits);
        // With the exact capacity there is one allocation, and `Bytes` takes the vector without copying it.
        let mut body = Vec::with_capacity(self.before_number.len() + digits.len() + END.len());
        body.extend_from_slice(&self.before_number);
        body.extend_from_slice(digits);
        body.extend_from_slice(END);
        headers.clear();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(POD_HEADER, self.pod.clone());
        let mut response = http::Response::new(Bytes::from(body));
        *response.headers_mut() = headers;
        response
    }
}

fn decimal(mut number: u64, space: &mut [u8; LONGEST_NUMBER]) -> &[u8] {
    let mut start = LONGEST_NUMBER;
    loop {
        start -= 1;
        space[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &space[start..];
        }
    }
}

/// `GET /`: the pod, the node, the version and the number of the request.
async fn hello(State(server): State<Arc<Server>>, version: Version) -> Response {
    server.greeting.response(server.metrics.request(version), HeaderMap::new()).map(Body::from)
}

/// The same response to `GET /` without the router, which costs 5% of the throughput. `None` for other requests.
pub(super) fn prepared<B>(server: &Server, request: &mut Request<B>) -> Option<http::Response<Bytes>> {
    (request.method() == Method::GET && request.uri().path() == "/").then(|| {
        let headers = std::mem::take(request.headers_mut());
        server.greeting.response(server.metrics.request(request.version()), headers)
    })
}

/// `GET /version`.
async fn version() -> impl IntoResponse {
    let text = concat!(r#"{"name":"evenkeel-server","version":""#, env!("CARGO_PKG_VERSION"), "\"}\n");
    ([(CONTENT_TYPE, JSON)], text)
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "not found; the routes are /, /version, /metrics, /startupz, /readyz and /healthz\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_writes_every_number_correctly() {
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; LONGEST_NUMBER]), number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_response_has_no_headers_of_the_request() {
        let name = Name::parse("a").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::from_static("secret"));
        let response = Greeting::new(&name, &name).response(7, headers);
        assert_eq!(response.headers().len(), 2);
        assert_eq!(response.headers()[POD_HEADER], "a");
        assert!(response.body().ends_with(b"\"request\":7}\n"));
    }
}
