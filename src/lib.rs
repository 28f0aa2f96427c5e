//! Evenkeel: a load-balancing lab on real Kubernetes.
//!
//! The modules stand in the order of the flow, one way:
//! toolbox → image, manifests → cluster → workload → experiment → report → cli.
//! A module uses only those above it, plus [`clock`], [`config`], [`io_error`], [`kubernetes_error`], [`process`],
//! [`progress`], [`shutdown`] and [`write_file`];
//! `tests/architecture.rs` holds that to be true.

// Elsewhere the CLI compiles, to say that a lab needs Linux; much of it is then out of reach.
#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_mut))]

pub mod clock;
pub mod config;

pub mod io_error;
pub mod kubernetes_error;
pub mod process;
pub mod progress;
pub mod shutdown;

pub mod write_file;

pub mod toolbox;

pub mod image;

pub mod cluster;

pub mod workload;

pub mod experiment;

pub mod report;

pub mod cli;
