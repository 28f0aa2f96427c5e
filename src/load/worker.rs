//! The hot loop: one thread, one epoll, its share of the connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use nix::sys::resource::{UsageWho, getrusage};

use super::connection::{Connection, Shared};
use super::record::Record;

const WAKE: Token = Token(usize::MAX);
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
    /// Processor time of its thread, the warm-up's not counted.
    pub(super) cpu: Duration,
}

pub(super) struct Worker {
    poll: Poll,
    connections: Vec<Connection>,
    shared: Shared,
    gauge: Arc<Gauge>,
}

impl Worker {
    /// A worker with `count` connections; `shared` makes what they share from the poll's registry.
    pub(super) fn new(
        count: u32,
        gauge: Arc<Gauge>,
        shared: impl FnOnce(mio::Registry) -> Shared,
    ) -> io::Result<(Self, Stopper)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let shared = shared(poll.registry().try_clone()?);
        let now = Instant::now();
        let connections = (0..count as usize).map(|index| Connection::new(Token(index), now)).collect();
        let stopper = Stopper { gauge: Arc::clone(&gauge), waker };
        Ok((Self { poll, connections, shared, gauge }, stopper))
    }

    /// Runs to the end of the run, or until it is stopped.
    pub(super) fn run(mut self) -> io::Result<Outcome> {
        let mut events = Events::with_capacity(self.connections.len().clamp(16, 1024));
        let mut now = Instant::now();
        let mut next = now;
        let mut next_gauge = now + GAUGE;
        let mut warmed_up = None;
        while now < self.shared.end && !self.gauge.stop.load(Ordering::Relaxed) {
            if now >= next {
                next = self.tick(now);
            }
            if warmed_up.is_none() && now >= self.shared.start {
                warmed_up = Some(thread_time());
            }
            if now >= next_gauge {
                self.set_gauge(now);
                next_gauge = now + GAUGE;
            }
            let patience = next.min(self.shared.end).saturating_duration_since(now);
            self.turn(&mut events, patience)?;
            now = Instant::now();
        }
        self.set_gauge(now);
        self.shared.record.in_flight =
            self.connections.iter().filter(|connection| connection.is_in_flight(&self.shared)).count() as u64;
        let cpu = warmed_up.map_or(Duration::ZERO, |before| thread_time().saturating_sub(before));
        Ok(Outcome { record: self.shared.record, ended: now, cpu })
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
                connection.ready(event.is_read_closed(), &mut self.shared);
            }
        }
        for token in unfinished {
            if let Some(connection) = self.connections.get_mut(token.0) {
                connection.resume(&mut self.shared);
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

/// Processor time this thread has used; zero where the kernel does not say.
fn thread_time() -> Duration {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(Duration::ZERO, |usage| {
        let sum = usage.user_time() + usage.system_time();
        Duration::from_micros(u64::try_from(sum.tv_sec() * 1_000_000 + sum.tv_usec()).unwrap_or(0))
    })
}
