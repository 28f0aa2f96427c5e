//! Clients with a certificate of the lab, with a forged one, or without one.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

/// The user of a kubeconfig: a client certificate and its key. Empty for an anonymous client.
#[derive(Clone)]
pub(super) struct Identity(Value);

impl Identity {
    pub(super) fn nobody() -> Self {
        Self(json!({}))
    }

    /// The identity of this name in the lab's `pki` directory.
    pub(super) fn of_lab(state: &Path, name: &str) -> Self {
        let read = |ending: &str| std::fs::read(state.join("pki").join(format!("{name}.{ending}"))).unwrap();
        Self::new(&read("crt"), &read("key"))
    }

    /// A certificate with the name of the lab's administrator, signed by another certificate authority.
    pub(super) fn impostor() -> Self {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "evenkeel");
        authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = Issuer::new(authority, KeyPair::generate().unwrap());
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "evenkeel-admin");
        params.distinguished_name.push(DnType::OrganizationName, "system:masters");
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Self::new(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())
    }

    fn new(certificate: &[u8], key: &[u8]) -> Self {
        let (certificate, key) = (STANDARD.encode(certificate), STANDARD.encode(key));
        Self(json!({ "client-certificate-data": certificate, "client-key-data": key }))
    }

    /// Sends a GET request to `https://server`. Returns the status code, or the error.
    pub(super) fn get(&self, server: &str, path: &str) -> Result<u16, String> {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{ "name": "x", "cluster": {
                "server": format!("https://{server}"), "insecure-skip-tls-verify": true } }],
            "users": [{ "name": "x", "user": self.0 }],
            "contexts": [{ "name": "x", "context": { "cluster": "x", "user": "x" } }],
            "current-context": "x",
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let kubeconfig = kube::config::Kubeconfig::from_yaml(&kubeconfig.to_string()).unwrap();
            let options = kube::config::KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
            let client = kube::Client::try_from(config).unwrap();
            let request = http::Request::get(path).body(kube::client::Body::empty()).unwrap();
            client.send(request).await.map(|answer| answer.status().as_u16()).map_err(|error| format!("{error:?}"))
        })
    }
}
