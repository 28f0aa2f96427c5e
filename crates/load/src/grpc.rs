//! gRPC over HTTP/2: which method is called, how its message is framed, and how it ends.

mod messages;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::LoadError;

pub(super) use messages::MessageReader;

/// A method of a gRPC service: `package.Service/Method`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcMethod(String);

impl GrpcMethod {
    /// The path that it is requested at.
    pub(super) fn path(&self) -> String {
        format!("/{}", self.0)
    }

    /// The name of the service, with its package.
    #[must_use]
    pub fn service(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(service, _)| service)
    }

    /// The name of the method.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, method)| method)
    }
}

/// What a method answers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrpcReply {
    /// One message.
    One,
    /// A stream of messages (server streaming).
    Stream,
    /// It is not known.
    #[default]
    Unknown,
}

impl fmt::Display for GrpcMethod {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for GrpcMethod {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.split('.').all(|part| {
                    part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                        && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                })
        };
        match text.split_once('/') {
            Some((service, method)) if is_name(service) && is_name(method) && !method.contains('.') => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(LoadError::InvalidValue { expected: "package.Service/Method" }),
        }
    }
}

/// A message with its prefix: not compressed, and its length.
pub(super) fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// The value of `grpc-timeout`, which has at most eight digits.
pub(super) fn timeout(timeout: Duration) -> String {
    match timeout.as_millis() {
        millis @ 0..100_000_000 => format!("{millis}m"),
        _ => format!("{}S", timeout.as_secs().min(99_999_999)),
    }
}

/// A status of gRPC other than OK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GrpcStatus(u8);

impl GrpcStatus {
    /// What is assumed where a response has no status.
    pub const UNKNOWN: Self = Self(2);

    /// The status with this code; `None` for 0, which is OK.
    #[must_use]
    pub fn new(code: u64) -> Option<Self> {
        if code == 0 { None } else { Some(u8::try_from(code).map_or(Self::UNKNOWN, Self)) }
    }

    /// The status of a response that has none of gRPC, by its status over HTTP (gRPC's `http-grpc-status-mapping.md`).
    #[must_use]
    pub fn of_http(status: u16) -> Self {
        match status {
            400 => Self(13),
            401 => Self(16),
            403 => Self(7),
            404 => Self(12),
            429 | 502 | 503 | 504 => Self(14),
            _ => Self::UNKNOWN,
        }
    }
}

impl fmt::Display for GrpcStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 16] = [
            "CANCELLED",
            "UNKNOWN",
            "INVALID_ARGUMENT",
            "DEADLINE_EXCEEDED",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
            "ABORTED",
            "OUT_OF_RANGE",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
            "UNAUTHENTICATED",
        ];
        match usize::from(self.0).checked_sub(1).and_then(|index| NAMES.get(index)) {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods() {
        let method: GrpcMethod = "grpc.health.v1.Health/Check".parse().unwrap();
        assert_eq!(method.path(), "/grpc.health.v1.Health/Check");
        assert!("Echo/Say".parse::<GrpcMethod>().is_ok());
        for bad in
            ["", "/", "Health", "a.b/", "/Check", "a/b/c", "a b/C", "a..b/C", "a.b/C.D", "1a/B", "a/é", "a/B\r\n"]
        {
            assert!(bad.parse::<GrpcMethod>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn messages_have_their_length() {
        assert_eq!(frame(b""), [0, 0, 0, 0, 0]);
        assert_eq!(frame(&[7; 258])[..6], [0, 0, 0, 1, 2, 7]);
    }

    #[test]
    fn timeouts_have_at_most_eight_digits() {
        assert_eq!(timeout(Duration::from_millis(1500)), "1500m");
        assert_eq!(timeout(Duration::from_secs(86_400)), "86400000m");
        assert_eq!(timeout(Duration::from_secs(864_000)), "864000S");
    }

    #[test]
    fn statuses_have_names() {
        let name = |code| GrpcStatus::new(code).map(|status| status.to_string());
        assert_eq!(name(0), None);
        assert_eq!((name(5).as_deref(), name(16).as_deref()), (Some("NOT_FOUND"), Some("UNAUTHENTICATED")));
        assert_eq!((name(17).as_deref(), name(1 << 40).as_deref()), (Some("17"), Some("UNKNOWN")));
        let of_http =
            [400, 401, 403, 404, 429, 500, 502, 503, 504, 302].map(|status| GrpcStatus::of_http(status).to_string());
        let expected = [
            "INTERNAL",
            "UNAUTHENTICATED",
            "PERMISSION_DENIED",
            "UNIMPLEMENTED",
            "UNAVAILABLE",
            "UNKNOWN",
            "UNAVAILABLE",
            "UNAVAILABLE",
            "UNAVAILABLE",
            "UNKNOWN",
        ];
        assert_eq!(of_http, expected);
    }
}
