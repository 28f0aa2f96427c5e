//! Values from the command line and the environment, validated before anything is changed.

mod nodes;
mod subnet;

use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use nodes::{LabShape, MOST_NODES, NodeCount, RouterHash};
pub use subnet::Subnet;

/// A text that is not a value of the expected kind. The text itself is not repeated, because the caller has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(String);

impl InvalidValue {
    /// What the value must be: "a whole number above 0".
    pub fn expected(what: impl AsRef<str>) -> Self {
        Self(format!("expected {}", what.as_ref()))
    }
}

/// A path that must be a directory is a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is a file, but the lab keeps its state in a directory of that name", path.display())]
pub struct StateIsFile {
    /// The file.
    pub path: PathBuf,
}

/// The maximum number of pods on a node (the kubelet's `maxPods`).
pub const MAX_PODS_PER_NODE: u32 = 500;
/// Pods of a node that the workload may not use, so that a rolling update can surge.
pub const RESERVED_PODS: u32 = 20;

/// Cluster IPs of Services. They exist only inside the sandboxes.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
/// The API server's cluster IP: the first of [`SERVICE_CIDR`].
pub const KUBERNETES_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// The cluster IP of the cluster's DNS server, as kubeadm chooses it.
pub const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The domain of the cluster's DNS names.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// Who makes the volumes of the default StorageClass.
pub const VOLUME_PROVISIONER: &str = "evenkeel.local/volume-provisioner";
/// The label with a node's zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// How long a kubelet's lease of its node is valid. It is renewed after a quarter of this time.
pub const LEASE_SECONDS: u32 = 8;
/// How long a node's kubelet may be silent until the node is not Ready and its pods get no new connections. Kubernetes' own
/// default is 50 s, for networks and machines that a lab does not have.
pub const NODE_GRACE_SECONDS: u32 = 10;
/// Pod addresses. They exist only inside the sandboxes.
pub const POD_CIDR: &str = "10.244.0.0/16";

/// The Kubernetes namespace of the workload.
pub const NAMESPACE: &str = "evenkeel";
/// The name of the workload's Deployment, Service and PodDisruptionBudget.
pub const WORKLOAD: &str = "server";

/// A lab's name: 1 to 12 of `a-z`, `0-9`, `-`, starting and ending with a letter or digit.
///
/// Everything that a lab creates on the host is named after it (the link `ek-NAME`, the cgroup `evenkeel-NAME`, the state
/// directory), so that it can be found without any state. The length is limited by the length of an interface name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabName(String);

impl LabName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host's end of the link to the lab's nodes.
    #[must_use]
    pub fn link(&self) -> String {
        format!("ek-{}", self.0)
    }

    /// The cgroup that holds all processes of the lab, below the root of every hierarchy.
    #[must_use]
    pub fn cgroup(&self) -> String {
        format!("evenkeel-{}", self.0)
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for LabName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let ends = text.starts_with(good) && text.ends_with(good);
        if (1..=12).contains(&text.len()) && ends && text.chars().all(|c| good(c) || c == '-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidValue::expected("1 to 12 lower-case letters, digits and inner dashes"))
        }
    }
}

/// The directories of a lab: its own state, and the cache that all labs share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The lab's state, by default `/var/lib/evenkeel/NAME`; `down` removes it.
    pub state: PathBuf,
    /// Built programs and images, keyed by what they were built from; `down` keeps it.
    pub cache: PathBuf,
}

impl Paths {
    /// The paths of a lab below `state_root` (`EVENKEEL_STATE_DIR`, by default `/var/lib/evenkeel`) and `cache`
    /// (`EVENKEEL_CACHE_DIR`, by default `/var/cache/evenkeel`).
    #[must_use]
    pub fn new(name: &LabName, state_root: Option<&Path>, cache: Option<&Path>) -> Self {
        // What runs in the lab has another working directory than the caller.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            state: absolute(state_root.unwrap_or(Path::new("/var/lib/evenkeel"))).join(name.as_str()),
            cache: absolute(cache.unwrap_or(Path::new("/var/cache/evenkeel"))),
        }
    }

    /// Refuses a file in the place of the state directory or of one of its parents.
    ///
    /// # Errors
    /// [`StateIsFile`] with that file.
    pub fn refuse_file(&self) -> Result<(), StateIsFile> {
        match self.state.ancestors().find(|path| path.exists()) {
            Some(path) if !path.is_dir() => Err(StateIsFile { path: path.to_owned() }),
            _ => Ok(()),
        }
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// The name of the Service that the last deploy was about.
    #[must_use]
    pub fn service(&self) -> PathBuf {
        self.state.join("service")
    }

    /// The logs: one file for each component, and one with its exact command.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }
}

/// A number of pods, from 0 to [`Replicas::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replicas(u32);

impl Replicas {
    /// The maximum: the pods of a node without those reserved for a rolling update.
    pub const MAX: u32 = MAX_PODS_PER_NODE - RESERVED_PODS;

