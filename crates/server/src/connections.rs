//! Listens, accepts connections, and serves each of them until it closes.

use std::convert::Infallible;
use std::error::Error;
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
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;
use tracing::{debug, warn};

use crate::metrics::OpenConnection;
use crate::stream::{Protocol, Stream};
use crate::{Metrics, Server, ServerError, app, http2, routes};

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

/// How far the server is in its life. Connections are told each change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It serves.
    Serving,
    /// It drains, and still accepts connections.
    Draining,
    /// Only requests that have begun are still answered.
    DrainOver,
    /// Streams of messages that still go on are ended.
    Ending,
}

/// The listener and the connections that it accepted. Each connection is served in its own task.
pub(super) struct Connections {
    /// `None` once the drain is over.
    listener: Option<TcpListener>,
    shared: Arc<Shared>,
    /// Each connection holds a receiver, so the channel is closed when the last connection has ended.
    phase: watch::Sender<Phase>,
}

/// What all connections share.
struct Shared {
    server: Arc<Server>,
    router: Router,
    http1: http1::Builder,
    tls: Option<TlsAcceptor>,
}

impl Connections {
    pub(super) fn new(listener: TcpListener, server: Arc<Server>, tls: Option<TlsAcceptor>) -> Self {
        let mut http1 = http1::Builder::new();
        // No cache uses the Date header, and it would be a quarter of the response.
        http1.auto_date_header(false);
        // Responses are small: copying them into one buffer costs less than a vectored write.
        http1.writev(false);
        let router = app(server.clone());
        let shared = Arc::new(Shared { server, router, http1, tls });
        Self { listener: Some(listener), shared, phase: watch::Sender::new(Phase::Serving) }
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

    fn spawn(&self, tcp: TcpStream) {
        let (shared, phase) = (self.shared.clone(), self.phase.subscribe());
        let open = Metrics::connection(&shared.server);
        tokio::spawn(async move {
            if let Err(error) = serve(tcp, open, &shared, phase).await {
                debug!(%error, "connection broken");
            }
        });
    }

    /// Marks the server as draining. Each response closes its connection from now on.
    pub(super) fn start_draining(&self) {
        self.shared.server.start_draining();
        self.phase.send_replace(Phase::Draining);
    }

    /// Closes the listener and every idle connection, then waits until all other connections have sent their response and
    /// the clients have closed their side. Streams of messages that go on then are ended at `ending`.
    pub(super) async fn finish(&mut self, ending: Instant) {
        self.listener = None;
        self.shared.server.end_drain();
        self.phase.send_replace(Phase::DrainOver);
        tokio::select! {
            () = self.phase.closed() => return,
            () = sleep_until(ending) => {}
        }
        self.phase.send_replace(Phase::Ending);
        self.phase.closed().await;
    }
}

/// Serves a connection until it ends.
async fn serve(
    tcp: TcpStream,
    open: OpenConnection,
    shared: &Shared,
    mut phase: watch::Receiver<Phase>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let begin = async {
        let mut stream = Stream::accept(tcp, open, shared.tls.as_ref()).await?;
        let protocol = stream.protocol().await?;
        io::Result::Ok((stream, protocol))
    };
    let (stream, protocol) = until_drain_over(begin, &mut phase).await?;
    if protocol == Protocol::Http2 {
        return Ok(http2::serve(stream, &shared.server, &shared.router, phase).await?);
    }
    let service = service_fn(|request| respond(&shared.server, &shared.router, request));
    let connection = shared.http1.serve_connection(TokioIo::new(stream), service);
    Ok(until_drain_over(connection, &mut phase).await?)
}

/// Waits for `work`, and wakes it when the drain is over: the stream reports its end if no response is due (see `Stream`).
async fn until_drain_over<T>(work: impl Future<Output = T>, phase: &mut watch::Receiver<Phase>) -> T {
    let mut work = pin!(work);
    // Without the reference to the phase, which cannot be kept while the work goes on.
    let over = async { phase.wait_for(|phase| *phase >= Phase::DrainOver).await.is_ok() };
    tokio::select! {
        biased;
        done = work.as_mut() => done,
        _ = over => work.await,
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
            Ok(ready) => ready.map(Full::new).map(Either::Left),
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
