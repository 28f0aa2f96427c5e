//! Stops the program on a signal: the first one cancels a token that every wait looks at, a later one is reported.

use std::future::poll_fn;
use std::io;
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::io_error::IoError;

/// A clonable, one-way switch; see [`CancellationToken`].
pub type Shutdown = CancellationToken;

/// Ctrl-C, or a signal of its kind, ended the work. What the work had begun has been undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// The signals that ask this program to stop.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// A signal that follows sooner is the same request delivered twice: `timeout` sends its signal to the program and to
/// its process group, and a closed terminal sends SIGHUP through the kernel and through the shell.
const SAME_REQUEST: Duration = Duration::from_millis(500);

/// Which request to stop was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopRequest {
    /// The first one; the token is cancelled, and whoever waits for it undoes what it began.
    First,
    /// A later one: the caller does not want to wait for the undo.
    Again,
}

/// A token that SIGINT, SIGTERM or SIGHUP cancels; `report` is called for each request to stop.
///
/// A signal that is ignored when the program starts stays ignored, as `nohup` and a shell's background jobs expect. The
/// signals are received on a thread of their own, so that they are noticed while other threads block.
///
/// # Errors
/// [`IoError`] when the signal handlers cannot be installed.
pub fn on_signal(report: impl FnMut(StopRequest) + Send + 'static) -> Result<Shutdown, IoError> {
    let failed = |source| IoError::new("listen for signals", source);
    let token = Shutdown::new();
    let ignored = ignored_signals(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
    let handled: Vec<Signal> = SIGNALS.into_iter().filter(|signal| !is_ignored(ignored, *signal)).collect();
    let cancelled = token.clone();
    let (ready, installed) = mpsc::channel();
    // The runtime is created and dropped on that thread, because a runtime must not be dropped inside another one.
    let listen = move || {
        let runtime = match Builder::new_current_thread().enable_io().build() {
            Ok(runtime) => runtime,
            Err(source) => return drop(ready.send(Err(source))),
        };
        runtime.block_on(async {
            match streams(&handled) {
                Ok(streams) => {
                    drop(ready.send(Ok(())));
                    listen(streams, &cancelled, report).await;
                }
                Err(source) => drop(ready.send(Err(source))),
            }
        });
    };
    std::thread::Builder::new().name("evenkeel-signals".to_owned()).spawn(listen).map_err(failed)?;
    let ended = |_| io::Error::other("the thread ended early");
    installed.recv().map_err(ended).and_then(|result| result).map_err(failed)?;
    Ok(token)
}

fn streams(signals: &[Signal]) -> io::Result<Vec<SignalStream>> {
    signals.iter().map(|handled| signal(SignalKind::from_raw(*handled as i32))).collect()
}

async fn listen(mut streams: Vec<SignalStream>, token: &Shutdown, mut report: impl FnMut(StopRequest)) {
    let mut first = None;
    loop {
        poll_fn(|context| {
            // All of them are polled, because only a stream that was polled wakes this task.
            let received = streams.iter_mut().filter_map(|stream| stream.poll_recv(context).is_ready().then_some(()));
            if received.count() > 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let now = Instant::now();
        if let Some(request) = classify(first, now) {
            first.get_or_insert(now);
            token.cancel();
            report(request);
        }
    }
}

/// What a signal received at `now` means, after a first one at `first`; nothing when it repeats the first one.
fn classify(first: Option<Instant>, now: Instant) -> Option<StopRequest> {
    match first {
        None => Some(StopRequest::First),
        Some(first) if now.duration_since(first) < SAME_REQUEST => None,
        Some(_) => Some(StopRequest::Again),
    }
}

/// The mask of ignored signals in the text of `/proc/self/status`; bit 0 is signal 1.
fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn is_ignored(mask: u64, signal: Signal) -> bool {
    mask >> (signal as i32 - 1) & 1 == 1
}

/// Waits for `work`, unless `shutdown` comes first.
///
/// # Errors
/// [`Interrupted`] when it does.
pub async fn unless<T>(shutdown: &Shutdown, work: impl Future<Output = T>) -> Result<T, Interrupted> {
    tokio::select! {
        () = shutdown.cancelled() => Err(Interrupted),
        result = work => Ok(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_delivered_twice_is_one_request() {
        let first = Instant::now();
        assert_eq!(classify(None, first), Some(StopRequest::First));
        assert_eq!(classify(Some(first), first + Duration::from_millis(3)), None);
        assert_eq!(classify(Some(first), first + SAME_REQUEST), Some(StopRequest::Again));
    }

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let mask = ignored_signals("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\nSigCgt:\t0000000000000000\n");
        assert!(is_ignored(mask, Signal::SIGHUP) && is_ignored(mask, Signal::SIGINT));
        assert!(!is_ignored(mask, Signal::SIGTERM));
        assert_eq!(ignored_signals(""), 0);
    }
}
