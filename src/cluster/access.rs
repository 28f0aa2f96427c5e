//! How a verb reaches a cluster: through its API server and, where the nodes run on this machine, through their kernels.

use kube::Client;

use super::find::find;
use super::node::{Cluster, RunningNode};
use crate::cluster::ClusterError;
use crate::toolbox::Toolbox;

/// A Kubernetes client and, optionally, the nodes' data plane. A lab has both; of any other cluster, only the API server
/// can be reached.
#[derive(Clone)]
pub struct Access {
    /// A client for the API server, with an administrator's rights.
    pub client: Client,
    data_plane: Option<DataPlane>,
}

/// Nodes that run on this machine. Their cgroups and processes are read without any program; their kube-proxy rules and
/// their connection tracking are read with programs of the toolbox.
#[derive(Clone, Debug)]
struct DataPlane {
    cluster: Cluster,
    toolbox: Option<Toolbox>,
}

impl Access {
    /// Access to a lab: its API server and its nodes. Without a toolbox, rules and connection tracking cannot be read.
    #[must_use]
    pub fn to_lab(cluster: Cluster, client: Client, toolbox: Option<Toolbox>) -> Self {
        Self { client, data_plane: Some(DataPlane { cluster, toolbox }) }
    }

    /// Access to the API server alone.
    #[must_use]
    pub fn to_api_server(client: Client) -> Self {
        Self { client, data_plane: None }
    }

    /// The nodes with their cgroups and processes, for optional information. `None` if they cannot be reached.
    #[must_use]
    pub fn lab(&self) -> Option<&Cluster> {
        self.data_plane.as_ref().map(|data_plane| &data_plane.cluster)
    }

    /// The nodes with their cgroups and processes, for something that cannot be done without them. `what` is the subject
    /// of the error's sentence.
    ///
    /// # Errors
    /// [`ClusterError::NoDataPlane`] when only the API server can be reached.
    pub fn require_lab(&self, what: &str) -> Result<&Cluster, ClusterError> {
        self.lab().ok_or_else(|| ClusterError::NoDataPlane { what: what.to_owned() })
    }

    /// The nodes that run now, and the programs that read their rules and connection tracking, for optional information.
    #[must_use]
    pub fn kernels(&self) -> Option<(Vec<RunningNode>, &Toolbox)> {
        let (cluster, toolbox) = self.lab_now()?;
        Some((cluster.nodes, toolbox))
    }

    /// The lab with its nodes and router as they run now, and the programs that read their kernels.
    #[must_use]
    pub fn lab_now(&self) -> Option<(Cluster, &Toolbox)> {
        let data_plane = self.data_plane.as_ref()?;
        let toolbox = data_plane.toolbox.as_ref()?;
        // Nodes may have been added, removed, killed or restarted since the verb began.
        let known = &data_plane.cluster;
        Some((find(&known.name, &known.paths).unwrap_or_else(|_| known.clone()), toolbox))
    }

    /// As [`Access::lab_now`], for something that cannot be done without.
    ///
    /// # Errors
    /// [`ClusterError::NoDataPlane`] when only the API server can be reached, or the programs are missing.
    pub fn require_lab_now(&self, what: &str) -> Result<(Cluster, &Toolbox), ClusterError> {
        self.lab_now().ok_or_else(|| ClusterError::NoDataPlane { what: what.to_owned() })
    }

    /// As [`Access::kernels`], for something that cannot be done without them.
    ///
    /// # Errors
    /// [`ClusterError::NoDataPlane`] when only the API server can be reached, or the programs are missing.
    pub fn require_kernels(&self, what: &str) -> Result<(Vec<RunningNode>, &Toolbox), ClusterError> {
        let (cluster, toolbox) = self.require_lab_now(what)?;
        Ok((cluster.nodes, toolbox))
    }
}
