//! Routes from the host to the pods, for the time of a run that needs them. Otherwise the pods' addresses exist only inside
//! the sandboxes.

use std::path::{Path, PathBuf};

use crate::cluster::ClusterError;
use crate::process::Invocation;
use crate::progress::Progress;

use super::network;
use super::node::Cluster;

/// Routes to the pods of every node, through the lab's link. They are removed when this value is dropped. If the program is
/// killed before, they are removed together with the link.
pub struct PodRoutes {
    ip: PathBuf,
    link: String,
    ranges: Vec<String>,
    progress: Progress,
}

impl PodRoutes {
    /// Adds the routes.
    ///
    /// # Errors
    /// [`ClusterError::Taken`] when something else on the host uses the pods' addresses, [`ClusterError::Program`].
    pub fn add(cluster: &Cluster, ip: &Path, progress: &Progress) -> Result<Self, ClusterError> {
        let link = cluster.name.link();
        let nodes = || cluster.nodes.iter().map(|running| &running.node);
        nodes().try_for_each(|node| network::check_free_of_others(ip, &node.pod_cidr, &link))?;
        let ranges = nodes().map(|node| node.pod_cidr.clone()).collect();
        // From here on, the routes that were added are removed when this value is dropped.
        let routes = Self { ip: ip.to_owned(), link, ranges, progress: progress.clone() };
        for node in nodes() {
            let via = node.address.to_string();
            let arguments = ["route", "replace", &node.pod_cidr, "via", &via, "dev", &routes.link];
            Invocation::new(ip, arguments).run()?;
        }
        Ok(routes)
    }
}

impl Drop for PodRoutes {
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
