//! Evenkeel: a load-balancing lab on real Kubernetes.
//!
//! The modules stand in the order of the flow, one way:
//! toolbox → image, manifests → cluster → workload → load → measure → report.
//! A module uses only those above it, plus [`config`], [`error`], [`progress`] and [`shutdown`];
//! `tests/architecture.rs` holds that to be true.

// Elsewhere the CLI compiles, to say that a lab needs Linux; much of it is then out of reach.
#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_mut))]

#[cfg(feature = "server")]
pub mod server;

#[cfg(feature = "cli")]
pub mod config;
#[cfg(feature = "cli")]
pub mod error;
#[cfg(feature = "cli")]
pub mod progress;
#[cfg(feature = "cli")]
pub mod shutdown;

#[cfg(feature = "cli")]
pub mod process;

#[cfg(feature = "cli")]
pub mod toolbox;

#[cfg(feature = "cli")]
pub mod image;

#[cfg(feature = "cli")]
pub mod cluster;

#[cfg(feature = "cli")]
pub mod workload;

#[cfg(feature = "cli")]
pub mod load;

#[cfg(feature = "cli")]
pub mod measure;

#[cfg(feature = "cli")]
pub mod measured;

#[cfg(feature = "cli")]
pub mod report;

#[cfg(feature = "cli")]
pub mod cli;
