//! Where one node's files are, below the lab's state directory.

use std::path::PathBuf;

use crate::config::Paths;

use super::node::Node;

/// The files of one node.
#[derive(Clone, Debug)]
pub struct Layout {
    state: PathBuf,
    logs: PathBuf,
    node: String,
}

impl Layout {
    /// The layout of `node` below the lab's state directory.
    #[must_use]
    pub fn new(paths: &Paths, node: &Node) -> Self {
        Self::of_sandbox(paths, &node.name)
    }

    /// The layout of the sandbox of this name: that of a node or of the router.
    #[must_use]
    pub fn of_sandbox(paths: &Paths, name: &str) -> Self {
        Self { state: paths.state.clone(), logs: paths.logs().join(name), node: name.to_owned() }
    }

    /// The lab's whole state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.state.clone()
    }

    /// The node's own directory.
    #[must_use]
    pub fn node(&self) -> PathBuf {
        self.state.join(&self.node)
    }

    /// Certificates and keys, shared by the nodes; only root may read them.
    #[must_use]
    pub fn pki(&self, file: &str) -> PathBuf {
        self.state.join("pki").join(file)
    }

    /// A configuration file of a component; only root may read it, because kubeconfigs name keys.
    #[must_use]
    pub fn conf(&self, file: &str) -> PathBuf {
        self.node().join("conf").join(file)
    }

    /// Links to every program of the toolbox under its own name: the PATH inside the sandbox.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.state.join("bin")
    }

    /// A copy of this program, so that a running lab is independent of a rebuild of the CLI.
    #[must_use]
    pub fn evenkeel(&self) -> PathBuf {
        self.bin().join("evenkeel")
    }

    /// The directories of the volumes on this node.
    #[must_use]
    pub fn volumes(&self) -> PathBuf {
        self.node().join("volumes")
    }

    /// The plan for the sandbox's first process: a [`super::plan::BootPlan`].
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.node().join("plan.json")
    }

    /// The status of the components, written by the supervisor: a list of [`super::plan::ComponentStatus`].
    #[must_use]
    pub fn components(&self) -> PathBuf {
        self.node().join("components.json")
    }

    /// A file that exists when the boot is complete.
    #[must_use]
    pub fn booted(&self) -> PathBuf {
        self.node().join("booted")
    }

    /// The directory of the node's logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.logs.clone()
    }

    /// A component's log.
    #[must_use]
    pub fn log(&self, component: &str) -> PathBuf {
        self.logs.join(format!("{component}.log"))
    }
}
