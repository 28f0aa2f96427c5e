//! The load generator over HTTP/2, against a server of others and against servers that misbehave.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]

mod counting;
mod hostile;
mod mix;
mod server;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use evenkeel_load::{LoadPlan, Protocol, RunResult, Target};
use tokio_util::sync::CancellationToken;

/// A plan of so many connections with so many streams each.
fn plan(connections: u32, streams: u32, milliseconds: u64) -> LoadPlan {
    let streams = NonZeroU32::new(streams).unwrap();
    let connections = NonZeroU32::new(connections).unwrap();
    LoadPlan {
        protocol: Protocol::Http2 { streams },
        ..LoadPlan::new(connections, Duration::from_millis(milliseconds))
    }
}

/// Runs the plan and waits for its end, with a time limit.
fn run(address: SocketAddr, plan: &LoadPlan) -> RunResult {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let target = Target { address, host: address.to_string(), path: "/".into(), tls: None };
    runtime.block_on(async {
        let run = async { evenkeel_load::run(&target, plan, &CancellationToken::new(), |_| {}).await };
        tokio::time::timeout(plan.warm_up + plan.duration + Duration::from_secs(20), run).await.unwrap().unwrap()
    })
}
