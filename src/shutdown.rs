//! One token that says "stop": the first Ctrl-C (or SIGTERM) cancels it, whoever waits for it undoes what it began.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::io_error::IoError;

/// A clonable, one-way switch; see [`CancellationToken`].
pub type Shutdown = CancellationToken;

/// Ctrl-C, or a signal of its kind, ended the work. What the work had begun has been undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// A token that SIGINT, SIGTERM or SIGHUP cancels. Call inside a tokio runtime.
///
/// # Errors
/// [`IoError`] when the signal handlers cannot be installed.
pub fn on_signal() -> Result<Shutdown, IoError> {
    let token = Shutdown::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut stream = signal(kind).map_err(|source| IoError::new("listen for signals", source))?;
        let token = token.clone();
        tokio::spawn(async move {
            if stream.recv().await.is_some() {
                token.cancel();
            }
        });
    }
    Ok(token)
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
