//! The loop of one thread, which waits in one epoll and does everything for its share of the connections.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};

use super::addresses::Addresses;
use super::client_connection::ClientConnection;
use super::descriptors::ensure_descriptors;
use super::gauge::{Gauge, Stopper};
use super::pod_watch::PodWatches;
use super::pool::connections_each;
use super::record::Record;
use super::shared::{Job, Shared};
use super::usage::ThreadUsage;
use crate::platform::Timer;

const WAKE: Token = Token(usize::MAX);
const TIMER: Token = Token(usize::MAX - 1);
/// The interval at which the gauge is set.
const GAUGE_INTERVAL: Duration = Duration::from_millis(250);
/// The interval at which connections are checked while some of them wait for their next attempt.
const SHORT_TICK: Duration = Duration::from_millis(5);
/// The longest interval at which connections are checked otherwise.
const LONG_TICK: Duration = Duration::from_millis(100);

/// What a worker measured.
pub(super) struct WorkerResult {
    pub(super) record: Record,
    /// When the worker stopped.
    pub(super) ended: Instant,
    /// What its thread used, without the warm-up.
    pub(super) usage: ThreadUsage,
}

/// A worker whose connections speak one protocol.
pub(super) struct Worker<C> {
    poll: Poll,
    connections: Vec<C>,
    shared: Shared,
    addresses: Addresses,
    /// The version of the addresses that the connections are for.
    addresses_version: u64,
    watches: PodWatches,
    watches_version: u64,
    /// How many requests may be in flight, and how many workers there are.
    share: u32,
    workers: usize,
    /// Wakes the worker when the next request is due, or a pause ends; only with a schedule or a think time.
    timer: Option<Timer>,
    gauge: Arc<Gauge>,
}

impl<C: ClientConnection> Worker<C> {
    /// Creates worker `number` of a job.
    pub(super) fn new(job: &Job<'_>, number: usize, record: Record, gauge: Arc<Gauge>) -> io::Result<(Self, Stopper)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let shared = Shared::new(poll.registry().try_clone()?, job, number, record);
        let timer = (shared.source.is_paced() || shared.thinkers.exist())
            .then(|| Timer::new(poll.registry(), TIMER))
            .transpose()?;
        let now = Instant::now();
        let (addresses, watches) = (job.addresses.clone(), job.watches.clone());
        let (share, workers) = (job.shares[number], job.shares.len());
        let stopper = Stopper::new(Arc::clone(&gauge), waker);
        let connections = Vec::new();
        let mut worker = Self {
            poll,
            connections,
            shared,
            addresses,
            addresses_version: 0,
            watches,
            watches_version: 0,
            share,
            workers,
            timer,
            gauge,
        };
        worker.connect_to((0..worker.shared.addresses.len()).collect(), now);
        Ok((worker, stopper))
    }

    /// Sends load until the run ends or is stopped.
    pub(super) fn run(mut self) -> io::Result<WorkerResult> {
        let mut events = Events::with_capacity(self.connections.len().clamp(16, 1024));
        let mut now = Instant::now();
        let mut next = now;
        let mut next_gauge = now + GAUGE_INTERVAL;
        let mut warmed_up = None;
        while now < self.shared.end && !self.shared.source.is_done() && !self.gauge.is_stopped() {
            if let Some(list) = self.addresses.changed_since(&mut self.addresses_version) {
                self.use_addresses(&list, now);
                next = now;
            }
            self.read_watches();
            if now >= next {
                next = self.tick(now);
            }
            if warmed_up.is_none() && now >= self.shared.start {
                warmed_up = Some(ThreadUsage::so_far());
            }
            if now >= next_gauge {
                self.set_gauge(now);
                next_gauge = now + GAUGE_INTERVAL;
            }
            self.end_pauses()?;
            self.send_due()?;
            self.flush();
            let timeout = next.min(self.shared.end).saturating_duration_since(now);
            self.poll(&mut events, timeout)?;
            now = Instant::now();
        }
        // Also those that ended together with the run.
        self.read_watches();
        self.set_gauge(now);
        let usage = warmed_up.map_or_else(ThreadUsage::default, |before| ThreadUsage::so_far().since(before));
        self.record_unfinished(now);
        Ok(WorkerResult { record: self.shared.record, ended: now, usage })
    }

    /// Begins and ends the watches of pods.
    #[inline]
    fn read_watches(&mut self) {
        if let Some(list) = self.watches.changed_since(&mut self.watches_version) {
            self.shared.record.watch(&list, self.shared.start);
        }
    }

