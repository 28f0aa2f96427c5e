//! gRPC on the port of HTTP/2: an echo with streams, the health that probes ask for, and the reflection that describes both.
//! The messages are few and small, so they are read and written without a library.

mod echo;
mod health;
mod limits;
mod messages;
mod reflection;
mod reply;
mod status;
mod wire;

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Request, Version};
use h2::RecvStream;
use h2::server::SendResponse;
use tokio::sync::watch;

use crate::Server;
use crate::connections::Phase;
use messages::{Failure, Messages};
use reply::{GRPC, Reply};
use status::Status;

/// Whether a request is one of gRPC.
pub(super) fn is_grpc<B>(request: &Request<B>) -> bool {
    request.headers().get(CONTENT_TYPE).is_some_and(|given| given.as_bytes().starts_with(GRPC.as_bytes()))
}

/// Answers a request of gRPC, in a task of its own.
pub(super) fn answer(
    server: &Arc<Server>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    phase: &watch::Receiver<Phase>,
) {
    let (head, body) = request.into_parts();
    let (server, messages) = (Arc::clone(server), Messages::new(body));
    let reply = Reply::new(server.greeting.pod(), respond);
    let path = head.uri.path();
    if path.starts_with("/evenkeel.v1.Echo/") {
        server.metrics().request(Version::HTTP_2);
        server.metrics().grpc_call();
    }
    match path {
        "/evenkeel.v1.Echo/Echo" | "/grpc.health.v1.Health/Check" => {
            tokio::spawn(call(server, head, messages, reply));
        }
        // Such a call follows the phases of the server.
        _ => {
            tokio::spawn(long_call(phase.clone(), head, messages, reply));
        }
    }
}

/// A call with one message in each direction.
async fn call(server: Arc<Server>, head: Parts, messages: Messages, mut reply: Reply) {
    let ended = match head.uri.path() {
        "/evenkeel.v1.Echo/Echo" => echo::once(messages, &mut reply).await,
        _ => health::check(messages, server.is_draining(), &mut reply).await,
    };
    end(reply, &ended);
}

/// A call whose messages may take long.
async fn long_call(phase: watch::Receiver<Phase>, head: Parts, messages: Messages, mut reply: Reply) {
    let (headers, reply_to) = (&head.headers, &mut reply);
    let ended = match head.uri.path() {
        "/evenkeel.v1.Echo/EchoStream" => echo::stream(messages, headers, phase, reply_to).await,
        "/evenkeel.v1.Echo/EchoEach" => echo::each(messages, headers, phase, reply_to).await,
        "/grpc.health.v1.Health/Watch" => health::watch(messages, headers, phase, reply_to).await,
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => {
            reflection::info(messages, headers, phase, reply_to).await
        }
        _ => Ok(Status::Unimplemented),
    };
    end(reply, &ended);
}

fn end(reply: Reply, ended: &Result<Status, Failure>) {
    match *ended {
        Ok(status) | Err(Failure::Status(status)) => reply.end(status),
        Err(Failure::Gone) => reply.cancel(),
    }
}
