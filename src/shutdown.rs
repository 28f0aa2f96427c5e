//! One token that says "stop": the first Ctrl-C (or SIGTERM) cancels it, whoever waits for it undoes what it began.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// A clonable, one-way switch; see [`CancellationToken`].
pub type Shutdown = CancellationToken;

/// A token that SIGINT, SIGTERM or SIGHUP cancels. Call inside a tokio runtime.
///
/// # Errors
/// [`Error::Io`] when the signal handlers cannot be installed.
pub fn on_signal() -> Result<Shutdown, Error> {
    let token = Shutdown::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut stream = signal(kind).map_err(|source| Error::io("listen for signals", source))?;
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
/// [`Error::Interrupted`] when it does; else whatever `work` says.
pub async fn unless<T>(shutdown: &Shutdown, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        () = shutdown.cancelled() => Err(Error::Interrupted),
        result = work => result,
    }
}
