//! The hot loop: one thread, one epoll, its share of the connections.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};

use super::addresses::Addresses;
use super::connection::Connection;
use super::descriptors::make_room;
use super::pool::connections_each;
use super::record::Record;
use super::shared::{Job, Shared};
use super::timer::Timer;
use super::usage::ThreadUsage;

const WAKE: Token = Token(usize::MAX);
const TIMER: Token = Token(usize::MAX - 1);
/// How often the gauge is set.
const GAUGE: Duration = Duration::from_millis(250);
/// How often due connections are looked for while some wait for their next try.
const SHORT_TICK: Duration = Duration::from_millis(5);
/// How often at the least, else.
const LONG_TICK: Duration = Duration::from_millis(100);

/// What is shown of a worker while it runs.
#[derive(Default)]
pub(super) struct Gauge {
    /// When it was set, in microseconds of the run.
    pub(super) at: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) faults: AtomicU64,
    pub(super) p99: AtomicU64,
    pub(super) pods: AtomicU64,
    stop: AtomicBool,
}

/// Stops a worker from outside.
pub(super) struct Stopper {
    gauge: Arc<Gauge>,
    waker: Waker,
}

impl Stopper {
    pub(super) fn stop(&self) {
        self.gauge.stop.store(true, Ordering::Relaxed);
        // The worker looks at the flag at its next tick anyway.
        let _ = self.waker.wake();
    }
}

/// What a worker leaves behind.
pub(super) struct Outcome {
    pub(super) record: Record,
    /// When it stopped.
    pub(super) ended: Instant,
    /// What its thread used, the warm-up not counted.
    pub(super) usage: ThreadUsage,
}

pub(super) struct Worker {
    poll: Poll,
    connections: Vec<Connection>,
    shared: Shared,
    addresses: Addresses,
    /// The version of the addresses that the connections are for.
    seen: u64,
    /// How many requests may be under way at a time, and how many workers there are.
    share: u32,
    workers: usize,
    /// Where requests are due by a schedule.
    timer: Option<Timer>,
    gauge: Arc<Gauge>,
}

impl Worker {
    /// Worker number `number` of a job.
    pub(super) fn new(job: &Job<'_>, number: usize, record: Record, gauge: Arc<Gauge>) -> io::Result<(Self, Stopper)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let shared = Shared::new(poll.registry().try_clone()?, job, number, record);
        let timer = shared.supply.is_paced().then(|| Timer::new(poll.registry(), TIMER)).transpose()?;
        let now = Instant::now();
        let (addresses, share, workers) = (job.addresses.clone(), job.shares[number], job.shares.len());
        let stopper = Stopper { gauge: Arc::clone(&gauge), waker };
        let connections = Vec::new();
        let mut worker = Self { poll, connections, shared, addresses, seen: 0, share, workers, timer, gauge };
        worker.connect_to((0..worker.shared.addresses.len()).collect(), now);
        Ok((worker, stopper))
    }

    /// Runs to the end of the run, or until it is stopped.
    pub(super) fn run(mut self) -> io::Result<Outcome> {
        let mut events = Events::with_capacity(self.connections.len().clamp(16, 1024));
        let mut now = Instant::now();
        let mut next = now;
        let mut next_gauge = now + GAUGE;
        let mut warmed_up = None;
        while now < self.shared.end && !self.shared.supply.is_done() && !self.gauge.stop.load(Ordering::Relaxed) {
            if let Some(list) = self.addresses.changed_since(&mut self.seen) {
                self.go_over_to(&list, now);
                next = now;
            }
            if now >= next {
                next = self.tick(now);
            }
            if warmed_up.is_none() && now >= self.shared.start {
                warmed_up = Some(ThreadUsage::so_far());
            }
            if now >= next_gauge {
                self.set_gauge(now);
                next_gauge = now + GAUGE;
            }
            self.hand_out()?;
            let patience = next.min(self.shared.end).saturating_duration_since(now);
            self.turn(&mut events, patience)?;
            now = Instant::now();
        }
        self.set_gauge(now);
        let usage = warmed_up.map_or_else(ThreadUsage::default, |before| ThreadUsage::so_far().since(before));
        self.take_stock(now);
        Ok(Outcome { record: self.shared.record, ended: now, usage })
    }

