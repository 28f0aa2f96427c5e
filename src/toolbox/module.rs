//! The Go modules from which upstream programs are built: pinned in `toolbox/MODULE/go.mod`, embedded in this program.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// A Go module in `toolbox/`. Its `tool` lines define what is built, its requirements in which version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Module {
    /// The CNI plugins.
    Cni,
    /// runc.
    Runc,
    /// containerd, its shim and ctr.
    Containerd,
    /// CoreDNS.
    Coredns,
    /// Kubernetes, and etcd.
    Kubernetes,
}

/// The pinned versions of a module. Equal pins build equal programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    /// The module they belong to.
    pub module: Module,
    /// The text of go.mod.
    pub go_mod: Cow<'static, str>,
    /// The text of go.sum.
    pub go_sum: Cow<'static, str>,
}

impl Module {
    /// All modules, the quickest to build first, so that a build that cannot work fails early.
    pub const ALL: &[Self] = &[Self::Cni, Self::Runc, Self::Containerd, Self::Coredns, Self::Kubernetes];

    /// The name of its directory.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cni => "cni",
            Self::Runc => "runc",
            Self::Containerd => "containerd",
            Self::Coredns => "coredns",
            Self::Kubernetes => "kubernetes",
        }
    }

    /// Its name in messages.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Cni => "the CNI plugins",
            Self::Runc => "runc",
            Self::Containerd => "containerd",
            Self::Coredns => "CoreDNS",
            Self::Kubernetes => "Kubernetes and etcd",
        }
    }

    /// The pins that are embedded in this program.
    #[must_use]
    pub fn pins(self) -> Pins {
        let (go_mod, go_sum) = match self {
            Self::Cni => (include_str!("../../toolbox/cni/go.mod"), include_str!("../../toolbox/cni/go.sum")),
            Self::Runc => (include_str!("../../toolbox/runc/go.mod"), include_str!("../../toolbox/runc/go.sum")),
            Self::Containerd => {
                (include_str!("../../toolbox/containerd/go.mod"), include_str!("../../toolbox/containerd/go.sum"))
            }
            Self::Coredns => {
                (include_str!("../../toolbox/coredns/go.mod"), include_str!("../../toolbox/coredns/go.sum"))
            }
            Self::Kubernetes => {
                (include_str!("../../toolbox/kubernetes/go.mod"), include_str!("../../toolbox/kubernetes/go.sum"))
            }
        };
        Pins { module: self, go_mod: go_mod.into(), go_sum: go_sum.into() }
    }

    /// The requirement whose version is the version of the programs.
    fn upstream(self) -> &'static str {
        match self {
            Self::Cni => "github.com/containernetworking/plugins",
            Self::Runc => "github.com/opencontainers/runc",
            Self::Containerd => "github.com/containerd/containerd/v2",
            Self::Coredns => "github.com/coredns/coredns",
            Self::Kubernetes => "k8s.io/kubernetes",
        }
    }

    /// Whether it needs cgo: only runc does, for libseccomp.
    #[must_use]
    pub fn needs_c(self) -> bool {
        self == Self::Runc
    }
}

impl fmt::Display for Module {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl Pins {
    /// The version of the programs, as in go.mod: `v1.36.3`. Empty if go.mod lacks that requirement.
    #[must_use]
    pub fn version(&self) -> &str {
        required(&self.go_mod, self.module.upstream()).unwrap_or_default()
    }

    /// The flags for `go install`. They set the version that the programs report, as the upstream makefiles do.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let version = self.version();
        let bare = version.trim_start_matches('v');
        let stamp = match self.module {
            Module::Cni => {
                format!("-X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion={version}")
            }
            Module::Runc => format!("-X main.version={bare}"),
            Module::Containerd => format!("-X github.com/containerd/containerd/v2/version.Version={version}"),
            // Its source names its version.
            Module::Coredns => String::new(),
            Module::Kubernetes => {
                let mut parts = bare.split('.');
                let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                let package = "k8s.io/component-base/version";
                format!("-X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}")
            }
        };
        let mut flags = vec!["-trimpath".to_owned(), format!("-ldflags=-s -w {stamp}").trim_end().to_owned()];
        if self.module == Module::Runc {
            flags.push("-tags=seccomp".to_owned());
        }
        flags
    }

