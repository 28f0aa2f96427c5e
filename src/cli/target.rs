//! A load test's target when it is not the lab: a URL.

use std::str::FromStr;

use http::Uri;

use crate::error::Error;
use crate::workload::Endpoint;

/// A URL that load can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
    /// As in the `Host` header.
    authority: String,
    path: String,
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why: String| Error::BadValue { what: "--target", given: text.to_owned(), why };
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url: Uri =
            with_scheme.parse().map_err(|why| bad(format!("it takes a URL like http://127.0.0.1:8080/ ({why})")))?;
        match url.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(bad("TLS is not spoken here; give the http:// address behind it".into())),
            other => return Err(bad(format!("{} is not http", other.unwrap_or("its scheme")))),
        }
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let host = url.host().unwrap_or_default();
        if host.is_empty() || authority.contains('@') {
            return Err(bad("it takes a host and perhaps a port, no user or password".into()));
        }
        let port = match (url.port_u16(), authority.ends_with(host)) {
            (Some(port), _) if port > 0 => port,
            (None, true) => 80,
            _ => return Err(bad("its port is no number from 1 to 65535".into())),
        };
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            authority: authority.to_owned(),
            path: url.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }
}

impl Target {
    /// The endpoint, its name looked up; an IPv4 address is preferred.
    ///
    /// # Errors
    /// [`Error::Load`] when the name has no address.
    pub async fn resolve(&self) -> Result<Endpoint, Error> {
        let failed = |why: String| Error::Load { target: self.authority.clone(), why };
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|why| failed(format!("its name has no address ({why})")))?;
        let address = found.min_by_key(|address| !address.is_ipv4());
        let address = address.ok_or_else(|| failed("its name has no address".into()))?;
        Ok(Endpoint { address, host: self.authority.clone(), path: self.path.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let parsed = |text: &str| {
            let target: Target = text.parse().unwrap();
            (target.host, target.port, target.authority, target.path)
        };
        let of = |host: &str, port, authority: &str, path: &str| (host.into(), port, authority.into(), path.into());
        assert_eq!(parsed("http://127.0.0.1:8080/a?b=c"), of("127.0.0.1", 8080, "127.0.0.1:8080", "/a?b=c"));
        assert_eq!(parsed("http://localhost"), of("localhost", 80, "localhost", "/"));
        assert_eq!(parsed("127.0.0.1:3000"), of("127.0.0.1", 3000, "127.0.0.1:3000", "/"));
        assert_eq!(parsed("http://[::1]:9/"), of("::1", 9, "[::1]:9", "/"));
        for bad in [
            "",
            "/",
            "http://",
            "https://a/",
            "ftp://a/",
            "http://a:0/",
            "http://a:99999/",
            "http://a:/",
            "http://u:p@a/",
            "http://a b/",
            "http://a/\r\nX: y",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad:?} must be refused");
        }
    }

    #[tokio::test]
    async fn names_are_looked_up() {
        let endpoint = "http://localhost:81/x".parse::<Target>().unwrap().resolve().await.unwrap();
        assert!(endpoint.address.ip().is_loopback());
        assert_eq!(
            (endpoint.address.port(), endpoint.host.as_str(), endpoint.path.as_str()),
            (81, "localhost:81", "/x")
        );
    }
}
