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
        // If the link has been removed, its routes have been removed with it.
        for range in self.ranges.iter().filter(|_| network::device_exists(&self.link)) {
            if let Err(error) = Invocation::new(&self.ip, ["route", "delete", range, "dev", &self.link]).run() {
                self.progress.note(format!(
                    "the route to {range} could not be removed; it will be removed with the lab: {error}"
                ));
            }
        }
    }
}
