//! A netfilter queue: packets wait in the kernel until this program lets them pass. Only their ids are read.
//!
//! The messages are those of the kernel's `linux/netfilter/nfnetlink_queue.h`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeSpec;

/// The subsystem of queues, in the upper byte of a message's type.
const QUEUES: u16 = 3 << 8;
const PACKET: u16 = QUEUES;
const CONFIG: u16 = QUEUES | 2;
const VERDICT_BATCH: u16 = QUEUES | 3;
/// The type of the kernel's answer to a request.
const ANSWER: u16 = 2;
/// The flags of a request, and of one that the kernel answers.
const REQUEST: u16 = 1;
const ANSWERED: u16 = 1 | 4;
/// Attributes of a configuration.
const COMMAND: u16 = 1;
const COPY: u16 = 2;
const LENGTH: u16 = 3;
const FLAGS_MASK: u16 = 4;
const FLAGS: u16 = 5;
/// The attribute of a packet that begins with its id, and that of a verdict.
const PACKET_HEADER: u16 = 1;
const VERDICT_HEADER: u16 = 2;
/// The command that makes a queue, and the mode in which no content is copied.
const BIND: u8 = 1;
const COPY_META: u8 = 1;
/// When the queue is full, packets pass; and segments that the network card would split stay whole.
const FAIL_OPEN_AND_SEGMENTS: u32 = 1 | 4;
const ACCEPT: u32 = 1;
/// The length of a message's header, and of the header of netfilter below it.
const HEADER: usize = 16;
const NETFILTER_HEADER: usize = 4;
/// How many packets wait at most; more pass at once.
const MOST_PACKETS: u32 = 65_536;
/// The buffers of the socket.
const BUFFER: usize = 1 << 20;

/// A queue of the network namespace in which it was made. When it is dropped, the kernel drops the packets in it, and rules
/// with `--queue-bypass` let packets pass.
#[derive(Debug)]
pub struct PacketQueue {
    socket: OwnedFd,
    number: u16,
    buffer: Vec<u8>,
}

impl PacketQueue {
    /// Makes the queue with this number.
    ///
    /// # Errors
    /// When the kernel has no queues, or another program has this one.
    pub fn bind(number: u16) -> io::Result<Self> {
        let protocol = SockProtocol::NetlinkNetFilter;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // With the usual size, a burst of packets would overflow it; then they pass later, together with the next one.
        setsockopt(&socket, sockopt::RcvBuf, &BUFFER)?;
        let mut queue = Self { socket, number, buffer: vec![0; BUFFER] };
        queue.configure(&[(COMMAND, &[BIND, 0, 0, 0])])?;
        queue.configure(&[
            (COPY, &[0, 0, 0, 0, COPY_META]),
            (LENGTH, &MOST_PACKETS.to_be_bytes()),
            (FLAGS, &FAIL_OPEN_AND_SEGMENTS.to_be_bytes()),
            (FLAGS_MASK, &FAIL_OPEN_AND_SEGMENTS.to_be_bytes()),
        ])?;
        Ok(queue)
    }

    fn configure(&mut self, attributes: &[(u16, &[u8])]) -> io::Result<()> {
        self.send(CONFIG, ANSWERED, attributes)?;
        let length = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
        match answer(&self.buffer[..length]) {
            Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(-code)),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn send(&self, kind: u16, flags: u16, attributes: &[(u16, &[u8])]) -> io::Result<()> {
        let message = message(kind, flags, self.number, attributes);
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;
        Ok(())
    }

    /// The ids of packets that have arrived, in their order. Waits for one, at most for the given time.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn arrived(&mut self, longest: Option<Duration>) -> io::Result<Vec<u32>> {
        let mut readable = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut readable, longest.map(TimeSpec::from), None) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Vec::new()),
            ready => ready?,
        };
        let mut ids = Vec::new();
        loop {
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => ids.extend(packets(&self.buffer[..length])),
                Err(Errno::EAGAIN) => return Ok(ids),
                // Packets whose messages are lost pass together with a later one.
                Err(Errno::ENOBUFS | Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Lets a packet pass, and all that arrived before it.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn accept_up_to(&self, id: u32) -> io::Result<()> {
        let verdict = [ACCEPT.to_be_bytes(), id.to_be_bytes()].concat();
        self.send(VERDICT_BATCH, REQUEST, &[(VERDICT_HEADER, &verdict)])
    }
}

/// A message to a queue.
fn message(kind: u16, flags: u16, queue: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    // Netfilter's header: any family, version 0, the queue.
    let mut body = vec![0, 0];
    body.extend(queue.to_be_bytes());
    for (name, value) in attributes {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        body.extend(length.to_ne_bytes());
        body.extend(name.to_ne_bytes());
        body.extend(*value);
        body.resize(aligned(body.len()), 0);
    }
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // The sequence number and the port are not needed for one request at a time.
    message.resize(HEADER, 0);
    message.extend(body);
    message
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// The messages in what was received: the type of each, and what follows its header.
fn messages(mut received: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (u32_at(received, 0), u16_at(received, 4)) {
        let length = length as usize;
        let Some(body) = received.get(HEADER..length) else { break };
        found.push((kind, body));
        received = received.get(aligned(length)..).unwrap_or_default();
    }
    found
}

/// The code in the kernel's answer: 0, or a negative error.
fn answer(received: &[u8]) -> Option<i32> {
    let (_, body) = messages(received).into_iter().find(|(kind, _)| *kind == ANSWER)?;
    Some(i32::from_ne_bytes(body.get(..4)?.try_into().ok()?))
}

/// The ids of the packets in what was received.
fn packets(received: &[u8]) -> Vec<u32> {
    let packets = messages(received).into_iter().filter(|(kind, _)| *kind == PACKET);
    packets.filter_map(|(_, body)| id(body.get(NETFILTER_HEADER..)?)).collect()
}

fn id(mut attributes: &[u8]) -> Option<u32> {
    loop {
        let (length, name) = (u16_at(attributes, 0)? as usize, u16_at(attributes, 2)?);
        if name == PACKET_HEADER {
            return Some(u32::from_be_bytes(attributes.get(4..8)?.try_into().ok()?));
        }
        attributes = attributes.get(aligned(length.max(4))..)?;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let id_of = |id: u32| [&id.to_be_bytes()[..], &[8, 0, 3]].concat();
        let written: Vec<u8> = [7, 8]
            .iter()
            .flat_map(|id| message(PACKET, 0, 61_000, &[(9, &[1]), (PACKET_HEADER, &id_of(*id))]))
            .collect();
        assert_eq!(written.len() % 4, 0);
        assert_eq!(packets(&written), [7, 8]);
        assert_eq!(packets(&written[..written.len() - 1]), [7, 8][..1]);
        assert_eq!(answer(&written), None);
    }

    #[test]
    fn the_answer_is_the_kernels_code() {
        let mut refused = message(ANSWER, 0, 0, &[]);
        refused.truncate(HEADER);
        refused.extend((-1_i32).to_ne_bytes());
        let length = u32::try_from(refused.len()).unwrap();
        refused[..4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(answer(&refused), Some(-1));
    }

    #[test]
    fn whatever_is_received_is_no_reason_to_fail() {
        for length in 0..64 {
            for byte in [0, 1, 4, 255] {
                let bytes = vec![byte; length];
                assert!(packets(&bytes).len() <= length);
                let _ = answer(&bytes);
            }
        }
    }
}