    /// Identifies a build: it differs when pins or flags differ.
    #[must_use]
    pub fn key(&self) -> String {
        let mut hash = Sha256::new();
        let flags = self.flags();
        for part in [&*self.go_mod, &*self.go_sum].into_iter().chain(flags.iter().map(String::as_str)) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let key = hash.finalize().iter().take(6).fold(0, |key: u64, byte| key << 8 | u64::from(*byte));
        format!("{key:012x}")
    }

    /// The name of the directory of the built module.
    #[must_use]
    pub fn directory_name(&self) -> String {
        format!("{}-{}", self.module, self.key())
    }

    /// The directory of the built module.
    #[must_use]
    pub fn directory(&self, cache: &Path) -> PathBuf {
        root(cache).join(self.directory_name())
    }

    /// The directory of its programs.
    #[must_use]
    pub fn bin(&self, cache: &Path) -> PathBuf {
        self.directory(cache).join("bin")
    }
}

/// The toolbox's directory in the cache.
#[must_use]
pub(super) fn root(cache: &Path) -> PathBuf {
    cache.join("toolbox")
}

/// The version of a module that a go.mod requires.
fn required<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().filter(|line| !line.contains("=>")).find_map(|line| {
        let line = line.trim_start();
        let mut words = line.strip_prefix("require ").unwrap_or(line).split_whitespace();
        if words.next() == Some(module) { words.next() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_pins_a_version() {
        for module in Module::ALL {
            assert!(module.pins().version().starts_with('v'), "{module} has no pinned version");
        }
    }

    #[test]
    fn the_stamped_version_is_the_pinned_one() {
        let mut pins = Module::Kubernetes.pins();
        pins.go_mod = "require (\n\tk8s.io/api v0.99.0\n\tk8s.io/kubernetes v1.99.7 // indirect\n)\n".into();
        let flags = pins.flags().join(" ");
        assert!(flags.contains("gitVersion=v1.99.7") && flags.contains("gitMinor=99"), "{flags}");
        pins.go_mod = "require k8s.io/kubernetes v1.98.0\nreplace k8s.io/kubernetes => ../fork\n".into();
        assert_eq!(pins.version(), "v1.98.0");
    }

    /// Go compiles a package once for both modules only if all that it imports is the same.
    #[test]
    fn coredns_shares_the_versions_of_kubernetes() {
        let replaced = |module: Module| -> Vec<String> {
            let pins = module.pins();
            let lines = pins.go_mod.lines().filter(|line| line.contains("=>"));
            lines.map(|line| line.trim().to_owned()).collect()
        };
        let (coredns, kubernetes) = (replaced(Module::Coredns), replaced(Module::Kubernetes));
        assert!(coredns.iter().any(|line| line.starts_with("k8s.io/client-go => ")), "{coredns:?}");
        for line in &coredns {
            assert!(kubernetes.contains(line), "the module of Kubernetes has another version: {line}");
        }
    }

    #[test]
    fn only_a_changed_module_gets_a_new_key() {
        let before: Vec<String> = Module::ALL.iter().map(|module| module.pins().key()).collect();
        let mut pins = Module::Runc.pins();
        assert!(before.contains(&pins.key()), "the key is stable");
        pins.go_sum.to_mut().push_str("example.org/x v1.0.0 h1:x=\n");
        assert!(!before.contains(&pins.key()), "another go.sum, another key");
        pins = Module::Runc.pins();
        pins.go_mod = pins.go_mod.replace(pins.version(), "v1.4.99").into();
        assert!(!before.contains(&pins.key()), "another pin, another key");
    }
}
