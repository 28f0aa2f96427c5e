//! Checks that addresses of pods are reached through the lab's link, once for each address.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::experiment::ExperimentError;
use crate::workload;

/// Refuses addresses that are not reached through the lab's link. A look-up starts a process, so only new addresses are
/// looked up while load runs.
pub(super) struct RouteGuard<'a> {
    link: String,
    ip: &'a Path,
    known: BTreeSet<IpAddr>,
}

impl<'a> RouteGuard<'a> {
    /// No address is known yet. `link` is the lab's link, `ip` the program that prints the routes.
    pub(super) fn new(link: String, ip: &'a Path) -> Self {
        Self { link, ip, known: BTreeSet::new() }
    }

    /// Looks up the new ones of `addresses`.
    ///
    /// # Errors
    /// [`workload::WorkloadError::ForeignTarget`].
    pub(super) async fn check(&mut self, addresses: &[SocketAddr]) -> Result<(), ExperimentError> {
        for address in addresses {
            if !self.known.contains(&address.ip()) {
                workload::guard(*address, &self.link, self.ip).await?;
                self.known.insert(address.ip());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::process::Invocation;

    #[tokio::test]
    async fn each_address_is_looked_up_once() {
        let directory = tempfile::tempdir().unwrap();
        let (ip, calls) = (directory.path().join("ip"), directory.path().join("calls"));
        let script = format!("#!/bin/sh\necho \"$4\" >> {}\necho '[{{\"dev\":\"ek-lab\"}}]'\n", calls.display());
        // Written by another process: a file that this one has open for writing cannot be run.
        let text = directory.path().join("text");
        fs::write(&text, script).unwrap();
        Invocation::new("install", [Path::new("-m755"), &text, &ip]).run().unwrap();
        let addresses = |last: &[u8]| -> Vec<SocketAddr> {
            last.iter().map(|last| SocketAddr::from(([10, 244, 0, *last], 3000))).collect()
        };
        let mut route_guard = RouteGuard::new("ek-lab".into(), &ip);
        for pods in [&[2, 3][..], &[2, 3, 4], &[3, 4], &[2, 3, 4]] {
            route_guard.check(&addresses(pods)).await.unwrap();
        }
        assert_eq!(fs::read_to_string(&calls).unwrap(), "10.244.0.2\n10.244.0.3\n10.244.0.4\n");

        let mut route_guard = RouteGuard::new("ek-other".into(), &ip);
        for _ in 0..2 {
            assert!(route_guard.check(&addresses(&[2])).await.is_err(), "an address that was refused stays refused");
        }
    }
}
