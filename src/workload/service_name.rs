//! How a user names a Service: `[NAMESPACE/]NAME[:PORT]`.

use std::fmt;
use std::str::FromStr;

use crate::config::InvalidValue;

/// A Service, by name and optionally by namespace and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    /// The namespace; `None` for the only namespace that has a Service of this name.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The port, by name or number; `None` for the only port.
    pub port: Option<String>,
}

impl FromStr for ServiceName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (namespace, rest) = text.split_once('/').map_or((None, text), |(namespace, rest)| (Some(namespace), rest));
        let (name, port) = rest.split_once(':').map_or((rest, None), |(name, port)| (name, Some(port)));
        let parts = [namespace, Some(name), port];
        if !parts.into_iter().flatten().all(is_label) {
            return Err(InvalidValue::expected("a Service such as web, shop/web or shop/web:http"));
        }
        Ok(Self { namespace: namespace.map(str::to_owned), name: name.to_owned(), port: port.map(str::to_owned) })
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(formatter, "{namespace}/")?;
        }
        formatter.write_str(&self.name)?;
        self.port.iter().try_for_each(|port| write!(formatter, ":{port}"))
    }
}

/// Whether this is a DNS label (RFC 1123), as names of namespaces, Services and ports are.
fn is_label(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(inside) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_namespace_and_port() {
        for text in ["web", "shop/web", "web:80", "shop/web:http"] {
            let name: ServiceName = text.parse().unwrap();
            assert_eq!(name.to_string(), text);
        }
        let full: ServiceName = "shop/web:http".parse().unwrap();
        assert_eq!((full.namespace.as_deref(), full.port.as_deref()), (Some("shop"), Some("http")));
    }

    #[test]
    fn what_is_no_service_is_refused() {
        for text in ["", "/", "a/", "/a", "a:", ":80", "a/b/c", "a:b:c", "Web", "a b", "-a", "a_b"] {
            assert!(text.parse::<ServiceName>().is_err(), "{text:?}");
        }
    }
}
