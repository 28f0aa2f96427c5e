//! The request, serialised once.

use crate::workload::Endpoint;

/// The bytes of a GET for `endpoint`.
pub(super) fn serialise(endpoint: &Endpoint) -> Vec<u8> {
    let Endpoint { host, path, .. } = endpoint;
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: evenkeel\r\nAccept: */*\r\n\r\n").into_bytes()
}
