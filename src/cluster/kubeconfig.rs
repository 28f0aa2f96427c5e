//! The administrator's kubeconfig: written for the user who called sudo, read to make a client.

use std::io::ErrorKind;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::Kubeconfig;
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::cluster::ClusterError;
use crate::io_error::IoError;
use crate::write_file::WriteFile;

use super::layout::Layout;

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
    let parsed = Kubeconfig::from_yaml(&text).map_err(|source| broken(source.to_string()))?;
    Client::try_from(direct(parsed).map_err(broken)?).map_err(|source| broken(source.to_string()))
}

/// The configuration of a client that connects directly: the API server is on this machine's own link, which no proxy can reach. The
/// loader of kube would read the proxy variables of the environment, and fail if they are invalid. The error is the end of a sentence.
fn direct(kubeconfig: Kubeconfig) -> Result<Config, String> {
    let Kubeconfig { current_context, contexts, clusters, auth_infos, .. } = kubeconfig;
    let context = contexts.into_iter().find(|named| Some(&named.name) == current_context.as_ref());
    let context = context.and_then(|named| named.context).ok_or("it has no current context")?;
    let cluster = clusters.into_iter().find(|named| named.name == context.cluster).and_then(|named| named.cluster);
    let cluster = cluster.ok_or("it has no cluster for the current context")?;
    let user = auth_infos.into_iter().find(|named| Some(&named.name) == context.user.as_ref());
    let server = cluster.server.ok_or("it names no server")?;
    let mut config = Config::new(server.parse().map_err(|source| format!("{server}: {source}"))?);
    match (cluster.certificate_authority_data, cluster.certificate_authority) {
        (Some(encoded), _) => config.root_cert = Some(certificates(&encoded)?),
        (None, Some(file)) => config.root_cert_file = Some(file.into()),
        (None, None) => return Err("it has no certificate authority".into()),
    }
    config.auth_info = user.and_then(|named| named.auth_info).ok_or("it has no user for the current context")?;
    Ok(config)
}

/// The certificates of Base64 of PEM, as DER.
fn certificates(encoded: &str) -> Result<Vec<Vec<u8>>, String> {
    let pem = STANDARD.decode(encoded.trim()).map_err(|source| source.to_string())?;
    let read = CertificateDer::pem_slice_iter(&pem).map(|certificate| certificate.map(|der| der.to_vec()));
    read.collect::<Result<_, _>>().map_err(|source| format!("its certificate authority is no PEM ({source:?})"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(text: &Value) -> Result<Config, String> {
        direct(Kubeconfig::from_yaml(&text.to_string()).unwrap())
    }

    #[test]
    fn a_client_needs_a_context_with_a_cluster_and_a_user() {
        let authority = rcgen::generate_simple_self_signed(["lab".to_owned()]).unwrap().cert;
        let whole = json!({
            "clusters": [{ "name": "c", "cluster": {
                "server": "https://198.18.0.2:6443", "certificate-authority-data": STANDARD.encode(authority.pem()) } }],
            "users": [{ "name": "u", "user": {} }],
            "contexts": [{ "name": "x", "context": { "cluster": "c", "user": "u" } }],
            "current-context": "x",
        });
        let config = of(&whole).unwrap();
        assert_eq!((config.root_cert, config.proxy_url), (Some(vec![authority.der().to_vec()]), None));
        for part in ["clusters", "users", "contexts"] {
            let mut broken = whole.clone();
            broken[part] = json!([]);
            assert!(of(&broken).unwrap_err().starts_with("it has no "), "{part}");
        }
        let mut other = whole;
        other["current-context"] = json!("y");
        assert_eq!(of(&other).unwrap_err(), "it has no current context");
    }
}
