//! The programs a cluster needs, and where each of them comes from.

use std::fmt;

use serde::{Serialize, Serializer};

use super::module::Module;

/// Where a program comes from when it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built with Go from a pinned module.
    Built(Module),
    /// Brought by the distribution's package manager.
    Packaged(Package),
}

/// What a distribution is asked for; every package manager has its own name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Package {
    /// nft.
    Nftables,
    /// iptables, its IPv6 twin, and their save and restore.
    Iptables,
    /// ip.
    Iproute,
    /// conntrack.
    Conntrack,
    /// nsenter.
    UtilLinux,
    /// mount and umount.
    Mount,
    /// A C compiler with the C library's headers; only to build runc.
    Compiler,
    /// libseccomp's headers; only to build runc.
    Libseccomp,
    /// pkg-config; only to build runc.
    PkgConfig,
}

macro_rules! programs {
    ($($variant:ident, $name:literal, $source:expr, $doc:literal;)*) => {
        /// A program the lab runs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Program {
            $(#[doc = $doc] $variant,)*
        }

        impl Program {
            /// Every program there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name of its file.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Where it comes from when it is missing.
            #[must_use]
            pub fn source(self) -> Source {
                match self {
                    $(Self::$variant => $source,)*
                }
            }
        }
    };
}

programs! {
    Etcd, "etcd", Source::Built(Module::Kubernetes), "etcd, the API server's store.";
    KubeApiserver, "kube-apiserver", Source::Built(Module::Kubernetes), "kube-apiserver.";
    KubeControllerManager, "kube-controller-manager", Source::Built(Module::Kubernetes), "kube-controller-manager.";
    KubeScheduler, "kube-scheduler", Source::Built(Module::Kubernetes), "kube-scheduler.";
    Kubelet, "kubelet", Source::Built(Module::Kubernetes), "kubelet.";
    KubeProxy, "kube-proxy", Source::Built(Module::Kubernetes), "kube-proxy.";
    Kubectl, "kubectl", Source::Built(Module::Kubernetes), "kubectl, for whoever uses the lab; no lab needs it.";
    Containerd, "containerd", Source::Built(Module::Containerd), "containerd.";
    ContainerdShim, "containerd-shim-runc-v2", Source::Built(Module::Containerd), "containerd's shim for runc.";
    Ctr, "ctr", Source::Built(Module::Containerd), "ctr, which imports images.";
    Runc, "runc", Source::Built(Module::Runc), "runc, with seccomp.";
    CniPtp, "ptp", Source::Built(Module::Cni), "The CNI plugin ptp.";
    CniHostLocal, "host-local", Source::Built(Module::Cni), "The CNI plugin host-local.";
    CniLoopback, "loopback", Source::Built(Module::Cni), "The CNI plugin loopback.";
    CniPortmap, "portmap", Source::Built(Module::Cni), "The CNI plugin portmap.";
    Nft, "nft", Source::Packaged(Package::Nftables), "nft.";
    Iptables, "iptables", Source::Packaged(Package::Iptables), "iptables.";
    IptablesSave, "iptables-save", Source::Packaged(Package::Iptables), "iptables-save.";
    IptablesRestore, "iptables-restore", Source::Packaged(Package::Iptables), "iptables-restore.";
    Ip6tables, "ip6tables", Source::Packaged(Package::Iptables), "ip6tables.";
    Ip6tablesSave, "ip6tables-save", Source::Packaged(Package::Iptables), "ip6tables-save.";
    Ip6tablesRestore, "ip6tables-restore", Source::Packaged(Package::Iptables), "ip6tables-restore.";
    Ip, "ip", Source::Packaged(Package::Iproute), "ip, of iproute2.";
    Conntrack, "conntrack", Source::Packaged(Package::Conntrack), "conntrack.";
    Nsenter, "nsenter", Source::Packaged(Package::UtilLinux), "nsenter, of util-linux.";
    Mount, "mount", Source::Packaged(Package::Mount), "mount, of util-linux.";
    Umount, "umount", Source::Packaged(Package::Mount), "umount, of util-linux.";
}

impl Program {
    /// Whether a lab does without it.
    #[must_use]
    pub fn is_optional(self) -> bool {
        self == Self::Kubectl
    }

    /// Whether it is a CNI plugin: those live in directories of their own and have no `--version`.
    #[must_use]
    pub fn is_cni_plugin(self) -> bool {
        self.source() == Source::Built(Module::Cni)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl Serialize for Program {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
