//! The life of an agent: it reads its assignment, waits for the moment to begin, sends its part of the load, and reports.

use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::{micros, wall_us};
use crate::message::{Assignment, Conduct, FromAgent, ToAgent, VERSION};
use evenkeel_load::run_part;

/// How long an agent waits for its assignment, and for the moment to begin.
const PATIENCE: Duration = Duration::from_secs(600);
/// The interval between two reports of the progress.
const LIVE_INTERVAL: Duration = Duration::from_secs(1);
/// How long an agent waits until its result has been read.
const LINGER: Duration = Duration::from_secs(30);

/// The exit code of an agent whose stdin was closed.
pub const ABANDONED: u8 = 3;

/// Why an agent ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its stdin was closed: nobody controls it any more.
    Abandoned,
    /// It was not told what to do, or when.
    Idle,
    /// It was told by the system to end before it began (SIGTERM).
    Terminated,
    /// It failed, and said why.
    Failed,
}

/// Controls an agent with the messages in `input`, and writes its own messages to `output`.
///
/// # Errors
/// Why there is no result.
pub async fn run(input: impl BufRead + Send + 'static, output: impl Write + Send + 'static) -> Result<(), Ended> {
    let (output, clock) = (Output(Arc::new(Mutex::new(output))), Clock::start());
    let mut messages = read(input, output.clone(), clock);
    let agent = async {
        let assignment = loop {
            if let ToAgent::Assignment(assignment) = receive(&mut messages).await? {
                break assignment;
            }
        };
        output.send(&FromAgent::Ready { version: VERSION });
        let begin = loop {
            match receive(&mut messages).await? {
                ToAgent::Begin { at_us } => break at_us,
                ToAgent::Stop | ToAgent::Done => return Err(Ended::Idle),
                ToAgent::Assignment(_) | ToAgent::Ping(_) => {}
            }
        };
        Ok((assignment, begin))
    };
    let (assignment, begin) = tokio::select! {
        begun = timeout(PATIENCE, agent) => begun.unwrap_or(Err(Ended::Idle))?,
        () = terminated() => return Err(Ended::Terminated),
    };
    send_load(&assignment, (begin, clock), &mut messages, &output).await
}

/// Sends the load, and then the result.
async fn send_load(
    assignment: &Assignment,
    (begin_us, clock): (u64, Clock),
    messages: &mut UnboundedReceiver<ToAgent>,
    output: &Output,
) -> Result<(), Ended> {
    let Assignment { target, plan, part, deadline } = assignment;
    let mut conduct = Conduct { late_us: clock.now_us().saturating_sub(begin_us), ..Conduct::default() };
    let begin = clock.0 + Duration::from_micros(begin_us);
    let stop = CancellationToken::new();
    let mut next_report = Instant::now();
    let mut pauses = Pauses { looked: begin.max(next_report), longest: Duration::ZERO };
    let live = |progress| {
        let now = Instant::now();
        pauses.look(now);
        if now >= next_report {
            next_report = now + LIVE_INTERVAL;
            output.send(&FromAgent::Live(progress));
        }
    };
    let mut run = Box::pin(run_part(target, plan, (*part, begin), &stop, live));
    let mut end = std::pin::pin!(sleep(*deadline));
    let mut term = std::pin::pin!(terminated());
    let result = loop {
        tokio::select! {
            result = &mut run => break result,
            message = receive(messages) => match message? {
                ToAgent::Stop | ToAgent::Done => stop.cancel(),
                ToAgent::Assignment(_) | ToAgent::Ping(_) | ToAgent::Begin { .. } => {}
            },
            () = &mut end, if !stop.is_cancelled() => stop.cancel(),
            () = &mut term, if !conduct.terminated => {
                conduct.terminated = true;
                stop.cancel();
            }
        }
    };
    drop(run);
    // What is left to do after the end may take its time.
    pauses.look(Instant::now().min(begin + plan.warm_up + plan.duration));
    conduct.longest_pause_us = micros(pauses.longest);
    match result {
        Ok(result) => {
            output.send(&FromAgent::Result { result: Box::new(result), conduct });
            linger(messages).await;
            Ok(())
        }
        Err(error) => {
            output.send(&FromAgent::Failed { why: error.to_string() });
            linger(messages).await;
            Err(Ended::Failed)
        }
    }
}

/// The times between looks at the progress.
struct Pauses {
    looked: Instant,
    longest: Duration,
}

impl Pauses {
    fn look(&mut self, now: Instant) {
        self.longest = self.longest.max(now.saturating_duration_since(self.looked));
        self.looked = self.looked.max(now);
    }
}

/// Waits until the last message has been read: what a container wrote just before its end may be lost.
async fn linger(messages: &mut UnboundedReceiver<ToAgent>) {
    let done = async { while receive(messages).await.is_ok_and(|message| message != ToAgent::Done) {} };
    let _ = timeout(LINGER, done).await;
}

async fn receive(messages: &mut UnboundedReceiver<ToAgent>) -> Result<ToAgent, Ended> {
    messages.recv().await.ok_or(Ended::Abandoned)
}

/// Waits for SIGTERM. The first process of a container gets no signal that it does not handle.
async fn terminated() {
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// Reads messages on a thread of its own, which also answers pings: so the answer does not wait for the load. The channel
/// is closed when `input` is, and when it is no message.
fn read(input: impl BufRead + Send + 'static, output: Output, clock: Clock) -> UnboundedReceiver<ToAgent> {
    let (sender, receiver) = unbounded_channel();
    thread::spawn(move || {
        for line in input.split(b'\n') {
            let message = line.and_then(|line| serde_json::from_slice(&line).map_err(io::Error::from));
            match message {
                Ok(ToAgent::Ping(number)) => {
                    output.send(&FromAgent::Pong { number, clock_us: clock.now_us(), wall_us: wall_us() });
                }
                Ok(message) => {
                    if sender.send(message).is_err() {
                        return;
                    }
                }
                Err(why) => {
                    output.send(&FromAgent::Failed { why: format!("a message could not be read: {why}") });
                    return;
                }
            }
        }
    });
    receiver
}

/// Where messages are written, one after the other.
#[derive(Clone)]
struct Output(Arc<Mutex<dyn Write + Send>>);

impl Output {
    fn send(&self, message: &FromAgent) {
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // If nobody reads it, stdin is closed as well, and the agent ends.
        let _ = output.write_all(&line).and_then(|()| output.flush());
    }
}

/// The agent's clock, which begins with the agent.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn now_us(self) -> u64 {
        micros(self.0.elapsed())
    }
}
