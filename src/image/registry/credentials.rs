//! The credentials for registries, from the files in which Docker, Podman and skopeo keep them.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use super::caller;
use crate::image::ImageName;
use crate::process::Invocation;

/// The name of Docker Hub in credentials.
const DOCKER_HUB: &str = "index.docker.io";

/// A file with credentials.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AuthFile {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// What a credential helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    username: String,
    secret: String,
}

/// The credentials for an image's registry. Files that are missing or invalid have none.
pub(super) fn find(name: &ImageName, files: &[PathBuf]) -> RegistryAuth {
    let files = files.iter().filter_map(|path| fs::read(path).ok());
    let mut parsed = files.filter_map(|text| serde_json::from_slice::<AuthFile>(&text).ok());
    parsed.find_map(|file| file.find(name)).unwrap_or(RegistryAuth::Anonymous)
}

/// The files of the caller, in the order in which they are read.
pub(in crate::image) fn files() -> Vec<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let docker = variable("DOCKER_CONFIG").or_else(|| Some(caller::home()?.join(".docker")));
    let podman = caller::runtime_directory().map(|directory| directory.join("containers/auth.json"));
    let config = caller::home().map(|home| home.join(".config/containers/auth.json"));
    let given = variable("REGISTRY_AUTH_FILE");
    [given, podman, config, docker.map(|docker| docker.join("config.json"))].into_iter().flatten().collect()
}

impl AuthFile {
    fn find(&self, name: &ImageName) -> Option<RegistryAuth> {
        let registry = if name.registry() == "docker.io" { DOCKER_HUB } else { name.registry() };
        let of_registry = |map: &BTreeMap<String, String>| {
            map.iter().find(|(key, _)| plain(key) == registry).map(|(key, helper)| (key.clone(), helper.clone()))
        };
        if let Some((key, helper)) = of_registry(&self.cred_helpers) {
            return ask(&helper, &key);
        }
        // A key may be a part of the repository as well; the longest one counts.
        let full = format!("{registry}/{}", name.repository());
        let matches = |key: &str| full.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let entries = self.auths.iter().filter(|(key, _)| matches(&plain(key)));
        let entry = entries.max_by_key(|(key, _)| plain(key).len());
        let stored = entry.and_then(|(_, entry)| entry.credentials());
        stored.or_else(|| {
            let server = if registry == DOCKER_HUB { "https://index.docker.io/v1/" } else { registry };
            ask(self.creds_store.as_ref()?, server)
        })
    }
}

/// A key without what Docker adds to a registry: `https://` and `/v1/`.
fn plain(key: &str) -> String {
    let key = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    match key.strip_prefix("docker.io") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{DOCKER_HUB}{rest}"),
        _ => key.to_owned(),
    }
}

impl Entry {
    fn credentials(&self) -> Option<RegistryAuth> {
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Some(RegistryAuth::Basic(user.clone(), password.clone()));
        }
        let decoded = String::from_utf8(STANDARD.decode(self.auth.as_ref()?.trim()).ok()?).ok()?;
        let (user, password) = decoded.trim_end_matches('\0').split_once(':')?;
        Some(RegistryAuth::Basic(user.to_owned(), password.to_owned()))
    }
}

/// Asks a credential helper, by the protocol of `docker-credential-…`. A helper that fails has no credentials.
fn ask(helper: &str, server: &str) -> Option<RegistryAuth> {
    let mut invocation = Invocation::new(format!("docker-credential-{helper}"), ["get"]);
    if let Some(home) = caller::home() {
        invocation = invocation.env("HOME", home);
    }
    let mut command: Command = invocation.command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    child.stdin.take()?.write_all(server.as_bytes()).ok()?;
    let output = child.wait_with_output().ok().filter(|output| output.status.success())?;
    let printed: Printed = serde_json::from_slice(&output.stdout).ok()?;
    Some(RegistryAuth::Basic(printed.username, printed.secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, name: &str) -> Option<(String, String)> {
        let file: AuthFile = serde_json::from_str(file).unwrap();
        match file.find(&name.parse().unwrap())? {
            RegistryAuth::Basic(user, password) => Some((user, password)),
            other => panic!("unexpected {other:?}"),
        }
    }

    #[test]
    fn a_registry_is_found_by_every_form_of_its_name() {
        let password = STANDARD.encode("ann:s:3cret");
        for (key, name) in [
            ("https://index.docker.io/v1/", "nginx"),
            ("docker.io", "nginx"),
            ("docker.io/library", "nginx"),
            ("ghcr.io", "ghcr.io/a/b:1"),
            ("https://ghcr.io/v2/", "ghcr.io/a/b:1"),
            ("localhost:5000", "localhost:5000/a"),
            ("ghcr.io/a", "ghcr.io/a/b:1"),
        ] {
            let file = format!(r#"{{"auths":{{"{key}":{{"auth":"{password}"}}}}}}"#);
            assert_eq!(found(&file, name), Some(("ann".into(), "s:3cret".into())), "{key}");
        }
        let file = format!(r#"{{"auths":{{"ghcr.io/a":{{"auth":"{password}"}},"quay.io":{{}}}}}}"#);
        for other in ["ghcr.io/ab/c", "ghcr.io/b", "quay.io/a", "nginx"] {
            assert_eq!(found(&file, other), None, "{other}");
        }
    }

    #[test]
    fn the_longest_key_counts() {
        let entry = |user: &str| format!(r#"{{"username":"{user}","password":"p"}}"#);
        let file = format!(r#"{{"auths":{{"q.io":{},"q.io/a/b":{}}}}}"#, entry("all"), entry("one"));
        assert_eq!(found(&file, "q.io/a/b").unwrap().0, "one");
        assert_eq!(found(&file, "q.io/a/c").unwrap().0, "all");
    }

    #[test]
    fn a_helper_that_is_not_installed_has_no_credentials() {
        assert_eq!(found(r#"{"credsStore":"none-of-that-name"}"#, "nginx"), None);
        assert_eq!(found(r#"{"credHelpers":{"ghcr.io":"none-of-that-name"}}"#, "ghcr.io/a"), None);
    }
}
