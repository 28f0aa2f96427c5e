//! Queries to the cluster's DNS server, from the network namespace of a pod.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use crate::security::network::in_network_of;

/// The address in each pod's resolv.conf.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

/// The response to a query.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) code: ResponseCode,
    pub(crate) addresses: Vec<Ipv4Addr>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ResponseCode {
    NoError,
    NxDomain,
    Other(u8),
}

/// Asks for the IPv4 addresses of a fully qualified name, as the process of a pod. Resolvers wait 5 s for a response; this
/// function fails after one.
pub(crate) fn ask(pod: i32, name: &str) -> io::Result<Response> {
    let query = query(name);
    in_network_of(pod, move || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.connect((SERVER, 53))?;
        socket.send(&query)?;
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer)?;
        Ok(parse(&buffer[..length]))
    })
}

/// The addresses of a name that must exist.
pub(crate) fn addresses(pod: i32, name: &str) -> Vec<Ipv4Addr> {
    let response = ask(pod, name).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(response.code, ResponseCode::NoError, "{name}");
    response.addresses
}

/// RFC 1035, 4.1: one question of type A, class IN, with recursion desired.
fn query(name: &str) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend(label.bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

fn parse(message: &[u8]) -> Response {
    let code = match message[3] & 0x0f {
        0 => ResponseCode::NoError,
        3 => ResponseCode::NxDomain,
        other => ResponseCode::Other(other),
    };
    let mut at = after_name(message, 12) + 4;
    let mut addresses = Vec::new();
    for _ in 0..u16::from_be_bytes([message[6], message[7]]) {
        at = after_name(message, at);
        let (kind, length) = ([message[at], message[at + 1]], [message[at + 8], message[at + 9]]);
        at += 10;
        let length = usize::from(u16::from_be_bytes(length));
        if kind == [0, 1] {
            addresses.push(Ipv4Addr::from(<[u8; 4]>::try_from(&message[at..at + length]).unwrap()));
        }
        at += length;
    }
    Response { code, addresses }
}

/// The position after the name at `at`, which may end with a pointer.
fn after_name(message: &[u8], mut at: usize) -> usize {
    loop {
        match message[at] {
            0 => return at + 1,
            pointer if pointer >= 0xc0 => return at + 2,
            label => at += 1 + usize::from(label),
        }
    }
}
