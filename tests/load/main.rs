//! The load generator against real servers on loopback: every request is accounted for, whatever they do to it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]

mod cli;
mod compare;
mod counting;
mod faults;
mod flags;
mod rate;
mod reconnect;
mod requests;
mod server;
mod targets;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use evenkeel::load::{self, Plan, RunResult};
use evenkeel::shutdown::Shutdown;
use evenkeel::workload::Endpoint;

fn plan(connections: u32, milliseconds: u64) -> Plan {
    Plan::new(NonZeroU32::new(connections).unwrap(), Duration::from_millis(milliseconds))
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint { address, host: address.to_string(), path: "/".into() }
}

/// Runs to the end, which must come.
fn run(address: SocketAddr, plan: &Plan) -> RunResult {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let run = async { load::run(&endpoint(address), plan, &Shutdown::new(), |_| {}).await };
        let limit = plan.warm_up + plan.duration + Duration::from_secs(20);
        tokio::time::timeout(limit, run).await.unwrap().unwrap()
    })
}
