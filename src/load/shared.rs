//! What all connections of a worker share.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::addresses::Addresses;
use super::plan::Plan;
use super::pool::Pool;
use super::record::Record;
use super::supply::Supply;

/// What one read takes at most.
const BUFFER: usize = 64 * 1024;

/// What a run is for each of its workers.
pub(super) struct Job<'a> {
    pub(super) addresses: &'a Addresses,
    /// Whether each request chooses among the addresses.
    pub(super) balanced: bool,
    pub(super) plan: &'a Plan,
    /// The request's bytes.
    pub(super) request: &'a [u8],
    /// From here on it counts.
    pub(super) start: Instant,
    /// From here on it no longer does.
    pub(super) end: Instant,
    /// How many connections each worker has.
    pub(super) shares: Vec<u32>,
}

pub(super) struct Shared {
    pub(super) registry: Registry,
    /// All there have been since the run began.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) request: Vec<u8>,
    /// Whether answers come without a body, whatever they say: those to HEAD do.
    pub(super) bodiless: bool,
    pub(super) timeout: Duration,
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) record: Record,
    pub(super) supply: Supply,
    pub(super) pool: Pool,
    /// Whether connections are opened before there is a request for them, and held open.
    pub(super) ahead: bool,
    /// After so many answers a connection ends.
    pub(super) answers_per_connection: u32,
    /// Connections that have more to read than their turn allowed.
    pub(super) again: Vec<Token>,
    pub(super) buffer: Vec<u8>,
}

impl Shared {
    /// For worker number `worker`.
    pub(super) fn new(registry: Registry, job: &Job<'_>, worker: usize, record: Record) -> Self {
        let Job { addresses, balanced, plan, request, start, end, shares } = job;
        let wanted = (plan.schedule.as_ref(), plan.requests.map(Into::into));
        let dealt = (worker as u64, shares.len() as u64);
        let addresses = addresses.get().to_vec();
        let pool = if *balanced { Pool::balanced(addresses.len(), shares[worker], worker as u64) } else { Pool::new() };
        Self {
            registry,
            addresses,
            request: request.to_vec(),
            bodiless: plan.request.is_head(),
            timeout: plan.timeout,
            start: *start,
            end: *end,
            record,
            supply: Supply::new(wanted, dealt, *start, plan.warm_up),
            ahead: plan.schedule.is_some() && plan.answers_per_connection.is_none() && !pool.is_balanced(),
            pool,
            answers_per_connection: plan.answers_per_connection.map_or(u32::MAX, Into::into),
            again: Vec::new(),
            buffer: vec![0; BUFFER],
        }
    }
}
