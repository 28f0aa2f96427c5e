//! A real cluster on this machine: booted, used, broken and removed, with the machine compared before and after.
//!
//! Needs root. One lab at a time: the addresses are fixed, so these tests run one after the other.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]
#![allow(clippy::print_stderr, reason = "a test that waits minutes for a toolbox should say so")]

mod api_only;
mod bad_environment;
mod bad_images;
mod bad_input;
mod bad_machines;
mod begun;
mod boot_failures;
mod compare;
mod external_ips;
mod failed_pods;
mod files;
mod follow_logs;
mod host;
mod interruption;
mod lab;
mod lock;
mod manifests;
mod other_state;
mod pods_seen;
mod promises;
mod proxy_modes;
mod rolling_update;
mod rounds;
mod security;
mod stale_state;
mod supervision;
mod undone;
mod walk;
