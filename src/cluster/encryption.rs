//! Encryption of Secrets at rest: the API server encrypts them with a key that belongs to one lab.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::io_error::IoError;

use super::pki;

/// The name of the file, in the directory of the keys.
pub(super) const FILE: &str = "encryption.json";

/// 32 random bytes in Base64.
///
/// # Errors
/// [`IoError`] when the system gives no random bytes.
pub(super) fn random_key() -> Result<String, IoError> {
    let mut key = [0; 32];
    let random = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut key));
    random.map_err(|source| IoError::new("read random bytes", source))?;
    Ok(STANDARD.encode(key))
}

/// Writes the API server's `EncryptionConfiguration` with a new key. Only the file's owner may read it.
///
/// # Errors
/// [`IoError`] when the system gives no random bytes or the file cannot be written.
pub(super) fn create(path: &Path) -> Result<(), IoError> {
    let key = random_key()?;
    let configuration = serde_json::json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{
            "resources": ["secrets"],
            "providers": [
                { "secretbox": { "keys": [{ "name": "lab", "secret": key }] } },
            ],
        }],
    });
    pki::write(path, &configuration.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn every_lab_has_a_private_key_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let key = |name: &str| {
            let path = directory.path().join(name);
            create(&path).unwrap();
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            let written: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let providers = written["resources"][0]["providers"].as_array().unwrap().clone();
            assert_eq!(providers.len(), 1, "nothing may be stored or read in the clear");
            let key = providers[0]["secretbox"]["keys"][0]["secret"].as_str().unwrap().to_owned();
            STANDARD.decode(key).unwrap()
        };
        let (one, other) = (key("one"), key("other"));
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }
}
