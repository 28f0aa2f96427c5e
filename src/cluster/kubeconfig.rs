//! The administrator's kubeconfig: written for the user who called sudo, read to make a client.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::error::Error;
use crate::io_error::IoError;

use super::layout::Layout;
use super::pki;

/// Writes the kubeconfig at `path`: self-contained, mode 0600, owned by the user who called sudo.
pub(super) fn write(path: &Path, server: &str, layout: &Layout) -> Result<(), IoError> {
    let encoded = |file: &str| -> Result<String, IoError> {
        let path = layout.pki(file);
        std::fs::read(&path).map(|pem| STANDARD.encode(pem)).map_err(|source| IoError::file("read", &path, source))
    };
    let text = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "evenkeel", "cluster": {
            "server": server, "certificate-authority-data": encoded("ca.crt")? } }],
        "users": [{ "name": "evenkeel-admin", "user": {
            "client-certificate-data": encoded("admin.crt")?, "client-key-data": encoded("admin.key")? } }],
        "contexts": [{ "name": "evenkeel", "context": {
            "cluster": "evenkeel", "user": "evenkeel-admin", "namespace": crate::config::NAMESPACE } }],
        "current-context": "evenkeel",
    });
    pki::write(path, &format!("{text:#}\n"))?;
    give_to_caller(path)
}

/// Under sudo, makes the user who called it the owner of the file, so that `kubectl` works without root.
fn give_to_caller(path: &Path) -> Result<(), IoError> {
    let id = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    match (id("SUDO_UID"), id("SUDO_GID")) {
        (Some(user), Some(group)) => std::os::unix::fs::chown(path, Some(user), Some(group))
            .map_err(|source| IoError::file("change the owner of", path, source)),
        _ => Ok(()),
    }
}

/// A client for the kubeconfig at `path`.
///
/// # Errors
/// [`Error::Kubeconfig`] when it is missing, malformed, or names files that are not there.
pub async fn client(path: &Path) -> Result<Client, Error> {
    let broken = |why: String| Error::Kubeconfig { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|source| broken(source.to_string()))?;
    let parsed = Kubeconfig::from_yaml(&text).map_err(|source| broken(source.to_string()))?;
    let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .map_err(|source| broken(source.to_string()))?;
    Client::try_from(config).map_err(|source| broken(source.to_string()))
}
