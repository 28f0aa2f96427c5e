//! `grpc.reflection.v1.ServerReflection`, and `v1alpha` with the same messages: describes the services of the server.

use axum::http::HeaderMap;
use tokio::sync::watch;

use super::limits::Limits;
use super::messages::{Failure, Messages, framed};
use super::reply::Reply;
use super::status::Status;
use super::wire::{self, Value};
use crate::connections::Phase;

/// The files in `crates/server/proto`, compiled: a `FileDescriptorSet`. A test compiles them again and compares.
static DESCRIPTORS: &[u8] = include_bytes!("descriptors.binpb");

/// The code of `NOT_FOUND`.
const NOT_FOUND: u64 = 5;

/// The fields of descriptors and of the service's messages.
mod number {
    pub(super) const FILE: u32 = 1;
    pub(super) const NAME: u32 = 1;
    pub(super) const PACKAGE: u32 = 2;
    pub(super) const MESSAGE_TYPE: u32 = 4;
    pub(super) const SERVICE: u32 = 6;

    pub(super) const FILE_BY_FILENAME: u32 = 3;
    pub(super) const FILE_CONTAINING_SYMBOL: u32 = 4;
    pub(super) const LIST_SERVICES: u32 = 7;

    pub(super) const VALID_HOST: u32 = 1;
    pub(super) const ORIGINAL_REQUEST: u32 = 2;
    pub(super) const FILES: u32 = 4;
    pub(super) const SERVICES: u32 = 6;
    pub(super) const ERROR: u32 = 7;
}

/// The names of all services, with their packages.
pub(super) fn services() -> impl Iterator<Item = String> {
    files().flat_map(|file| names(file, number::SERVICE))
}

/// `ServerReflectionInfo`.
pub(super) async fn info(
    mut messages: Messages,
    headers: &HeaderMap,
    phase: watch::Receiver<Phase>,
    reply: &mut Reply,
) -> Result<Status, Failure> {
    let mut limits = Limits::new(headers, phase, true);
    while let Some(question) = limits.within(messages.next()).await? {
        let Some(answer) = answer(&question) else { return Ok(Status::InvalidArgument) };
        reply.send_when_taken(framed(&answer)).await?;
    }
    Ok(Status::Ok)
}

/// The answer to a `ServerReflectionRequest`; `None` if that is not valid.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    wire::put_bytes(&mut answer, number::VALID_HOST, wire::bytes(question, 1));
    wire::put_bytes(&mut answer, number::ORIGINAL_REQUEST, question);
    let mut asked = None;
    for field in wire::fields(question) {
        match field {
            Ok((number @ 3..=7, Value::Bytes(what))) => asked = Some((number, what)),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
    let file = match asked {
        Some((number::LIST_SERVICES, _)) => {
            let mut list = Vec::new();
            for service in services() {
                let mut one = Vec::new();
                wire::put_bytes(&mut one, number::NAME, service.as_bytes());
                wire::put_bytes(&mut list, 1, &one);
            }
            wire::put_bytes(&mut answer, number::SERVICES, &list);
            return Some(answer);
        }
        Some((number::FILE_BY_FILENAME, name)) => files().find(|file| wire::bytes(file, number::NAME) == name),
        Some((number::FILE_CONTAINING_SYMBOL, symbol)) => files().find(|file| defines(file, symbol)),
        // No message has extensions.
        _ => None,
    };
    let mut response = Vec::new();
    if let Some(file) = file {
        wire::put_bytes(&mut response, 1, file);
        wire::put_bytes(&mut answer, number::FILES, &response);
    } else {
        wire::put_number_field(&mut response, 1, NOT_FOUND);
        wire::put_bytes(&mut response, 2, b"not found");
        wire::put_bytes(&mut answer, number::ERROR, &response);
    }
    Some(answer)
}

/// The compiled files. None imports another one.
fn files() -> impl Iterator<Item = &'static [u8]> {
    wire::all_bytes(DESCRIPTORS, number::FILE)
}

/// The names of a file's services or messages, with the package.
fn names(file: &[u8], kind: u32) -> impl Iterator<Item = String> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let package = text(wire::bytes(file, number::PACKAGE));
    wire::all_bytes(file, kind).map(move |one| format!("{package}.{}", text(wire::bytes(one, number::NAME))))
}

/// Whether a file defines a service or message, or one that contains this symbol.
fn defines(file: &[u8], symbol: &[u8]) -> bool {
    let all = names(file, number::SERVICE).chain(names(file, number::MESSAGE_TYPE));
    let mut all = all.map(|name| symbol.strip_prefix(name.as_bytes()));
    all.any(|rest| rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b".")))
}