    /// A count that is known when this program is compiled, and is not compiled where it does not fit.
    #[must_use]
    pub const fn of<const COUNT: u32>() -> Self {
        const { assert!(COUNT <= Self::MAX) };
        Self(COUNT)
    }

    /// The count.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The count as Kubernetes' API takes it.
    #[must_use]
    pub fn as_i32(self) -> i32 {
        // At most `MAX`, so it fits.
        self.0.cast_signed()
    }
}

impl fmt::Display for Replicas {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for Replicas {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text.trim().parse::<u32>() {
            Ok(count) if count <= Self::MAX => Ok(Self(count)),
            _ => Err(InvalidValue::expected(format!("a whole number from 0 to {}", Self::MAX))),
        }
    }
}

/// Parses a whole number above 0, into one of the `NonZero` types.
///
/// # Errors
/// [`InvalidValue`] for anything else.
pub fn parse_positive<T: FromStr>(text: &str) -> Result<T, InvalidValue> {
    text.parse().map_err(|_| InvalidValue::expected("a whole number above 0"))
}

/// The rules by which kube-proxy balances the connections of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyMode {
    /// Maps in nftables: their cost does not grow with the number of Services.
    #[default]
    Nftables,
    /// Chains of iptables rules, which are evaluated one by one.
    Iptables,
}

impl ProxyMode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Nftables, Self::Iptables];
}

impl fmt::Display for ProxyMode {
    /// As in kube-proxy's configuration.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        })
    }
}

impl FromStr for ProxyMode {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let mut modes = Self::ALL.into_iter();
        modes.find(|mode| mode.to_string() == text).ok_or_else(|| InvalidValue::expected("nftables or iptables"))
    }
}

/// Parses a duration: a whole or decimal number with the unit `ms`, `s`, `m` or `h`; without a unit it is in seconds, as
/// in autocannon's `-d 30`. It must be above zero and at most a day.
///
/// # Errors
/// [`InvalidValue`] for anything else.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidValue> {
    let bad = || InvalidValue::expected("a number above 0 with ms, s, m or h, at most 24h");
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(bad());
    }
    let number: f64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(bad()),
    };
    if seconds > 0.0 && seconds <= 86_400.0 { Ok(Duration::from_secs_f64(seconds)) } else { Err(bad()) }
}

/// Parses a duration that may be 0; otherwise like [`parse_duration`].
///
/// # Errors
/// [`InvalidValue`] for anything else.
pub fn parse_duration_or_zero(text: &str) -> Result<Duration, InvalidValue> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let zero = !digits.is_empty() && digits.bytes().all(|digit| digit == b'0');
    match &text[digits.len()..] {
        "" | "ms" | "s" | "m" | "h" if zero => Ok(Duration::ZERO),
        _ => parse_duration(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let parsed = |text: &str| parse_duration(text).ok().map(|d| d.as_millis());
        assert_eq!(parsed("30"), Some(30_000));
        assert_eq!(parsed("30s"), Some(30_000));
        assert_eq!(parsed("250ms"), Some(250));
        assert_eq!(parsed("1.5m"), Some(90_000));
        assert_eq!(parsed("1h"), Some(3_600_000));
        for bad in ["", "0", "0s", "-1", "1w", "s", "abc", "1e9", "inf", "NaN", "25h", "1 s", "1.2.3s"] {
            assert_eq!(parsed(bad), None, "{bad:?} must be refused");
        }
    }

    #[test]
    fn zero_is_a_duration_where_it_is_allowed() {
        for zero in ["0", "0s", "00ms"] {
            assert_eq!(parse_duration_or_zero(zero).unwrap(), Duration::ZERO, "{zero:?}");
        }
        assert_eq!(parse_duration_or_zero("30s").unwrap(), Duration::from_secs(30));
        for bad in ["", "s", "-0", "0w", "-1s", "0 s"] {
            assert!(parse_duration_or_zero(bad).is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn replicas() {
        assert_eq!("10".parse::<Replicas>().unwrap().get(), 10);
        assert_eq!("0".parse::<Replicas>().unwrap().get(), 0);
        for bad in ["-1", "0.5", "1e9", "abc", "", "481", "99999999999"] {
            assert!(bad.parse::<Replicas>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn relative_paths_become_absolute() {
        let paths = Paths::new(&"lab".parse().unwrap(), Some(Path::new("states")), Some(Path::new("cache")));
        let here = std::env::current_dir().unwrap();
        assert_eq!((paths.state, paths.cache), (here.join("states/lab"), here.join("cache")));
    }

    #[test]
    fn lab_names() {
        assert!("lab".parse::<LabName>().is_ok());
        assert!("a-2".parse::<LabName>().is_ok());
        for bad in ["", "-a", "a-", "Lab", "a_b", "../x", "abcdefghijklm", "a b"] {
            assert!(bad.parse::<LabName>().is_err(), "{bad:?} must be refused");
        }
    }
}
