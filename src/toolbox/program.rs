//! The programs that a cluster needs, and how each of them is installed.

use std::fmt;

use serde::{Serialize, Serializer};

use super::module::Module;

/// How a missing program is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramSource {
    /// Built with Go from a pinned module.
    Built(Module),
    /// Installed with the distribution's package manager.
    Packaged(Package),
    /// Installed by the user with `go install` of this package.
    GoPackage(&'static str),
}

/// A package; its name differs between distributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Package {
    /// nft.
    Nftables,
    /// iptables and ip6tables with their save and restore programs.
    Iptables,
    /// ip.
    Iproute,
    /// conntrack.
    Conntrack,
    /// nsenter.
    UtilLinux,
    /// mount and umount.
    Mount,
    /// wrk.
    Wrk,
    /// h2load.
    Nghttp2,
    /// A C compiler with the headers of the C library; only needed to build runc.
    Compiler,
    /// The headers of libseccomp; only needed to build runc.
    Libseccomp,
    /// pkg-config; only needed to build runc.
    PkgConfig,
}

macro_rules! programs {
    ($($variant:ident, $name:literal, $source:expr, $doc:literal;)*) => {
        /// A program that the lab runs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Program {
            $(#[doc = $doc] $variant,)*
        }

        impl Program {
            /// All programs.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its file name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// How it is installed when it is missing.
            #[must_use]
            pub fn source(self) -> ProgramSource {
                match self {
                    $(Self::$variant => $source,)*
                }
            }
        }
    };
}

programs! {
    Etcd, "etcd", ProgramSource::Built(Module::Kubernetes), "etcd, the API server's store.";
    KubeApiserver, "kube-apiserver", ProgramSource::Built(Module::Kubernetes), "kube-apiserver.";
    KubeControllerManager, "kube-controller-manager", ProgramSource::Built(Module::Kubernetes), "kube-controller-manager.";
    KubeScheduler, "kube-scheduler", ProgramSource::Built(Module::Kubernetes), "kube-scheduler.";
    Kubelet, "kubelet", ProgramSource::Built(Module::Kubernetes), "kubelet.";
    KubeProxy, "kube-proxy", ProgramSource::Built(Module::Kubernetes), "kube-proxy.";
    Kubectl, "kubectl", ProgramSource::Built(Module::Kubernetes), "kubectl, for the user; the lab works without it.";
    Coredns, "coredns", ProgramSource::Built(Module::Coredns), "CoreDNS, the cluster's DNS server.";
    Containerd, "containerd", ProgramSource::Built(Module::Containerd), "containerd.";
    ContainerdShim, "containerd-shim-runc-v2", ProgramSource::Built(Module::Containerd), "containerd's shim for runc.";
    Ctr, "ctr", ProgramSource::Built(Module::Containerd), "ctr, which imports images.";
    Runc, "runc", ProgramSource::Built(Module::Runc), "runc, with seccomp.";
    CniPtp, "ptp", ProgramSource::Built(Module::Cni), "The CNI plugin ptp.";
    CniHostLocal, "host-local", ProgramSource::Built(Module::Cni), "The CNI plugin host-local.";
    CniLoopback, "loopback", ProgramSource::Built(Module::Cni), "The CNI plugin loopback.";
    CniPortmap, "portmap", ProgramSource::Built(Module::Cni), "The CNI plugin portmap.";
    Nft, "nft", ProgramSource::Packaged(Package::Nftables), "nft.";
    Iptables, "iptables", ProgramSource::Packaged(Package::Iptables), "iptables.";
    IptablesSave, "iptables-save", ProgramSource::Packaged(Package::Iptables), "iptables-save.";
    IptablesRestore, "iptables-restore", ProgramSource::Packaged(Package::Iptables), "iptables-restore.";
    Ip6tables, "ip6tables", ProgramSource::Packaged(Package::Iptables), "ip6tables.";
    Ip6tablesSave, "ip6tables-save", ProgramSource::Packaged(Package::Iptables), "ip6tables-save.";
    Ip6tablesRestore, "ip6tables-restore", ProgramSource::Packaged(Package::Iptables), "ip6tables-restore.";
    Ip, "ip", ProgramSource::Packaged(Package::Iproute), "ip, of iproute2.";
    Conntrack, "conntrack", ProgramSource::Packaged(Package::Conntrack), "conntrack.";
    Nsenter, "nsenter", ProgramSource::Packaged(Package::UtilLinux), "nsenter, of util-linux.";
    Mount, "mount", ProgramSource::Packaged(Package::Mount), "mount, of util-linux.";
    Umount, "umount", ProgramSource::Packaged(Package::Mount), "umount, of util-linux.";
    Wrk, "wrk", ProgramSource::Packaged(Package::Wrk), "wrk, for a second load in the soak; everything else works without it.";
    H2load, "h2load", ProgramSource::Packaged(Package::Nghttp2), "h2load, for the same over HTTP/2.";
    Ghz, "ghz", ProgramSource::GoPackage("github.com/bojand/ghz/cmd/ghz@v0.121.0"), "ghz, for the same over gRPC.";
}

impl Program {
    /// The programs that are built from `module`.
    pub fn of_module(module: Module) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |program| program.source() == ProgramSource::Built(module))
    }

    /// The file name that Go gives it.
    #[must_use]
    pub fn built_name(self) -> &'static str {
        if self == Self::Etcd { "server" } else { self.name() }
    }

    /// Whether a lab works without it.
    #[must_use]
    pub fn is_optional(self) -> bool {
        matches!(self, Self::Kubectl | Self::Wrk | Self::H2load | Self::Ghz)
    }

    /// The components of Kubernetes, which must all be of one minor version.
    pub const KUBERNETES_COMPONENTS: [Self; 5] =
        [Self::KubeApiserver, Self::KubeControllerManager, Self::KubeScheduler, Self::Kubelet, Self::KubeProxy];

    /// Whether it is one of [`Program::KUBERNETES_COMPONENTS`].
    #[must_use]
    pub fn is_kubernetes_component(self) -> bool {
        Self::KUBERNETES_COMPONENTS.contains(&self)
    }

    /// Whether it is a CNI plugin: those have their own directories and no `--version`.
    #[must_use]
    pub fn is_cni_plugin(self) -> bool {
        self.source() == ProgramSource::Built(Module::Cni)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_builds_something() {
        for module in Module::ALL {
            assert!(Program::of_module(*module).count() > 0, "{module} builds nothing");
        }
    }

    #[test]
    fn every_tool_line_is_a_program() {
        for module in Module::ALL {
            let pins = module.pins();
            let tools = pins.go_mod.split_once("tool ").expect("a tool line").1;
            let tools = tools.strip_prefix('(').map_or(tools.lines().next(), |rest| rest.split(')').next());
            let base = |path: &str| path.trim_end_matches("/v3").rsplit('/').next().unwrap_or_default().to_owned();
            let mut tools: Vec<String> = tools.expect("tools").split_whitespace().map(base).collect();
            let mut programs: Vec<String> = Program::of_module(*module).map(|p| p.built_name().to_owned()).collect();
            tools.sort();
            programs.sort();
            assert_eq!(tools, programs, "{module}");
        }
    }
}
