//! Routes from the host to pods or to a cluster IP, for the time in which load is sent to them. Otherwise these addresses
//! exist only inside the sandboxes.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::cluster::ClusterError;
use crate::config::SERVICE_CIDR;
use crate::process::Invocation;
use crate::progress::Progress;

use super::network;
use super::node::Cluster;

/// Routes through the lab's link. They are removed when this value is dropped. If the program is killed before, they are
/// removed together with the link.
pub struct TemporaryRoutes {
    ip: PathBuf,
    link: String,
    ranges: Vec<String>,
    progress: Progress,
}

impl TemporaryRoutes {
    /// Adds a route to the pods of each node.
    ///
    /// # Errors
    /// [`ClusterError::Taken`] when something else on the host uses the pods' addresses, [`ClusterError::Program`].
    pub fn to_pods(cluster: &Cluster, ip: &Path, progress: &Progress) -> Result<Self, ClusterError> {
        let link = cluster.name.link();
        let nodes = || cluster.nodes.iter().map(|running| &running.node);
        nodes().try_for_each(|node| network::check_free_of_others(ip, &node.pod_cidr, &link))?;
        let routes: Vec<_> = nodes().map(|node| (node.pod_cidr.clone(), node.address.to_string())).collect();
        Self::add(link, &routes, ip, progress)
    }

    /// Adds a route to one cluster IP, by way of the first node. kube-proxy there balances between all pods, as it does for
    /// a pod that connects to the cluster IP.
    ///
    /// # Errors
    /// [`ClusterError::Taken`] when something else on the host uses addresses of Services, [`ClusterError::Program`].
    pub fn to_cluster_ip(
        cluster: &Cluster,
        cluster_ip: IpAddr,
        ip: &Path,
        progress: &Progress,
    ) -> Result<Self, ClusterError> {
        let link = cluster.name.link();
        network::check_free_of_others(ip, SERVICE_CIDR, &link)?;
        let via = cluster.first().node.address.to_string();
        Self::add(link, &[(format!("{cluster_ip}/32"), via)], ip, progress)
    }

    /// Adds routes to ranges, each by way of an address.
    fn add(link: String, routes: &[(String, String)], ip: &Path, progress: &Progress) -> Result<Self, ClusterError> {
        let ranges = routes.iter().map(|(range, _)| range.clone()).collect();
        // From here on, the routes that were added are removed when this value is dropped.
        let added = Self { ip: ip.to_owned(), link, ranges, progress: progress.clone() };
        for (range, via) in routes {
            let arguments = ["route", "replace", range, "via", via, "dev", &added.link];
            Invocation::new(ip, arguments).run()?;
        }
        Ok(added)
    }
}

impl Drop for TemporaryRoutes {
    fn drop(&mut self) {
        // If the link has been removed, its routes have been removed with it. A route may also not have been added.
        let is_left = |range: &&String| {
            network::device_exists(&self.link) && network::has_route(&self.ip, range, &self.link).unwrap_or(true)
        };
        for range in self.ranges.iter().filter(is_left) {
            if let Err(error) = Invocation::new(&self.ip, ["route", "delete", range, "dev", &self.link]).run() {
                self.progress.note(format!(
                    "the route to {range} could not be removed; it will be removed with the lab: {error}"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Adds a route with a program in the place of `ip`, which adds it if `works`, and returns how the program was called.
    fn calls(works: bool) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let (ip, log) = (directory.path().join("ip"), directory.path().join("calls"));
        let (code, list) = if works { (0, r#"[{"dst":"10.96.7.9","dev":"lo"}]"#) } else { (2, "[]") };
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> {}\ncase \"$*\" in *replace*) exit {code};; *show*) echo '{list}';; esac\n",
            log.display()
        );
        // Written by another process: a file that this one has open for writing cannot be run.
        let text = directory.path().join("text");
        fs::write(&text, script).unwrap();
        Invocation::new("install", [Path::new("-m755"), &text, &ip]).run().unwrap();
        let routes = [("10.96.7.9/32".to_owned(), "198.18.0.2".to_owned())];
        let added = TemporaryRoutes::add("lo".into(), &routes, &ip, &Progress::silent());
        assert_eq!(added.is_ok(), works);
        drop(added);
        fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_route_that_was_added_is_removed_again() {
        let (add, look) =
            ("route replace 10.96.7.9/32 via 198.18.0.2 dev lo", "-json -4 route show exact 10.96.7.9/32 dev lo");
        assert_eq!(calls(true), [add, look, "route delete 10.96.7.9/32 dev lo"]);
        assert_eq!(calls(false), [add, look], "a route that could not be added need not be removed");
    }
}
