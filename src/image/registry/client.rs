//! The client of one registry.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use oci_client::Client;
use oci_client::client::{ClientConfig, ClientProtocol};
use serde::Deserialize;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// What is never reached through a proxy, as in Go's programs.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// Docker's settings of registries, in `/etc/docker/daemon.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct DockerDaemon {
    /// Mirrors of Docker Hub, by URL.
    pub(super) registry_mirrors: Vec<String>,
    /// Registries without TLS.
    insecure_registries: BTreeSet<String>,
}

impl DockerDaemon {
    /// The machine's settings, or none.
    pub(super) fn read() -> Self {
        let text = fs::read("/etc/docker/daemon.json").unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

/// A client for a registry and the mirrors of Docker Hub. `silence` is how long the registry may send nothing, also while
/// something is sent to it.
pub(super) fn client(registry: &str, daemon: &DockerDaemon, silence: Option<Duration>) -> Result<Client, String> {
    // Fails only if a provider was set before, which is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut plain: Vec<String> = daemon.insecure_registries.iter().cloned().collect();
    plain.extend(daemon.registry_mirrors.iter().filter_map(|url| url.strip_prefix("http://")).map(mirror_name));
    if is_loopback(registry) {
        plain.push(registry.to_owned());
    }
    let proxy = |names: [&str; 2]| names.iter().find_map(|name| env::var(name).ok()).filter(|url| !url.is_empty());
    let config = ClientConfig {
        protocol: ClientProtocol::HttpsExcept(plain),
        connect_timeout: Some(CONNECT),
        read_timeout: silence,
        // As containerd does. Parts with ranges are what some registries refuse.
        use_monolithic_push: true,
        user_agent: concat!("evenkeel/", env!("CARGO_PKG_VERSION")),
        https_proxy: proxy(["https_proxy", "HTTPS_PROXY"]),
        http_proxy: proxy(["http_proxy", "HTTP_PROXY"]),
        no_proxy: Some(proxy(["no_proxy", "NO_PROXY"]).map_or(LOOPBACK.to_owned(), |given| given + "," + LOOPBACK)),
        ..ClientConfig::default()
    };
    Client::try_from(config).map_err(|problem| super::refusal::words(&problem))
}

/// The registry of a mirror's URL.
pub(super) fn mirror_name(url: &str) -> String {
    let name = url.trim_start_matches("https://").trim_start_matches("http://");
    name.trim_end_matches('/').to_owned()
}

/// Whether a registry is on this machine.
fn is_loopback(registry: &str) -> bool {
    let host =
        registry.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(registry, |(host, _)| host);
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_has_registries_without_tls() {
        for here in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000"] {
            assert!(is_loopback(here), "{here}");
        }
        for other in ["docker.io", "localhost.example:5000", "192.0.2.1:5000", "a.localhost"] {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn a_mirror_is_a_registry() {
        let daemon: DockerDaemon =
            serde_json::from_str(r#"{"registry-mirrors":["https://mirror.example/"],"log-level":"warn"}"#).unwrap();
        assert_eq!(daemon.registry_mirrors.iter().map(|url| mirror_name(url)).collect::<Vec<_>>(), ["mirror.example"]);
    }
}
