//! Tests with a real cluster on this machine: it is booted, used, broken and removed, and the machine is compared before
//! and after.
//!
//! They need root. They run one after the other, since the addresses of a lab are fixed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]
#![allow(clippy::print_stderr, reason = "a test that waits minutes for a toolbox should say so")]

mod agents;
mod any_service;
mod api_only;
mod applications;
#[path = "../registry/apt.rs"]
mod apt;
#[path = "../registry/archive.rs"]
mod archive;
mod archives;
mod bad_environment;
mod bad_images;
mod bad_input;
mod bad_machines;
mod begun;
mod boot_failures;
mod charts;
mod compare;
mod debian;
mod dns;
mod envoy;
mod external_ips;
mod external_packets;
mod failed_pods;
mod files;
mod follow_logs;
mod foreign;
mod gateways;
#[path = "../registry/go_program.rs"]
mod go_program;
mod host;
mod image_tree;
mod interruption;
mod lab;
mod link_managers;
mod lock;
mod manifests;
mod nix_store;
mod node_events;
mod nodes;
mod other_state;
mod podinfo;
mod pods_seen;
#[path = "../nix/programs.rs"]
#[allow(dead_code, clippy::expect_used, reason = "the tests of the flake use all of it, and a test may fail by panic")]
mod programs;
mod promises;
mod proxy_modes;
mod pulls;
#[path = "../registry/server.rs"]
mod registry;
mod rolling_update;
mod rounds;
mod security;
mod servers;
mod service_types;
mod slow_pods;
mod stale_state;
mod supervision;
mod traffic_policies;
mod undone;
mod walk;
