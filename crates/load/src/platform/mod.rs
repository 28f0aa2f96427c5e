//! What only Linux has: sockets that are made ready for use in one call, TCP's own settings, a timer with the resolution of
//! the kernel's clock, and the usage of a single thread. Everything else in this crate is the same on every Unix.
//!
//! On other systems the crate compiles, but cannot run a load: there the timer cannot be created.

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
mod system;

pub(crate) use system::{THREAD, Timer, cheap_congestion_control, delay_acknowledgement, stream_socket};
