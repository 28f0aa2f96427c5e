//! Tests with a real cluster on this machine: it is booted, used, broken and removed, and the machine is compared before
//! and after.
//!
//! They need root. They run one after the other, since the addresses of a lab are fixed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]
#![allow(clippy::print_stderr, reason = "a test that waits minutes for a toolbox should say so")]

mod api_only;
mod archives;
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
mod nix_store;
mod other_state;
mod pods_seen;
mod promises;
mod proxy_modes;
#[path = "../registry/server.rs"]
mod registry;
mod rolling_update;
mod rounds;
mod security;
mod stale_state;
mod supervision;
mod undone;
mod walk;
