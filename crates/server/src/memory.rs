//! Returns free memory to the system after a load.
//!
//! Each stream of HTTP/2 that is open takes memory, so 30 connections with 100 streams each take 5 MB. The C library keeps
//! nearly all of it when they have ended: it returns only what is free at the end of the heap, and a few of the blocks that
//! it keeps for reuse lie there.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::Server;

/// The time between two looks at the requests. Without a request in this time, a load is over.
const PERIOD: Duration = Duration::from_secs(2);

/// Returns free memory after each load, without an end. Probes are no load.
pub(super) async fn return_after_load(server: Arc<Server>) {
    let (mut seen, mut loaded) = (0, false);
    loop {
        sleep(PERIOD).await;
        let requests = server.metrics().requests();
        if requests != seen {
            (seen, loaded) = (requests, true);
        } else if std::mem::take(&mut loaded) {
            return_free_memory();
        }
    }
}

/// Returns whole pages that are free, anywhere in the heap. musl does so whenever memory is freed.
fn return_free_memory() {
    #[cfg(target_env = "gnu")]
    #[allow(unsafe_code, reason = "the C library's function takes no pointers, and no crate has a safe one")]
    // SAFETY: it locks what it changes, and moves no memory that is in use.
    let _ = unsafe { nix::libc::malloc_trim(0) };
}
