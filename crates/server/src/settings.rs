//! Every setting, from the environment; a value that cannot be used is refused before anything starts.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::ServerError;

/// The longest drain or finish: an hour is beyond any sensible grace period.
const MAX_SECONDS: f64 = 3600.0;

/// What the server is told by its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens: `HOST` (every address) and `PORT` (3000).
    pub address: SocketAddr,
    /// `POD_NAME`, by the downward API; else the host's name.
    pub pod: Name,
    /// `NODE_NAME`, by the downward API; else the host's name.
    pub node: Name,
    /// `DRAIN_SECONDS` (3): how long it goes on answering after it was asked to stop; while requests still come then, for
    /// up to half of `FINISH_SECONDS` more.
    pub drain: Duration,
    /// `FINISH_SECONDS` (5): after the drain, how long a request that has begun may take to be whole and answered.
    pub finish: Duration,
    /// `LOG_LEVEL` (info).
    pub log_level: LevelFilter,
}

/// A name that fits into JSON, a header and a metric's label as it is.
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
        let read = Reader(variable);
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
            log_level: read
                .setting("LOG_LEVEL", "off, error, warn, info, debug or trace", log_level)?
                .unwrap_or(LevelFilter::INFO),
        })
    }
}

struct Reader<F>(F);

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    fn setting<T>(
        &self,
        name: &'static str,
        takes: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ServerError> {
        let Some(value) = (self.0)(name) else { return Ok(None) };
        match value.to_str().and_then(parse) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(ServerError::BadSetting { name, given: value.to_string_lossy().into_owned(), takes }),
        }
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
    fn an_empty_environment_will_do() {
        let settings = Settings::from(|_| None).unwrap();
        assert_eq!(settings.address, "0.0.0.0:3000".parse().unwrap());
        assert_eq!((settings.drain, settings.finish), (Duration::from_secs(3), Duration::from_secs(5)));
        assert_eq!(settings.log_level, LevelFilter::INFO);
        assert!(!settings.pod.as_str().is_empty());
    }

    #[test]
    fn good_values_are_taken() {
        assert_eq!(given("PORT", "8080").unwrap().address.port(), 8080);
        assert_eq!(given("HOST", "::1").unwrap().address, "[::1]:3000".parse().unwrap());
        assert_eq!(given("POD_NAME", "server-6d5f9c-x2vlp").unwrap().pod.as_str(), "server-6d5f9c-x2vlp");
        assert_eq!(given("DRAIN_SECONDS", "0.25").unwrap().drain, Duration::from_millis(250));
        assert_eq!(given("FINISH_SECONDS", "8").unwrap().finish, Duration::from_secs(8));
        assert_eq!(given("LOG_LEVEL", "debug").unwrap().log_level, LevelFilter::DEBUG);
    }

    #[test]
    fn bad_values_name_the_variable_and_end_with_2() {
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
