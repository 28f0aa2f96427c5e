//! The load generator against real servers on loopback: every request is counted, also when the server misbehaves.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]

mod cli;
mod compare;
mod counting;
mod faults;
mod flags;
#[path = "../registry/go_program.rs"]
mod go_program;
mod grpc {
    pub(super) mod online;
}
mod http2;
mod mix;
mod protocol;
mod rate;
mod reconnect;
mod requests;
mod server;
mod targets;
mod think_time;
mod tls;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use evenkeel::shutdown::Shutdown;
use evenkeel_load::{self as load, LoadPlan, RunResult, Target};

fn plan(connections: u32, milliseconds: u64) -> LoadPlan {
    LoadPlan::new(NonZeroU32::new(connections).unwrap(), Duration::from_millis(milliseconds))
}

fn endpoint(address: SocketAddr) -> Target {
    Target { address, host: address.to_string(), path: "/".into(), tls: None }
}

/// Runs the plan and waits for its end, with a time limit.
fn run(address: SocketAddr, plan: &LoadPlan) -> RunResult {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let run = async { load::run(&endpoint(address), plan, &Shutdown::new(), |_| {}).await };
        let limit = plan.warm_up + plan.duration + Duration::from_secs(20);
        tokio::time::timeout(limit, run).await.unwrap().unwrap()
    })
}
