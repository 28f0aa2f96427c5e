//! Listens, accepts connections, and serves each of them until it closes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tower_service::Service;
use tracing::{debug, warn};

use crate::stream::Stream;
use crate::{Metrics, Server, ServerError, app, routes};

/// How many connections the kernel queues before they are accepted. It is large, so that a burst of new connections is not
/// refused.
const BACKLOG: u32 = 4096;

/// How long to wait before accepting again when the process has reached its limit of open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Listens on `address`. Accepted connections inherit the socket's options.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let listen = || -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.set_nodelay(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| ServerError::Listen { address, source })
}

/// The listener and the connections that it accepted. Each connection is served in its own task.
pub(super) struct Connections {
    /// `None` once the drain is over.
    listener: Option<TcpListener>,
    server: Arc<Server>,
    router: Router,
    http: http1::Builder,
    /// Wakes every connection when the drain is over. Each connection holds a receiver, so the channel is closed when the
    /// last connection has ended.
    drain_over: watch::Sender<()>,
}

impl Connections {
    pub(super) fn new(listener: TcpListener, server: Arc<Server>) -> Self {
        let mut http = http1::Builder::new();
        // No cache uses the Date header, and it would be a quarter of the response.
        http.auto_date_header(false);
        // Responses are small: copying them into one buffer costs less than a vectored write.
        http.writev(false);
        let router = app(server.clone());
        Self { listener: Some(listener), server, router, http, drain_over: watch::Sender::new(()) }
    }

    /// Accepts connections until the listener is closed. Dropping the future stops accepting and loses no connection.
    pub(super) async fn accept(&self) {
        while let Some(listener) = &self.listener {
            match listener.accept().await {
                Ok((stream, _)) => self.spawn(stream),
                // Only this connection is lost; the next one can be accepted at once.
                Err(error) if is_connection_error(&error) => debug!(%error, "connection lost before it was accepted"),
                Err(error) => {
                    warn!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn spawn(&self, stream: TcpStream) {
        let stream = Stream::new(stream, Metrics::connection(&self.server));
        let (server, router) = (self.server.clone(), self.router.clone());
        let service = service_fn(move |request| respond(&server, &router, request));
        let connection = self.http.serve_connection(stream, service);
        let mut drain_over = self.drain_over.subscribe();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                // The stream reports its end to hyper if no response is due on this connection (see `Stream`).
                _ = drain_over.changed() => connection.await,
            };
            if let Err(error) = ended {
                debug!(%error, "connection broken");
            }
        });
    }

    /// Closes the listener and every idle connection, then waits until all other connections have sent their response and
    /// the clients have closed their side.
    pub(super) async fn finish(&mut self) {
        self.listener = None;
        self.server.end_drain();
        self.drain_over.send_replace(());
        self.drain_over.closed().await;
    }
}

/// A response whose body is in memory, or the response of a route.
type ServerResponse = Response<Either<Full<Bytes>, Body>>;

/// Responds to a request, without the router where possible. While the server drains, the response closes its connection.
fn respond(
    server: &Server,
    router: &Router,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<ServerResponse, Infallible>> + use<> {
    // Decided outside the future, so that the future does not hold the request.
    let response = match routes::prepared(server, &mut request) {
        Some(ready) => Ok(ready),
        None => Err(router.clone().call(request)),
    };
    let draining = server.is_draining();
    async move {
        let mut response = match response {
            Ok(ready) => ready.map(Either::Left),
            Err(pending) => pending.await?.map(Either::Right),
        };
        if draining {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
