//! The administrator's kubeconfig: written for the user who called sudo, read to make a client.

use std::io::ErrorKind;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::cluster::ClusterError;
use crate::io_error::IoError;
use crate::write_file::WriteFile;

use super::layout::Layout;

/// A placeholder for the URL of a proxy. It is never used.
const NO_PROXY: &str = "http://unused.invalid";

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
            "cluster": "evenkeel", "user": "evenkeel-admin", "namespace": "default" } }],
        "current-context": "evenkeel",
    });
    // Behind sudo it belongs to the caller, so that `kubectl` works without root.
    let written = WriteFile::internal().mode(0o600).for_caller().write(path, format!("{text:#}\n").as_bytes());
    written.map_err(|source| IoError::file("write", path, source))
}

/// A client for the kubeconfig at `path`. It connects to the API server directly, even if the environment names a proxy.
///
/// # Errors
/// [`ClusterError::Kubeconfig`] when it is missing, malformed, or names files that are not there; [`ClusterError::Io`] when it may not
/// be read.
pub async fn client(path: &Path) -> Result<Client, ClusterError> {
    let broken = |why: String| ClusterError::Kubeconfig { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
        // The file belongs to root; the kubeconfig itself is valid.
        ErrorKind::PermissionDenied => IoError::file("read the kubeconfig", path, source).into(),
        _ => broken(source.to_string()),
    })?;
    let mut parsed = Kubeconfig::from_yaml(&text).map_err(|source| broken(source.to_string()))?;
    for cluster in parsed.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        // With any value here, the proxy variables of the environment are not read.
        cluster.proxy_url = Some(NO_PROXY.to_owned());
    }
    let mut config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .map_err(|source| broken(source.to_string()))?;
    // The API server is on this machine's own link, which no proxy can reach.
    config.proxy_url = None;
    Client::try_from(config).map_err(|source| broken(source.to_string()))
}
