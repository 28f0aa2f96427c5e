//! Connections: listened for, accepted, served until they close.

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

/// Connections the kernel holds until they are accepted: a burst of new ones must not be refused.
const BACKLOG: u32 = 4096;

/// How long to wait when the process may open no more files, for some to be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Listens, with what every accepted connection inherits.
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

/// Accepts connections and serves each in a task of its own.
pub(super) struct Connections {
    /// Until the last call.
    listener: Option<TcpListener>,
    server: Arc<Server>,
    router: Router,
    http: http1::Builder,
    /// Wakes every connection when the last call is sounded, and knows by its receivers when none is left.
    last_call: watch::Sender<()>,
}

impl Connections {
    pub(super) fn new(listener: TcpListener, server: Arc<Server>) -> Self {
        let mut http = http1::Builder::new();
        // No cache reads the date, and it is a quarter of the answer.
        http.auto_date_header(false);
        // Answers are smaller than what a second buffer costs.
        http.writev(false);
        let router = app(server.clone());
        Self { listener: Some(listener), server, router, http, last_call: watch::Sender::new(()) }
    }

    /// Accepts until the last call; drop it to pause.
    pub(super) async fn accept(&self) {
        while let Some(listener) = &self.listener {
            match listener.accept().await {
                Ok((stream, _)) => self.spawn(stream),
                // The connection is gone before it was accepted: nothing to do with the next one.
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
        let service = service_fn(move |request| answer(&server, &router, request));
        let connection = self.http.serve_connection(stream, service);
        let mut last_call = self.last_call.subscribe();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                // Polled once more, it finds out by itself whether its client is owed an answer.
                _ = last_call.changed() => connection.await,
            };
            if let Err(error) = ended {
                debug!(%error, "connection broken");
            }
        });
    }

    /// Closes the listener and every idle connection, and waits until the last of the others has had its answer and all
    /// clients have closed, too.
    pub(super) async fn finish(&mut self) {
        self.listener = None;
        self.server.sound_last_call();
        self.last_call.send_replace(());
        self.last_call.closed().await;
    }
}

/// An answer that is whole in memory, or whatever a route makes.
type Answer = Response<Either<Full<Bytes>, Body>>;

/// What every request gets: the prepared answer, else the router's; while draining, its connection's last.
fn answer(
    server: &Server,
    router: &Router,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Answer, Infallible>> + use<> {
    // Decided before the future is made, which then need not hold the request.
    let answer = match routes::prepared(server, &mut request) {
        Some(ready) => Ok(ready),
        None => Err(router.clone().call(request)),
    };
    let draining = server.is_draining();
    async move {
        let mut answer = match answer {
            Ok(ready) => ready.map(Either::Left),
            Err(pending) => pending.await?.map(Either::Right),
        };
        if draining {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(answer)
    }
}

fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
