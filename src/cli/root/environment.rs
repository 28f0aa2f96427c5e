//! The environment variables that a command behind sudo gets. sudo keeps few of them: `env_reset` drops what a lab reads,
//! and `secure_path` replaces PATH.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Whether this program may run sudo: `never`, or empty.
pub(super) const SETTING: &str = "EVENKEEL_SUDO";
/// The value of [`SETTING`] behind sudo, by which the program does not run sudo again.
pub(super) const TRIED: &str = "tried";

/// The beginnings of names: this program's variables, and cargo's settings of the network.
const PREFIXES: [&str; 3] = ["EVENKEEL_", "CARGO_HTTP_", "CARGO_NET_"];
/// Everything else that this program, or a build that it runs, reads. `HOME`, `CARGO_HOME` and Go's directories are not
/// here, because root would leave its files in the caller's directories.
const NAMES: [&str; 34] = [
    "PATH",
    "CNI_PATH",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "LANG",
    "RUST_BACKTRACE",
    "CARGO",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "GOPROXY",
    "GONOPROXY",
    "GOSUMDB",
    "GONOSUMDB",
    "GOPRIVATE",
    "GOINSECURE",
    "GOTOOLCHAIN",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "DOCKER_CONFIG",
    "DOCKER_HOST",
    "REGISTRY_AUTH_FILE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
];

/// Whether a command behind sudo gets this variable, if its value may be seen.
pub(super) fn is_read(name: &OsStr) -> bool {
    let own = PREFIXES.iter().any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()));
    name != SETTING && (own || NAMES.iter().any(|known| name == *known))
}

/// Whether the variable says something about the lab, and not about the terminal or the network.
pub(super) fn is_of_lab(name: &OsStr) -> bool {
    name != SETTING && (name.as_bytes().starts_with(b"EVENKEEL_") || name == "CNI_PATH")
}

/// Whether a value contains a URL with a password. sudo logs its arguments, and other users can see them.
pub(super) fn has_password(value: &OsStr) -> bool {
    value.to_string_lossy().split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', ',', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

/// The variables that a command behind sudo gets, and the names of those that it would get but for a password.
pub(super) fn passed_on(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Vec<(OsString, OsString)>, Vec<String>) {
    let read = variables.into_iter().filter(|(name, _)| is_read(name));
    let (withheld, passed): (Vec<_>, Vec<_>) = read.partition(|(_, value)| has_password(value));
    (passed, withheld.into_iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lab_reads_is_passed_on_and_nothing_else() {
        let given = [
            ("EVENKEEL_NAME", "lab2"),
            ("EVENKEEL_MANIFESTS", "/a=b c"),
            ("EVENKEEL_SUDO", ""),
            ("PATH", "/opt/bin:/usr/bin"),
            ("CNI_PATH", "/opt/cni"),
            ("HOME", "/home/ann"),
            ("CARGO_HOME", "/home/ann/.cargo"),
            ("CARGO_NET_OFFLINE", "true"),
            ("LD_PRELOAD", "/tmp/x.so"),
            ("GITHUB_TOKEN", "secret"),
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("https_proxy", "http://ann:secret@proxy:3128"),
        ];
        let (passed, withheld) = passed_on(given.map(|(name, value)| (name.into(), value.into())));
        let names: Vec<_> = passed.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        let expected = ["EVENKEEL_NAME", "EVENKEEL_MANIFESTS", "PATH", "CNI_PATH", "CARGO_NET_OFFLINE", "HTTPS_PROXY"];
        assert_eq!(names, expected);
        assert_eq!(withheld, ["https_proxy"]);
    }

    #[test]
    fn a_password_in_a_url_is_found() {
        for secret in ["http://a:b@proxy", "https://direct,https://u:p%40@host/path", "socks5://:x@h"] {
            assert!(has_password(secret.as_ref()), "{secret}");
        }
        for plain in ["http://proxy:3128", "https://a/b:c@d", "ann@proxy:1", "/a:/b", "https://u@host", ""] {
            assert!(!has_password(plain.as_ref()), "{plain}");
        }
    }
}
