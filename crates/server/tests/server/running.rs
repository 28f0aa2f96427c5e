//! Starts the server's binary on its own loopback address.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::http::Connection;
use crate::process::{Owned, send, wait_until};

/// A running server. It is killed when the value is dropped.
pub(crate) struct Running {
    child: Owned,
    /// The address that the server listens on.
    pub(crate) address: SocketAddr,
}

impl Running {
    /// Starts the server with these environment variables on a free address.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let address = own_address();
        let child = Command::new(env!("CARGO_BIN_EXE_evenkeel-server"))
            .env("HOST", address.ip().to_string())
            .env("PORT", address.port().to_string())
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Self { child: Owned(child), address };
        wait_until("the server listens", || {
            let exit = running.child.0.try_wait().unwrap();
            assert!(exit.is_none(), "the server ended with {exit:?}");
            TcpStream::connect(address).is_ok()
        });
        running
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.0.id(), signal);
    }

    /// The memory that the process shares with no other one.
    pub(crate) fn private_kilobytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().split(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until the server has ended. Returns the exit code and the lines of the log.
    pub(crate) fn ended(mut self) -> (Option<i32>, Vec<Value>) {
        let mut log = String::new();
        self.child.0.stdout.take().unwrap().read_to_string(&mut log).unwrap();
        let log = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (self.child.0.wait().unwrap().code(), log)
    }
}

/// A loopback address that no other server uses, with a free port. On 127.0.0.1 another program could take the port before
/// the server binds it, and the test would talk to that program.
fn own_address() -> SocketAddr {
    static SERVERS: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, high, low, SERVERS.fetch_add(1, Ordering::Relaxed));
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}