    /// Sends the next requests to these addresses alone.
    fn go_over_to(&mut self, list: &[SocketAddr], now: Instant) {
        let known = &mut self.shared.addresses;
        let mut in_use: Vec<usize> = Vec::new();
        for address in list {
            let index = known.iter().position(|known| known == address).unwrap_or_else(|| {
                known.push(*address);
                known.len() - 1
            });
            if !in_use.contains(&index) {
                in_use.push(index);
            }
        }
        self.shared.pool.use_only(in_use.clone());
        for connection in &mut self.connections {
            connection.heed_addresses(&mut self.shared);
        }
        self.connect_to(in_use, now);
    }

    /// Has as many connections to each of these addresses as may be needed.
    fn connect_to(&mut self, in_use: Vec<usize>, now: Instant) {
        let each = if self.shared.pool.is_balanced() {
            connections_each(self.share, in_use.len())
        } else {
            self.share as usize
        };
        let Self { connections, shared, .. } = self;
        let mut missing: Vec<(usize, usize)> = in_use.into_iter().map(|address| (address, each)).collect();
        for (address, missing) in &mut missing {
            let there = connections.iter().filter(|connection| connection.address() == *address).count();
            *missing = missing.saturating_sub(there);
        }
        // In turns, so that the first requests are dealt out, too.
        while missing.iter().any(|(_, missing)| *missing > 0) {
            for (address, missing) in missing.iter_mut().filter(|(_, missing)| *missing > 0) {
                connections.push(Connection::new(Token(connections.len()), *address, shared.bodiless, now));
                *missing -= 1;
            }
        }
        // Where that cannot be, a connection that finds no room says so.
        let wanted = u32::try_from(connections.len() * self.workers).ok().and_then(NonZeroU32::new);
        let _ = wanted.map(make_room);
    }

    fn turn(&mut self, events: &mut Events, patience: Duration) -> io::Result<()> {
        let unfinished = std::mem::take(&mut self.shared.again);
        let patience = if unfinished.is_empty() { patience } else { Duration::ZERO };
        match self.poll.poll(events, Some(patience)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &*events {
            if let Some(connection) = self.connections.get_mut(event.token().0) {
                connection.ready(event, &mut self.shared);
            }
        }
        for token in unfinished {
            if let Some(connection) = self.connections.get_mut(token.0) {
                connection.resume(&mut self.shared);
            }
        }
        Ok(())
    }

    /// Gives the requests that are due to connections that are free, and sets the timer for the one after.
    fn hand_out(&mut self) -> io::Result<()> {
        let Self { connections, shared, timer, .. } = self;
        while shared.pool.has_free() {
            let now = Instant::now();
            if !shared.supply.has_due(now) {
                return match (timer, shared.supply.next_due(now)) {
                    (Some(timer), Some(due)) => timer.set(due, now),
                    _ => Ok(()),
                };
            }
            let picked = shared.pool.pick(|index| connections.get_mut(index).is_some_and(Connection::leave_pool));
            let Some(connection) = picked.and_then(|index| connections.get_mut(index)) else { return Ok(()) };
            if let Some(ticket) = shared.supply.take(now) {
                connection.start(ticket, shared, now);
            }
        }
        Ok(())
    }

    /// Does what is due on every connection; says when to look again.
    fn tick(&mut self, now: Instant) -> Instant {
        let mut waiting = false;
        for connection in &mut self.connections {
            connection.tick(&mut self.shared, now);
            waiting |= connection.is_waiting();
        }
        let longest = (self.shared.timeout / 20).clamp(SHORT_TICK, LONG_TICK);
        now + if waiting { SHORT_TICK } else { longest }
    }

    /// Writes down what is left at the end.
    fn take_stock(&mut self, now: Instant) {
        let Self { connections, shared, .. } = self;
        let count = |of: fn(&Connection) -> bool| connections.iter().filter(|connection| of(connection)).count() as u64;
        shared.record.in_flight = count(Connection::is_in_flight);
        shared.record.opened += count(Connection::is_unused);
        let untaken = shared.supply.untaken(now.min(shared.end));
        if let Some(paced) = &mut shared.record.paced {
            paced.unsent = untaken + count(Connection::holds_unsent);
        }
    }

    fn set_gauge(&self, now: Instant) {
        let record = &self.shared.record;
        let at = now.saturating_duration_since(self.shared.start).as_micros();
        self.gauge.at.store(u64::try_from(at).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.gauge.requests.store(record.answered, Ordering::Relaxed);
        self.gauge.faults.store(record.faults(), Ordering::Relaxed);
        self.gauge.p99.store(record.latency.quantile(0.99), Ordering::Relaxed);
        self.gauge.pods.store(record.pods_hit() as u64, Ordering::Relaxed);
    }
}
