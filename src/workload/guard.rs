//! Load is sent only to the lab and to loopback, unless the user allows another target.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde::Deserialize;

use crate::io_error::IoError;
use crate::process::Invocation;
use crate::workload::WorkloadError;

#[derive(Deserialize)]
struct RouteLookup {
    #[serde(default)]
    dev: String,
}

/// Checks that load may be sent to `target`: it is loopback, or its route leaves through the lab's `link`. `ip` is the
/// path of the program that reads the routes. No packet is sent.
///
/// # Errors
/// [`WorkloadError::ForeignTarget`] when it is neither, or when the routes cannot be read.
pub async fn guard(target: SocketAddr, link: &str, ip: &Path) -> Result<(), WorkloadError> {
    let address = target.ip().to_canonical();
    if address.is_loopback() {
        return Ok(());
    }
    match device(address, ip).await {
        // Traffic to one of this machine's own addresses does not leave it.
        Ok(device) if device == link || device == "lo" => Ok(()),
        Ok(device) => Err(WorkloadError::ForeignTarget { target: target.to_string(), via: device }),
        Err(_) => Err(WorkloadError::ForeignTarget { target: target.to_string(), via: "an unknown route".into() }),
    }
}

async fn device(address: IpAddr, ip: &Path) -> Result<String, WorkloadError> {
    let output = Invocation::new(ip, ["-json", "route", "get", &address.to_string()]).run_async().await?;
    let unreadable = || IoError::new("read the routes", std::io::Error::from(std::io::ErrorKind::InvalidData));
    Ok(device_in(&output).ok_or_else(unreadable)?)
}

fn device_in(output: &[u8]) -> Option<String> {
    let routes: Vec<RouteLookup> = serde_json::from_slice(output).ok()?;
    routes.into_iter().map(|route| route.dev).find(|device| !device.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_device_of_a_route() {
        let lab = br#"[{"dst":"198.18.1.1","gateway":"198.18.0.2","dev":"ek-lab","prefsrc":"198.18.0.1","flags":[],"uid":0,"cache":[]}]"#;
        assert_eq!(device_in(lab).as_deref(), Some("ek-lab"));
        for none in ["", "[]", "[{}]", r#"[{"type":"unreachable","dst":"192.0.2.1"}]"#] {
            assert_eq!(device_in(none.as_bytes()), None, "{none}");
        }
    }

    #[tokio::test]
    async fn loopback_needs_no_route() {
        for target in ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            guard(target.parse().unwrap(), "ek-lab", Path::new("/does/not/exist")).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_cannot_be_told_is_refused() {
        let refused = guard("192.0.2.1:80".parse().unwrap(), "ek-lab", Path::new("/does/not/exist")).await;
        assert!(matches!(refused, Err(WorkloadError::ForeignTarget { .. })), "{refused:?}");
    }
}
