//! Evenkeel: a load-balancing lab on real Kubernetes.
//!
//! Data flows in one direction through the modules: [`toolbox`] and [`image`], [`cluster`], [`workload`], [`experiment`],
//! [`report`], [`cli`]. A module uses only modules before it, the crates `evenkeel-load` and `evenkeel-measure`, and the
//! common modules, which every module may use: [`clock`], [`config`], [`io_error`], [`kubernetes_error`], [`platform`],
//! [`process`], [`progress`], [`shutdown`], [`version`] and [`write_file`]. `tests/architecture.rs` checks this.

pub mod clock;
pub mod config;
pub mod io_error;
pub mod kubernetes_error;
pub mod platform;
pub mod process;
pub mod progress;
pub mod shutdown;
pub mod version;
pub mod write_file;

pub mod cli;
pub mod cluster;
pub mod experiment;
pub mod image;
pub mod report;
pub mod toolbox;
pub mod workload;
