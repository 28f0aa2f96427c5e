//! Connections from, and sockets in, the lab's network namespaces.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::host::{lab_processes, lab_processes_named};
use crate::lab::NAME;

/// The node's address on the lab's link.
pub(super) const NODE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// The address of the cluster's DNS server, which only the node and its pods reach.
pub(super) const DNS: Ipv4Addr = Ipv4Addr::new(10, 244, 3, 254);
/// The machine's address on the lab's link.
pub(crate) const MACHINE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// The sandbox, identified by the host's id of its first process.
#[derive(Clone, Copy)]
pub(super) struct Sandbox(i32);

impl Sandbox {
    pub(super) fn find() -> Self {
        let first = |pid: &i32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("NSpid:") && line.split_whitespace().last() == Some("1"))
        };
        Self(lab_processes_named("evenkeel").into_iter().find(first).unwrap())
    }

    /// The path on the host of a file in the sandbox.
    pub(super) fn path(self, inside: &str) -> String {
        format!("/proc/{}/root{inside}", self.0)
    }

    /// Calls `act` in the sandbox's network namespace.
    pub(super) fn enter<T: Send + 'static>(self, act: impl FnOnce() -> T + Send + 'static) -> T {
        in_network_of(self.0, act)
    }

    /// The open sockets of a protocol (a name in `/proc/PID/net`).
    pub(super) fn sockets(self, protocol: &str) -> Vec<Socket> {
        sockets(&self.0.to_string(), protocol)
    }
}

/// Calls `act` in the network namespace of a process, in its own thread.
pub(crate) fn in_network_of<T: Send + 'static>(pid: i32, act: impl FnOnce() -> T + Send + 'static) -> T {
    let enter = move || {
        setns(File::open(format!("/proc/{pid}/ns/net")).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
        act()
    };
    thread::spawn(enter).join().unwrap()
}

/// Connects to an address. The timeout of half a second is much longer than a connection within a machine takes.
pub(crate) fn connect(address: Ipv4Addr, port: u16) -> io::Result<()> {
    TcpStream::connect_timeout(&(address, port).into(), Duration::from_millis(500)).map(drop)
}

/// Connects to an address through the lab's link, also without a route to it.
pub(super) fn connect_by_link(address: Ipv4Addr, port: u16) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind_device(Some(format!("ek-{NAME}").as_bytes()))?;
        let connected = tokio::time::timeout(Duration::from_millis(500), socket.connect((address, port).into())).await;
        connected.map_err(io::Error::from)?.map(drop)
    })
}

/// A socket as the kernel lists it.
#[derive(Debug)]
pub(super) struct Socket {
    /// The local address. An IPv6 address is as in the kernel's table.
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) inode: u64,
    pub(super) listens: bool,
}

/// The sockets in the network namespace of a process (`self` for that of the test).
pub(super) fn sockets(process: &str, protocol: &str) -> Vec<Socket> {
    // A kernel without IPv6 has no file for its sockets.
    let text = fs::read_to_string(format!("/proc/{process}/net/{protocol}")).unwrap_or_default();
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields[1].rsplit_once(':').unwrap();
        let v4 = |hex| Ipv4Addr::from(u32::from_str_radix(hex, 16).unwrap().to_le_bytes()).to_string();
        Socket {
            address: if address.len() == 8 { v4(address) } else { address.to_owned() },
            port: u16::from_str_radix(port, 16).unwrap(),
            inode: fields[9].parse().unwrap(),
            listens: fields[3] == "0A",
        }
    };
    text.lines().skip(1).map(socket).collect()
}

/// The sockets of the lab's processes: the inode, and the name of the process.
pub(super) fn owned_sockets() -> Vec<(u64, String)> {
    let mut owned = Vec::new();
    for (pid, name) in lab_processes() {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let link = fs::read_link(entry.path()).unwrap_or_default().display().to_string();
            let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            owned.extend(inode.and_then(|inode| inode.parse().ok()).map(|inode| (inode, name.clone())));
        }
    }
    owned
}
