//! `build --push`: what is sent, what is not sent again, and what a registry refuses.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use evenkeel::image::{ImageError, ImageSources, Push, PushedImage, Repository, find, push};
use evenkeel::progress::Progress;
use evenkeel::shutdown::Shutdown;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::archive::{archive, elsewhere};
use crate::server::Registry;
use crate::{INDEX, MANIFEST, here};

/// A directory with archives, and the credentials of a caller.
struct Caller {
    files: TempDir,
    sources: ImageSources,
}

impl Caller {
    fn new() -> Self {
        let files = TempDir::new().unwrap();
        let sources = ImageSources { cache: files.path().join("images"), credentials: Vec::new() };
        Self { files, sources }
    }

    fn write(&self, file: &str, content: &[u8]) -> PathBuf {
        let path = self.files.path().join(file);
        fs::write(&path, content).unwrap();
        path
    }

    /// The images of the lab for this machine, so that none is built.
    fn own(&self) -> Vec<PathBuf> {
        vec![
            self.write("server.tar", &archive("evenkeel.local/server:1", here(), &vec![1; 700_000])),
            self.write("pause.tar", &archive("evenkeel.local/pause:1", here(), &vec![2; 300_000])),
            self.write("agent.tar", &archive("evenkeel.local/agent:1", here(), &vec![3; 500_000])),
        ]
    }

    async fn push(&self, repository: &str, archives: &[PathBuf]) -> Result<Vec<PushedImage>, ImageError> {
        let repository: Repository = repository.parse().unwrap();
        let cache = self.files.path();
        let request = Push { repository: &repository, archives, cache, sources: &self.sources };
        push(&request, &Progress::silent(), &Shutdown::new()).await
    }

    /// The digest of the image that a node of this machine gets.
    async fn pulled(&self, reference: &str) -> String {
        let name = reference.parse().unwrap();
        find(&name, &self.sources, &Progress::silent(), &Shutdown::new()).await.unwrap().digest
    }
}

/// The name of a repository in a registry.
fn in_registry(registry: &Registry) -> String {
    let name = registry.name("lab/images");
    format!("{}/{}", name.registry(), name.repository())
}

#[tokio::test]
async fn images_are_pushed_once_and_pulled_back_by_their_digests() {
    let files = Arc::new(TempDir::new().unwrap());
    let registry = Registry::start_in(&files, false, json!({}));
    let (caller, repository) = (Caller::new(), in_registry(&registry));
    let first = caller.push(&repository, &caller.own()).await.unwrap();
    let names: Vec<_> = first.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names, ["server", "pause", "agent"]);
    for (image, layer) in first.iter().zip([700_000, 300_000, 500_000]) {
        assert!(!image.already_there && image.bytes_sent > layer, "{image:?}");
        assert_eq!(image.platforms, [format!("linux/{}", here())]);
        assert_eq!(image.reference, format!("{repository}@{}", image.digest));
        assert_eq!(caller.pulled(&image.reference).await, image.digest);
        assert_eq!(caller.pulled(&format!("{repository}:{}", image.tag)).await, image.digest);
    }

    // The same files in a registry that refuses to write: it says itself whether anything is sent.
    drop(registry);
    let directory = files.path().join("storage");
    let storage = json!({
        "filesystem": { "rootdirectory": directory },
        "maintenance": { "readonly": { "enabled": true } },
    });
    let registry = Registry::start_in(&files, false, json!({ "storage": storage }));
    let repository = in_registry(&registry);
    let again = caller.push(&repository, &caller.own()).await.unwrap();
    for (first, again) in first.iter().zip(&again) {
        assert!(again.already_there && again.bytes_sent == 0, "{again:?}");
        assert_eq!((&again.digest, &again.tag), (&first.digest, &first.tag));
    }
    let changed = caller.write("changed.tar", &archive("evenkeel.local/server:2", here(), b"changed"));
    let error = caller.push(&repository, &[changed, caller.own().remove(1)]).await.unwrap_err();
    let expected = format!("the images could not be pushed to {repository}: HTTP 405 Method not allowed");
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn two_architectures_are_one_index_and_only_what_is_new_is_sent() {
    let registry = Registry::start(false);
    let (caller, repository) = (Caller::new(), in_registry(&registry));
    let alone = caller.push(&repository, &caller.own()).await.unwrap();
    let other = caller.write("other.tar", &archive("evenkeel.local/server:3", elsewhere(), &vec![3; 50_000]));
    let mut archives = caller.own();
    archives.push(other);
    let both = caller.push(&repository, &archives).await.unwrap();
    assert_eq!(both[0].platforms, ["linux/amd64", "linux/arm64"]);
    assert_ne!(both[0].digest, alone[0].digest);
    assert!(both[0].bytes_sent > 50_000 && both[0].bytes_sent < 60_000, "{:?}", both[0]);
    assert!(both[1].already_there, "{:?}", both[1]);
    // A node gets the image of its architecture.
    assert_eq!(caller.pulled(&both[0].reference).await, alone[0].digest);

    let image = registry.log_in(&both[0].reference.parse().unwrap()).await;
    let client = oci_client::Client::new(oci_client::client::ClientConfig {
        protocol: oci_client::client::ClientProtocol::Http,
        ..Default::default()
    });
    let auth = oci_client::secrets::RegistryAuth::Anonymous;
    let (index, found) = client.pull_manifest_raw(&image, &auth, &[INDEX]).await.unwrap();
    assert_eq!(found, both[0].digest);
    let index: Value = serde_json::from_slice(&index).unwrap();
    let platforms: Vec<_> = index["manifests"].as_array().unwrap().iter().map(|entry| &entry["platform"]).collect();
    let platform = |architecture: &str| json!({ "os": "linux", "architecture": architecture });
    assert_eq!(platforms, [&platform("amd64"), &platform("arm64")]);
    // The order in which archives are given changes nothing.
    archives.reverse();
    let reversed = caller.push(&repository, &archives).await.unwrap();
    assert_eq!((reversed[0].already_there, &reversed[0].digest), (true, &both[0].digest));
}

