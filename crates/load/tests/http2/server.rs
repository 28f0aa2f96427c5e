//! A server over HTTP/2 by the crate h2, an independent implementation.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};

/// How the server behaves.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// How many streams it allows.
    pub(crate) max_streams: Option<u32>,
    /// The window of request bodies.
    pub(crate) window: Option<u32>,
    /// How long it waits before each response.
    pub(crate) delay: Duration,
    /// The length of the responses' bodies.
    pub(crate) body: usize,
    /// After how many requests it ends a connection.
    pub(crate) requests_per_connection: Option<usize>,
    /// Which requests, by their remainder when divided by ten, are reset.
    pub(crate) resets: Option<(usize, Reason)>,
    /// Whether it speaks gRPC, and with which statuses in turn; `None` is a response without a status.
    pub(crate) grpc: Option<&'static [Option<&'static str>]>,
    /// Whether it keeps what it receives.
    pub(crate) keeps: bool,
    /// From which request on, and for how long, it answers none.
    pub(crate) stall: Option<(usize, Duration)>,
    /// Whether each response comes from another pod than the one before.
    pub(crate) many_pods: bool,
}

/// What the server has counted.
#[derive(Default)]
pub(crate) struct Counts {
    /// The requests, if they are kept: method and path, headers in the order of their names, and body.
    pub(crate) requests_kept: Mutex<Vec<(String, Vec<String>, String)>>,
    stalled_until: Mutex<Option<Instant>>,
    pub(crate) requests: AtomicUsize,
    pub(crate) connections: AtomicUsize,
    pub(crate) body_bytes: AtomicUsize,
    open: AtomicUsize,
    pub(crate) most_open: AtomicUsize,
}

/// Starts a server on its own thread.
pub(crate) fn start(behaviour: Behaviour) -> (SocketAddr, Arc<Counts>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let counts = Arc::new(Counts::default());
    let all = Arc::clone(&counts);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let number = counts.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, behaviour.clone(), Arc::clone(&counts), number));
            }
        });
    });
    (address, all)
}

async fn serve(stream: tokio::net::TcpStream, behaviour: Behaviour, counts: Arc<Counts>, connection: usize) {
    let mut builder = Builder::new();
    if let Some(max) = behaviour.max_streams {
        builder.max_concurrent_streams(max);
    }
    if let Some(window) = behaviour.window {
        builder.initial_window_size(window);
    }
    let Ok(mut session) = builder.handshake::<_, Bytes>(stream).await else { return };
    let mut requests = 0;
    while let Some(Ok((request, respond))) = session.accept().await {
        requests += 1;
        let number = counts.requests.fetch_add(1, Ordering::SeqCst);
        let open = counts.open.fetch_add(1, Ordering::SeqCst) + 1;
        counts.most_open.fetch_max(open, Ordering::SeqCst);
        let pod = if behaviour.many_pods { number } else { connection } % 3;
        let head = behaviour.keeps.then(|| head_of(&request));
        tokio::spawn(answer((head, request.into_body()), respond, behaviour.clone(), Arc::clone(&counts), number, pod));
        if behaviour.requests_per_connection == Some(requests) {
            session.graceful_shutdown();
        }
    }
}

fn head_of(request: &http::Request<RecvStream>) -> (String, Vec<String>) {
    let line = format!("{} {}", request.method(), request.uri().path());
    let headers = request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    let mut headers: Vec<String> = headers.collect();
    headers.sort();
    (line, headers)
}

async fn answer(
    (head, mut body): (Option<(String, Vec<String>)>, RecvStream),
    mut respond: SendResponse<Bytes>,
    behaviour: Behaviour,
    counts: Arc<Counts>,
    number: usize,
    pod: usize,
) {
    let mut kept = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        if behaviour.keeps {
            kept.extend_from_slice(&data);
        }
        counts.body_bytes.fetch_add(data.len(), Ordering::SeqCst);
        let _ = body.flow_control().release_capacity(data.len());
    }
    if let Some((line, headers)) = head {
        counts.requests_kept.lock().unwrap().push((line, headers, String::from_utf8(kept).unwrap()));
    }
    if let Some((begin, length)) = behaviour.stall
        && number >= begin
    {
        let until = *counts.stalled_until.lock().unwrap().get_or_insert_with(|| Instant::now() + length);
        tokio::time::sleep_until(until.into()).await;
    }
    if !behaviour.delay.is_zero() {
        tokio::time::sleep(behaviour.delay).await;
    }
    counts.open.fetch_sub(1, Ordering::SeqCst);
    if let Some((remainder, reason)) = behaviour.resets
        && number % 10 == remainder
    {
        return respond.send_reset(reason);
    }
    let mut response = http::Response::builder().header("x-evenkeel-pod", format!("pod-{pod}")).body(()).unwrap();
    if let Some(statuses) = behaviour.grpc {
        let trailers = statuses[number % statuses.len()].map(|status| ("grpc-status", status.parse().unwrap()));
        let trailers: http::HeaderMap =
            trailers.into_iter().map(|(name, value)| (http::HeaderName::from_static(name), value)).collect();
        // Errors come without a message, and with their status in the head.
        if number % 2 == 1 {
            response.headers_mut().extend(trailers);
            let _ = respond.send_response(response, true);
        } else if let Ok(mut stream) = respond.send_response(response, false) {
            let _ = stream.send_data(Bytes::from_static(&[0; 5]), false);
            let _ = stream.send_trailers(trailers);
        }
        return;
    }
    if let Ok(mut stream) = respond.send_response(response, behaviour.body == 0)
        && behaviour.body > 0
    {
        let _ = stream.send_data(vec![b'x'; behaviour.body].into(), true);
    }
}
