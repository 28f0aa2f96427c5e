//! The settings, read from environment variables. A value that cannot be used is refused before the server starts.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::ServerError;

/// The largest number of seconds for `DRAIN_SECONDS` and `FINISH_SECONDS`: longer than any practical grace period.
const MAX_SECONDS: f64 = 3600.0;

/// The settings of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address to listen on: `HOST` (default: all addresses) and `PORT` (default: 3000).
    pub address: SocketAddr,
    /// `POD_NAME`, set by the downward API (default: the host name).
    pub pod: Name,
    /// `NODE_NAME`, set by the downward API (default: the host name).
    pub node: Name,
    /// `DRAIN_SECONDS` (default: 3): how long the server keeps serving after SIGTERM. If requests still arrive at the end of
    /// this time, it serves for up to half of `FINISH_SECONDS` longer.
    pub drain: Duration,
    /// `FINISH_SECONDS` (default: 5): after the drain, the time limit for requests that have begun: to arrive completely and
    /// to be answered.
    pub finish: Duration,
    /// `TLS_CERT_FILE` and `TLS_KEY_FILE`: with them, the server speaks TLS on its port, too.
    pub tls: Option<TlsFiles>,
    /// `LOG_LEVEL` (default: info).
    pub log_level: LevelFilter,
}

/// The files of TLS, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, with those that lead to an authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A name of characters that need no escaping in JSON, in a header and in the label of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        ((1..=253).contains(&text.len()) && text.chars().all(good)).then(|| Self(text.to_owned()))
    }

    fn of_host() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self::parse(host.trim()).unwrap_or_else(|| Self("unknown".to_owned()))
    }
}

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`ServerError::BadSetting`] for the first variable that cannot be used.
    pub fn from_env() -> Result<Self, ServerError> {
        Self::from(|name| std::env::var_os(name))
    }

    fn from(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ServerError> {
        let read = Variables(variable);
        let host = read.setting("HOST", "an IP address", |text| text.parse().ok())?;
        let port = read.setting("PORT", "a number from 1 to 65535", |text| text.parse::<NonZeroU16>().ok())?;
        let time = "a number of seconds from 0 to 3600";
        let names = "1 to 253 letters, digits, dots, dashes and underscores";
        Ok(Self {
            address: SocketAddr::new(
                host.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                port.map_or(3000, NonZeroU16::get),
            ),
            pod: read.setting("POD_NAME", names, Name::parse)?.unwrap_or_else(Name::of_host),
            node: read.setting("NODE_NAME", names, Name::parse)?.unwrap_or_else(Name::of_host),
            drain: read.setting("DRAIN_SECONDS", time, seconds)?.unwrap_or(Duration::from_secs(3)),
            finish: read.setting("FINISH_SECONDS", time, seconds)?.unwrap_or(Duration::from_secs(5)),
            tls: tls_files(read.0("TLS_CERT_FILE"), read.0("TLS_KEY_FILE"))?,
            log_level: read
                .setting("LOG_LEVEL", "off, error, warn, info, debug or trace", log_level)?
                .unwrap_or(LevelFilter::INFO),
        })
    }
}

/// Reads variables by a function from name to value.
struct Variables<F>(F);

impl<F: Fn(&str) -> Option<OsString>> Variables<F> {
    fn setting<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ServerError> {
        let Some(value) = (self.0)(name) else { return Ok(None) };
        match value.to_str().and_then(parse) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(ServerError::BadSetting { name, given: value.to_string_lossy().into_owned(), expected }),
        }
    }
}

fn tls_files(certificate: Option<OsString>, key: Option<OsString>) -> Result<Option<TlsFiles>, ServerError> {
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate: certificate.into(), key: key.into() })),
        (None, Some(_)) => Err(ServerError::HalfOfTls { missing: "TLS_CERT_FILE" }),
        (Some(_), None) => Err(ServerError::HalfOfTls { missing: "TLS_KEY_FILE" }),
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    (0.0..=MAX_SECONDS).contains(&number).then(|| Duration::from_secs_f64(number))
}

fn log_level(text: &str) -> Option<LevelFilter> {
    let known = ["off", "error", "warn", "info", "debug", "trace"];
    if known.contains(&text) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, value: &str) -> Result<Settings, ServerError> {
        Settings::from(|asked| (asked == name).then(|| value.into()))
    }

    #[test]
    fn an_empty_environment_gives_the_defaults() {
        let settings = Settings::from(|_| None).unwrap();
        assert_eq!(settings.address, "0.0.0.0:3000".parse().unwrap());
        assert_eq!((settings.drain, settings.finish), (Duration::from_secs(3), Duration::from_secs(5)));
        assert_eq!(settings.log_level, LevelFilter::INFO);
        assert!(!settings.pod.as_str().is_empty());
    }

    #[test]
    fn valid_values_are_accepted() {
        assert_eq!(given("PORT", "8080").unwrap().address.port(), 8080);
        assert_eq!(given("HOST", "::1").unwrap().address, "[::1]:3000".parse().unwrap());
        assert_eq!(given("POD_NAME", "server-6d5f9c-x2vlp").unwrap().pod.as_str(), "server-6d5f9c-x2vlp");
        assert_eq!(given("DRAIN_SECONDS", "0.25").unwrap().drain, Duration::from_millis(250));
        assert_eq!(given("FINISH_SECONDS", "8").unwrap().finish, Duration::from_secs(8));
        assert_eq!(given("LOG_LEVEL", "debug").unwrap().log_level, LevelFilter::DEBUG);
    }

    #[test]
    fn an_invalid_value_is_an_error_that_names_the_variable_with_exit_code_2() {
        let bad = [
            ("PORT", &["", "0", "65536", "-1", "http", "3000 ", "3.5"][..]),
            ("HOST", &["", "localhost", "1.2.3", "0.0.0.0:3000"]),
            ("POD_NAME", &["", "a b", "a\"b", "a\nb", "ü"]),
            ("NODE_NAME", &["", "\\"]),
            ("DRAIN_SECONDS", &["", "-1", "3601", "NaN", "inf", "3s"]),
            ("FINISH_SECONDS", &["", "-1", "3601", "5 s"]),
            ("LOG_LEVEL", &["", "loud", "3", "INFO "]),
        ];
        for (name, values) in bad {
            for value in values {
                let error = given(name, value).unwrap_err();
                assert_eq!(error.exit_code(), 2);
                let text = error.to_string();
                assert!(text.starts_with(name) && !text.contains('\n'), "{text}");
            }
        }
    }
}
