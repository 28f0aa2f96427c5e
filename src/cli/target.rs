//! The URL of a load test outside of the lab.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::error::Error;
use crate::config::InvalidValue;
use crate::workload::guard;
use evenkeel_load::{Target, Tls};

/// A URL that load can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetUrl {
    host: String,
    port: u16,
    /// As in the `Host` header.
    authority: String,
    path: String,
    /// Whether the scheme is https.
    tls: bool,
}

impl FromStr for TargetUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url: Uri = with_scheme
            .parse()
            .map_err(|why| InvalidValue::expected(format!("a URL such as http://127.0.0.1:8080/ ({why})")))?;
        match url.scheme_str() {
            Some("http" | "https") => {}
            _ => return Err(InvalidValue::expected("an http:// or https:// URL")),
        }
        let tls = url.scheme_str() == Some("https");
        let usual_port = if tls { 443 } else { 80 };
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let host = url.host().unwrap_or_default();
        if host.is_empty() || authority.contains('@') {
            return Err(InvalidValue::expected("a URL with a host and without user and password"));
        }
        let port = match (url.port_u16(), authority.ends_with(host)) {
            (Some(port), _) if port > 0 => port,
            (None, true) => usual_port,
            _ => return Err(InvalidValue::expected("a port from 1 to 65535")),
        };
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            authority: authority.to_owned(),
            path: url.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            tls,
        })
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.authority, self.path)
    }
}

impl TargetUrl {
    /// The addresses of the host, IPv4 before IPv6. `localhost` and the names below it always have both loopback
    /// addresses (RFC 6761, section 6.3), regardless of the system's files.
    ///
    /// # Errors
    /// [`Error::NoTarget`] if the name cannot be resolved.
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, Error> {
        let name = self.host.trim_end_matches('.').to_ascii_lowercase();
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(vec![(Ipv4Addr::LOCALHOST, self.port).into(), (Ipv6Addr::LOCALHOST, self.port).into()]);
        }
        let failed = |why: String| Error::NoTarget { target: self.authority.clone(), why };
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|why| failed(format!("the name has no address ({why})")))?;
        let mut addresses: Vec<SocketAddr> = found.collect();
        addresses.sort_by_key(|address| !address.is_ipv4());
        addresses.dedup();
        Ok(addresses)
    }

    /// Whether TLS is to be spoken.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host: a name or an IP address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The target of the load, at the first of `addresses` that accepts a connection within `patience`.
    ///
    /// # Errors
    /// [`Error::NoTarget`] if there are no addresses.
    pub async fn target(
        &self,
        addresses: &[SocketAddr],
        tls: Option<Tls>,
        patience: Duration,
    ) -> Result<Target, Error> {
        let address = first_open(addresses, patience).await;
        let failed = || Error::NoTarget { target: self.authority.clone(), why: "the name has no address".into() };
        let address = address.ok_or_else(failed)?;
        Ok(Target { address, host: self.authority.clone(), path: self.path.clone(), tls })
    }
}

/// Checks each of `addresses` with [`guard`], so that it does not matter which one is used.
///
/// # Errors
/// [`WorkloadError::ForeignTarget`](crate::workload::WorkloadError::ForeignTarget) for the first one that load may not
/// be sent to.
pub async fn guard_all(addresses: &[SocketAddr], link: &str, ip: &Path) -> Result<(), Error> {
    for address in addresses {
        guard(*address, link, ip).await?;
    }
    Ok(())
}

/// The first of `addresses` that accepts a connection within `patience`. If none does, the first of all, and the run
/// then shows why. A single address is not tried, so that the server gets only the connections of the run. `None` if
/// there are no addresses.
async fn first_open(addresses: &[SocketAddr], patience: Duration) -> Option<SocketAddr> {
    if addresses.len() > 1 {
        for address in addresses {
            if let Ok(Ok(_)) = timeout(patience, TcpStream::connect(address)).await {
                return Some(*address);
            }
        }
    }
    addresses.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::WorkloadError;

    #[test]
    fn urls() {
        let parsed = |text: &str| {
            let target: TargetUrl = text.parse().unwrap();
            (target.host, target.port, target.authority, target.path)
        };
        let of = |host: &str, port, authority: &str, path: &str| (host.into(), port, authority.into(), path.into());
        assert_eq!(parsed("http://127.0.0.1:8080/a?b=c"), of("127.0.0.1", 8080, "127.0.0.1:8080", "/a?b=c"));
        assert_eq!(parsed("http://localhost"), of("localhost", 80, "localhost", "/"));
        assert_eq!(parsed("127.0.0.1:3000"), of("127.0.0.1", 3000, "127.0.0.1:3000", "/"));
        assert_eq!(parsed("https://localhost/x"), of("localhost", 443, "localhost", "/x"));
        assert_eq!(parsed("http://[::1]:9/"), of("::1", 9, "[::1]:9", "/"));
        for bad in [
            "",
            "/",
            "http://",
            "ftp://a/",
            "http://a:0/",
            "http://a:99999/",
            "http://a:/",
            "http://u:p@a/",
            "http://a b/",
            "http://a/\r\nX: y",
        ] {
            let error = bad.parse::<TargetUrl>().unwrap_err().to_string();
            assert!(error.starts_with("expected "), "{bad:?}: {error}");
        }
    }

    #[tokio::test]
    async fn names_are_resolved() {
        let url: TargetUrl = "http://localhost:81/x".parse().unwrap();
        let both: [SocketAddr; 2] = ["127.0.0.1:81".parse().unwrap(), "[::1]:81".parse().unwrap()];
        assert_eq!(url.addresses().await.unwrap(), both);
        let target = url.target(&both[1..], None, Duration::ZERO).await.unwrap();
        assert_eq!((target.address, target.to_string()), (both[1], "http://localhost:81/x".into()));
        assert!(url.target(&[], None, Duration::ZERO).await.is_err());
        for (host, addresses) in [("a.LOCALHOST.", &both[..]), ("127.0.0.1", &both[..1]), ("[::1]", &both[1..])] {
            let url: TargetUrl = format!("http://{host}:81/").parse().unwrap();
            assert_eq!(url.addresses().await.unwrap(), addresses, "{host}");
        }
        let none: TargetUrl = "http://does-not-exist.invalid/".parse().unwrap();
        assert!(matches!(none.addresses().await, Err(Error::NoTarget { .. })));
    }

    #[tokio::test]
    async fn the_first_address_that_accepts_a_connection_is_used() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        // Another address of loopback, where nothing listens on this port.
        let closed: SocketAddr = ([127, 0, 0, 2], open.port()).into();
        let patience = Duration::from_secs(5);
        assert_eq!(first_open(&[closed, open], patience).await, Some(open));
        assert_eq!(first_open(&[open, closed], patience).await, Some(open));
        assert_eq!(first_open(&[closed, closed], patience).await, Some(closed));
        assert_eq!(first_open(&[], patience).await, None);
    }

    #[tokio::test]
    async fn one_foreign_address_of_several_is_enough_to_refuse() {
        let (own, foreign) = ("127.0.0.1:80".parse().unwrap(), "192.0.2.1:80".parse().unwrap());
        let missing = Path::new("/does/not/exist");
        guard_all(&[own, own], "ek-lab", missing).await.unwrap();
        for addresses in [[own, foreign], [foreign, own]] {
            let refused = guard_all(&addresses, "ek-lab", missing).await;
            assert!(matches!(refused, Err(Error::Workload(WorkloadError::ForeignTarget { .. }))), "{refused:?}");
        }
    }
}