    /// Sends the next requests only to these addresses.
    fn use_addresses(&mut self, list: &[SocketAddr], now: Instant) {
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
            connection.addresses_changed(&mut self.shared);
        }
        self.connect_to(in_use, now);
    }

    /// Adds connections, so that there are enough to each of these addresses.
    fn connect_to(&mut self, in_use: Vec<usize>, now: Instant) {
        let each = match self.shared.pool.balance() {
            Some(balance) => connections_each(self.share, in_use.len(), balance),
            None => self.share as usize,
        };
        let Self { connections, shared, .. } = self;
        let mut missing: Vec<(usize, usize)> = in_use.into_iter().map(|address| (address, each)).collect();
        for (address, missing) in &mut missing {
            let existing = connections.iter().filter(|connection| connection.address() == *address).count();
            *missing = missing.saturating_sub(existing);
        }
        // In turn, so that the first requests are distributed, too.
        while missing.iter().any(|(_, missing)| *missing > 0) {
            for (address, missing) in missing.iter_mut().filter(|(_, missing)| *missing > 0) {
                connections.push(C::new(Token(connections.len()), *address, shared, now));
                *missing -= 1;
            }
        }
        // Where this fails, the connections that get no descriptor count as faults.
        let wanted = u32::try_from(connections.len() * self.workers).ok().and_then(NonZeroU32::new);
        let _ = wanted.map(ensure_descriptors);
    }

    /// Waits for events, at most `timeout`, and handles them.
    fn poll(&mut self, events: &mut Events, timeout: Duration) -> io::Result<()> {
        let unfinished = std::mem::take(&mut self.shared.unfinished);
        let timeout = if unfinished.is_empty() { timeout } else { Duration::ZERO };
        match self.poll.poll(events, Some(timeout)) {
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

    /// Ends the pauses that are over, and sets the timer for the next one.
    fn end_pauses(&mut self) -> io::Result<()> {
        let Self { connections, shared, timer, .. } = self;
        if !shared.thinkers.exist() {
            return Ok(());
        }
        let now = Instant::now();
        while let Some(token) = shared.thinkers.ended(now) {
            if shared.pool.is_balanced() {
                shared.pool.thought();
            } else if let Some(connection) = connections.get_mut(token.0) {
                connection.thought(shared, now);
            }
        }
        match (timer, shared.thinkers.next()) {
            (Some(timer), Some(next)) => timer.set(next, now),
            _ => Ok(()),
        }
    }

    /// Sends the requests that are due over idle connections, and sets the timer for the next one.
    fn send_due(&mut self) -> io::Result<()> {
        let Self { connections, shared, timer, .. } = self;
        while shared.pool.has_idle() {
            let now = Instant::now();
            if !shared.source.has_due(now) {
                return match (timer, shared.source.next_due(now)) {
                    (Some(timer), Some(due)) => timer.set(due, now),
                    _ => Ok(()),
                };
            }
            let picked = shared.pool.pick(|index| connections.get_mut(index).is_some_and(C::leave_pool));
            let Some(connection) = picked.and_then(|index| connections.get_mut(index)) else { return Ok(()) };
            if let Some(request) = shared.source.take(now) {
                connection.start(request, shared, now);
            }
        }
        Ok(())
    }

    /// Writes the requests that were begun and not written.
    fn flush(&mut self) {
        let Self { connections, shared, .. } = self;
        while let Some(token) = shared.unflushed.pop() {
            if let Some(connection) = connections.get_mut(token.0) {
                connection.flush(shared);
            }
        }
    }

    /// Checks all connections; returns when to check them again.
    fn tick(&mut self, now: Instant) -> Instant {
        let mut waiting = false;
        for connection in &mut self.connections {
            connection.tick(&mut self.shared, now);
            waiting |= connection.is_waiting();
        }
        let longest = (self.shared.timeout / 20).clamp(SHORT_TICK, LONG_TICK);
        now + if waiting { SHORT_TICK } else { longest }
    }

    /// Records what is unfinished at the end.
    fn record_unfinished(&mut self, now: Instant) {
        let Self { connections, shared, .. } = self;
        shared.record.in_flight = connections.iter().map(C::in_flight).sum();
        shared.record.opened += connections.iter().filter(|connection| connection.is_unused()).count() as u64;
        let overdue = shared.source.overdue(now.min(shared.end));
        if let Some(paced) = &mut shared.record.paced {
            paced.unsent = overdue + connections.iter().map(C::unsent).sum::<u64>();
        }
    }

    fn set_gauge(&self, now: Instant) {
        let at = now.saturating_duration_since(self.shared.start).as_micros();
        self.gauge.set(u64::try_from(at).unwrap_or(u64::MAX), &self.shared.record);
    }
}
