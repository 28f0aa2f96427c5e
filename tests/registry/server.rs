//! A registry on this machine for tests: CNCF Distribution's.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use evenkeel::image::ImageName;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::go_program::go_program;

const VERSION: &str = "v3.1.2";
/// The line of htpasswd for the user "ann" with the password "secret".
const HTPASSWD: &str = "ann:$2b$05$WXaEMWWdbYpHmvEW/SYHrumtwsxPt3FbWaIPImyu17folp1llbSQm\n";

/// The program, which is built once for this target directory.
static PROGRAM: LazyLock<PathBuf> =
    LazyLock::new(|| go_program("github.com/distribution/distribution/v3/cmd/registry", VERSION, "-s -w"));

/// A registry, which ends with this value.
pub(crate) struct Registry {
    child: Child,
    port: u16,
    client: Client,
    auth: RegistryAuth,
    _files: Arc<TempDir>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    pub(crate) fn start(with_password: bool) -> Self {
        Self::start_in(&Arc::new(TempDir::new().unwrap()), with_password, json!({}))
    }

    /// A registry with its files in this directory, and with further parts of its configuration.
    pub(crate) fn start_in(files: &Arc<TempDir>, with_password: bool, further: Value) -> Self {
        // Each client needs it, also one that uses no TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = |name: &str| files.path().join(name);
        let mut config = json!({
            "version": 0.1,
            "log": { "level": "error" },
            "storage": { "filesystem": { "rootdirectory": path("storage") } },
            "http": { "addr": format!("127.0.0.1:{port}") },
        });
        if let Value::Object(further) = further {
            config.as_object_mut().unwrap().extend(further);
        }
        if with_password {
            fs::write(path("htpasswd"), HTPASSWD).unwrap();
            config["auth"] = json!({ "htpasswd": { "realm": "test", "path": path("htpasswd") } });
        }
        fs::write(path("config.yaml"), config.to_string()).unwrap();
        let name = format!("127.0.0.1:{port}");
        let protocol = ClientProtocol::HttpsExcept(vec![name.clone()]);
        let client = Client::new(ClientConfig { protocol, ..ClientConfig::default() });
        let basic = || RegistryAuth::Basic("ann".into(), "secret".into());
        let auth = if with_password { basic() } else { RegistryAuth::Anonymous };
        let mut command = Command::new(&*PROGRAM);
        command.arg("serve").arg(path("config.yaml")).env("OTEL_TRACES_EXPORTER", "none");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let registry = Self { child, port, client, auth, _files: Arc::clone(files) };
        let began = Instant::now();
        while TcpStream::connect(&name).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "the registry does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    pub(crate) fn name(&self, image: &str) -> ImageName {
        format!("127.0.0.1:{}/{image}", self.port).parse().unwrap()
    }

    /// Must be called before anything is pushed.
    pub(crate) async fn log_in(&self, name: &ImageName) -> Reference {
        let image: Reference = name.to_string().parse().unwrap();
        self.client.auth(&image, &self.auth, RegistryOperation::Push).await.unwrap();
        image
    }

    pub(crate) async fn push_blob(&self, image: &Reference, content: &[u8]) -> Value {
        let digest = digest(content);
        self.client.push_blob(image, content.to_vec(), &digest).await.unwrap();
        json!({ "digest": digest, "size": content.len() })
    }

    pub(crate) async fn push_manifest(
        &self,
        image: &Reference,
        manifest: &Value,
        kind: &'static str,
    ) -> (String, usize) {
        let content = manifest.to_string();
        let (found, size) = (digest(content.as_bytes()), content.len());
        self.client.push_manifest_raw(image, content, http::HeaderValue::from_static(kind)).await.unwrap();
        (found, size)
    }
}

/// `sha256:…`.
pub(crate) fn digest(content: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(content).iter().fold("sha256:".into(), |text, byte| format!("{text}{byte:02x}"))
}