#[tokio::test]
async fn archives_that_do_not_fit_are_refused_before_the_registry_is_asked() {
    let caller = Caller::new();
    // Nothing listens there.
    let repository = "127.0.0.1:1/lab";
    let same = caller.write("same.tar", &archive("evenkeel.local/server:9", here(), b"same"));
    let mut archives = caller.own();
    archives.push(same.clone());
    let error = caller.push(repository, &archives).await.unwrap_err();
    let expected = format!("both contain the image server for linux/{}", here());
    assert!(matches!(error, ImageError::SamePlatform { .. }) && error.to_string().ends_with(&expected), "{error}");
    assert!(error.to_string().contains(same.to_str().unwrap()), "{error}");

    let foreign = caller.write("foreign.tar", &archive("shop.example/web:1", here(), b"web"));
    let error = caller.push(repository, &[foreign]).await.unwrap_err();
    assert!(error.to_string().contains("shop.example/web:1") && error.to_string().contains("evenkeel.local/server"));
    let error = caller.push(repository, &["missing.tar".into()]).await.unwrap_err();
    assert!(matches!(error, ImageError::BadImage { .. }), "{error}");

    let error = caller.push(repository, &caller.own()).await.unwrap_err();
    assert!(matches!(&error, ImageError::NotPushed { why, .. } if why.contains("refused")), "{error}");
}

#[tokio::test]
async fn a_registry_with_a_password_takes_images_from_who_has_it() {
    let registry = Registry::start(true);
    let (mut caller, repository) = (Caller::new(), in_registry(&registry));
    let address = repository.split_once('/').unwrap().0.to_owned();
    let file = caller.files.path().join("config.json");
    caller.sources.credentials = vec![file.clone()];
    let auths = |password: &str| json!({ "auths": { &address: { "username": "ann", "password": password } } });
    for credentials in [json!({}), auths("wrong")] {
        fs::write(&file, credentials.to_string()).unwrap();
        let error = caller.push(&repository, &caller.own()).await.unwrap_err();
        let expected = format!("{address} did not allow to push to {repository}: authentication required");
        assert_eq!(error.to_string(), expected);
    }
    fs::write(&file, auths("secret").to_string()).unwrap();
    let pushed = caller.push(&repository, &caller.own()).await.unwrap();
    assert_eq!(caller.pulled(&pushed[0].reference).await, pushed[0].digest);
}

#[tokio::test]
async fn a_manifest_that_a_registry_refuses_is_an_error_with_its_words() {
    let policy = json!({ "policy": { "repository": { "classes": ["plugin"] } } });
    let registry = Registry::start_in(&Arc::new(TempDir::new().unwrap()), false, policy);
    let (caller, repository) = (Caller::new(), in_registry(&registry));
    let error = caller.push(&repository, &caller.own()).await.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("the images could not be pushed to {repository}: it refused the manifest server-"))
    );
    assert!(error.ends_with(&format!("({MANIFEST}): registry does not allow image manifest")), "{error}");
}

/// Runs the program with archives instead of builds.
fn evenkeel(caller: &Caller, arguments: &[&str]) -> Output {
    let own = caller.own();
    let variables = ["EVENKEEL_SERVER_IMAGE", "EVENKEEL_PAUSE_IMAGE", "EVENKEEL_AGENT_IMAGE"].into_iter().zip(&own);
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(arguments).envs(variables).env("EVENKEEL_CACHE_DIR", caller.files.path().join("cache"));
    command.env("HOME", caller.files.path()).env_remove("XDG_RUNTIME_DIR").env_remove("SUDO_UID").output().unwrap()
}

#[test]
fn the_command_prints_what_manifests_name_and_the_next_command() {
    let registry = Registry::start(false);
    let (caller, repository) = (Caller::new(), in_registry(&registry));
    let other = caller.write("other.tar", &archive("evenkeel.local/server:3", elsewhere(), b"other"));
    let arguments = ["build", "--push", &repository, "--archive", other.to_str().unwrap()];
    let output = evenkeel(&caller, &arguments);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("linux/amd64,linux/arm64"), "{said}");

    let output = evenkeel(&caller, &[&arguments[..], &["--json"]].concat());
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let server = &json["pushed"][0];
    assert_eq!(
        (&server["name"], &server["already_there"], &server["bytes_sent"]),
        (&json!("server"), &json!(true), &json!(0))
    );
    let reference = server["reference"].as_str().unwrap();
    assert_eq!(reference, format!("{repository}@{}", server["digest"].as_str().unwrap()));
    assert!(said.ends_with(&format!("\nTo deploy it: evenkeel deploy --image {reference}\n")), "{said}");

    let address = repository.split_once('/').unwrap().0;
    drop(registry);
    let output = evenkeel(&caller, &arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("the images could not be pushed to {repository}: Connection refused")), "{error}");
    assert!(error.contains(&format!("log in to {address}")), "{error}");
}
