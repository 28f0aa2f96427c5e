//! The server's binary on a port of its own.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::http::Connection;
use crate::process::{Owned, send, wait_until};

/// A server that runs; killed when dropped.
pub(crate) struct Running {
    child: Owned,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Running {
    /// Starts it on a free port with these settings.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        loop {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
            if let Some(running) = Self::start_at(free, settings) {
                return running;
            }
        }
    }

    /// Starts it there, unless someone else was quicker to take the port.
    fn start_at(address: SocketAddr, settings: &[(&str, &str)]) -> Option<Self> {
        let child = Command::new(env!("CARGO_BIN_EXE_evenkeel-server"))
            .env("HOST", address.ip().to_string())
            .env("PORT", address.port().to_string())
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Self { child: Owned(child), address };
        let mut exit = None;
        wait_until("the server listens", || {
            exit = running.child.0.try_wait().unwrap();
            exit.is_some() || TcpStream::connect(address).is_ok()
        });
        match exit {
            None => Some(running),
            Some(status) if status.code() == Some(1) => None,
            Some(status) => panic!("the server ended with {status}"),
        }
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.0.id(), signal);
    }

    /// Waits for its end; returns the exit code and the log, a value a line.
    pub(crate) fn ended(mut self) -> (Option<i32>, Vec<Value>) {
        let mut log = String::new();
        self.child.0.stdout.take().unwrap().read_to_string(&mut log).unwrap();
        let log = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (self.child.0.wait().unwrap().code(), log)
    }
}
