//! The registry of a node: what containerd asks for each image that the kubelet pulls.
//!
//! It listens on the loopback interface of the sandbox, and answers only requests with a token that containerd alone has. An
//! image that the node has is what a pull gets. Any other image is found by a program that runs outside the sandbox, where
//! the machine's registries and Docker or Podman are, and is imported before the answer. So containerd never needs a
//! connection of its own, and pods have no way out.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use crate::image::ImageName;
use crate::io_error::IoError;
use crate::platform::MachineNamespaces;
use crate::process::{Invocation, ProgramError, last_lines};

use super::component::CONTAINERD_SOCKET;
use super::plan::read_json;

/// Where it listens in the sandbox.
pub(super) const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10270);
/// The header in which containerd sends the token.
pub(super) const TOKEN_HEADER: &str = "x-evenkeel-token";
/// The header with the digest of a manifest.
const DIGEST_HEADER: &str = "docker-content-digest";
/// How long a failure is the answer to a GET: after a HEAD that failed, containerd asks for the reason in this way.
const FAILURE: Duration = Duration::from_secs(5);

/// What the mirror needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorSettings {
    /// What containerd sends in the header for the token.
    pub token: String,
    /// The program `ctr`.
    pub ctr: PathBuf,
    /// This program.
    pub evenkeel: PathBuf,
    /// The lab's cache.
    pub cache: PathBuf,
    /// The environment of the program that finds images.
    pub environment: Vec<(String, String)>,
}

impl MirrorSettings {
    /// Reads the file that `up` wrote.
    ///
    /// # Errors
    /// [`IoError`] when it cannot be read.
    pub fn read(path: &Path) -> Result<Self, IoError> {
        read_json(path)
    }
}

/// Answers until the process is killed. Images are found in `machine`.
///
/// # Errors
/// [`IoError`] when the address cannot be used.
pub async fn serve(settings: MirrorSettings, machine: MachineNamespaces) -> Result<(), IoError> {
    let failed = |source| IoError::new(format!("listen on {ADDRESS}"), source);
    let mirror = Mirror { settings, machine, known: Mutex::default() };
    let routes = Router::new().route("/v2/", get(async || "")).route("/v2/{*path}", get(manifest));
    let listener = TcpListener::bind(ADDRESS).await.map_err(failed)?;
    axum::serve(listener, routes.with_state(Arc::new(mirror))).await.map_err(failed)
}

struct Mirror {
    settings: MirrorSettings,
    machine: MachineNamespaces,
    known: Mutex<HashMap<ImageName, Arc<Mutex<Known>>>>,
}

/// What is known of one image. It is locked while the image is pulled.
#[derive(Debug, Default)]
struct Known {
    /// The digest of the image that was pulled here. If the node has another one, a command imported that.
    pulled: Option<String>,
    /// The last failure.
    failed: Option<(Instant, String)>,
}

/// An image that the node has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Present {
    kind: String,
    digest: String,
}

#[derive(Deserialize)]
struct Namespace {
    /// The registry that the mirror stands for.
    #[serde(rename = "ns")]
    registry: Option<String>,
}

async fn manifest(
    State(mirror): State<Arc<Mirror>>,
    method: Method,
    UrlPath(path): UrlPath<String>,
    Query(namespace): Query<Namespace>,
    headers: HeaderMap,
) -> Response {
    if headers.get(TOKEN_HEADER).is_none_or(|token| token.as_bytes() != mirror.settings.token.as_bytes()) {
        return refusal(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "only the node's container runtime may pull");
    }
    let Some(name) = namespace.registry.and_then(|registry| image_name(&registry, &path)) else {
        // The node has every layer of an image of which it has the manifest.
        return refusal(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "nodes import images as a whole");
    };
    let known = Arc::clone(mirror.known.lock().await.entry(name.clone()).or_default());
    let mut known = known.lock().await;
    if method == Method::GET
        && let Some((_, why)) = known.failed.take_if(|(at, _)| at.elapsed() < FAILURE)
    {
        return unavailable(&why);
    }
    match mirror.answer(&name, &mut known).await {
        Ok((Present { kind, digest }, content)) => {
            ([(header::CONTENT_TYPE.as_str(), kind), (DIGEST_HEADER, digest)], content).into_response()
        }
        Err(why) => {
            log(&name, &why);
            known.failed = Some((Instant::now(), why.clone()));
            unavailable(&why)
        }
    }
}

fn log(name: &ImageName, why: &str) {
    // If the log cannot be written, the response still says why.
    let _ = writeln!(io::stderr().lock(), "{name}: {why}");
}

/// containerd shows the message only of responses with this status.
fn unavailable(why: &str) -> Response {
    refusal(StatusCode::FORBIDDEN, "UNAVAILABLE", why)
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let errors = json!({ "errors": [{ "code": code, "message": message }] });
    (status, [(header::CONTENT_TYPE, "application/json")], errors.to_string()).into_response()
}

/// The image of a request for a manifest: `library/nginx/manifests/1.29`.
fn image_name(registry: &str, path: &str) -> Option<ImageName> {
    let (repository, version) = path.rsplit_once("/manifests/")?;
    let separator = if version.contains(':') { '@' } else { ':' };
    format!("{registry}/{repository}{separator}{version}").parse().ok()
}

impl Mirror {
    /// The manifest of the image, or the index if the name has the digest of one: containerd verifies the digest.
    async fn answer(&self, name: &ImageName, known: &mut Known) -> Result<(Present, Vec<u8>), String> {
        let present = self.provide(name, known).await?;
        if let Some(digest) = name.digest().filter(|digest| *digest != present.digest)
            && let Some(index) = self.index(name).await?
        {
            return Ok((Present { kind: kind_of_index(&index), digest: digest.to_owned() }, index));
        }
        let content = self.content(&present.digest).await?;
        Ok((present, content))
    }

    async fn index(&self, name: &ImageName) -> Result<Option<Vec<u8>>, String> {
        let failed = |source: io::Error| format!("the index could not be read: {source}");
        let find = self.find(name, Some("--index".to_owned())).map_err(failed)?;
        let output = find.wait_with_output().await.map_err(failed)?;
        if !output.status.success() {
            return Err(reason(&String::from_utf8_lossy(&output.stderr)));
        }
        Ok(Some(output.stdout).filter(|index| !index.is_empty()))
    }

    /// Makes sure that the node has the image. An image that a command imported is never replaced.
    async fn provide(&self, name: &ImageName, known: &mut Known) -> Result<Present, String> {
        let present = self.present(name).await?;
        let imported = present.as_ref().filter(|present| known.pulled.as_ref() != Some(&present.digest));
        if let Some(imported) = imported {
            return Ok(imported.clone());
        }
        match (self.pull(name, known.pulled.as_deref()).await, present) {
            (Ok(()), _) => {
                let present = self.present(name).await?;
                known.pulled = present.as_ref().map(|present| present.digest.clone());
                present.ok_or_else(|| format!("containerd has imported an image, but not as {name}"))
            }
            (Err(why), present) => present.ok_or(why),
        }
    }

    /// Finds the image outside the sandbox, and imports it unless its digest is that of the image `known`.
    async fn pull(&self, name: &ImageName, known: Option<&str>) -> Result<(), String> {
        let failed = |source: io::Error| format!("the image could not be imported: {source}");
        let mut find = self.find(name, known.map(|digest| format!("--known={digest}"))).map_err(failed)?;
        let mut archive = find.stdout.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let mut messages = find.stderr.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let mut written = String::new();
        let import = async {
            let mut first = [0];
            // Nothing is written if there is no image, and if the node has it already.
            if archive.read(&mut first).await? == 0 {
                return Ok((Ok(()), Ok(())));
            }
            let archive = io::Cursor::new(first).chain(archive);
            import(&self.ctr(&["images", "import", "-"]), archive).await
        };
        let (imported, read) = tokio::join!(import, messages.read_to_string(&mut written));
        read.map_err(failed)?;
        let found = find.wait().await.map_err(failed)?;
        match imported.map_err(failed)? {
            // ctr ended before it had the whole archive, which is also why the rest could not be written.
            (Err(_), Err(error)) => Err(error.to_string()),
            _ if !found.success() => Err(reason(&written)),
            (_, Err(error)) => Err(error.to_string()),
            (sent, Ok(())) => sent.map_err(failed),
        }
    }

    fn find(&self, name: &ImageName, flag: Option<String>) -> io::Result<Child> {
        let mut arguments = vec!["--json".to_owned(), "sandbox".to_owned(), "find-image".to_owned(), name.to_string()];
        arguments.extend(flag);
        let cache = [Path::new("--cache"), &self.settings.cache];
        let arguments = arguments.iter().map(Path::new).chain(cache);
        let mut command = Invocation::new(&self.settings.evenkeel, arguments).command();
        command.env_clear().envs(self.settings.environment.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.machine.run_in(&mut command);
        Command::from(command).kill_on_drop(true).spawn()
    }

    async fn present(&self, name: &ImageName) -> Result<Option<Present>, String> {
        let list = self.ctr(&["images", "ls", &format!("name=={name}")]).run_async().await;
        Ok(parse_list(&String::from_utf8_lossy(&list.map_err(|error| error.to_string())?), name))
    }

    /// A manifest.
    async fn content(&self, digest: &str) -> Result<Vec<u8>, String> {
        self.ctr(&["content", "get", digest]).run_async().await.map_err(|error| error.to_string())
    }

    fn ctr(&self, arguments: &[&str]) -> Invocation {
        let head = ["--address", CONTAINERD_SOCKET, "--namespace", "k8s.io"];
        Invocation::new(&self.settings.ctr, head.iter().chain(arguments))
    }
}

/// Runs `ctr` with the archive as its input. Returns whether it read the whole archive, and whether it succeeded. The archive
/// is closed before this returns, so that its writer ends, too.
async fn import(
    ctr: &Invocation,
    mut archive: impl AsyncRead + Unpin,
) -> io::Result<(io::Result<()>, Result<(), ProgramError>)> {
    let mut command = Command::from(ctr.command());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let input = child.stdin.take();
    let write = async move {
        match input {
            Some(mut input) => tokio::io::copy(&mut archive, &mut input).await.map(drop),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    };
    let (written, output) = tokio::join!(write, child.wait_with_output());
    Ok((written, ctr.check(output?).map(drop)))
}

/// The image of that name in what `ctr images ls` prints: a line of titles, and then a line for each image, which begins
/// with its name, media type and digest.
fn parse_list(list: &str, name: &ImageName) -> Option<Present> {
    let name = name.to_string();
    let lines = list.lines().map(str::split_whitespace);
    let mut of_image = lines.filter_map(|mut words| (words.next() == Some(&name)).then_some(words));
    let mut words = of_image.next()?;
    Some(Present { kind: words.next()?.to_owned(), digest: words.next()?.to_owned() })
}

/// The media type of an index. OCI's may leave it out.
fn kind_of_index(index: &[u8]) -> String {
    let index: Value = serde_json::from_slice(index).unwrap_or_default();
    index["mediaType"].as_str().unwrap_or("application/vnd.oci.image.index.v1+json").to_owned()
}

/// Why this program failed, from the lines of JSON that it wrote.
fn reason(written: &str) -> String {
    let mut events = written.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let error = events.rfind(|event| event["event"] == "error");
    let message = error.as_ref().and_then(|error| error["message"].as_str());
    message.map_or_else(|| last_lines(written.trim(), 1), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_an_image_by_tag_or_digest() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let by_digest = format!("shop/web/manifests/{digest}");
        for (registry, path, image) in [
            ("docker.io", "library/nginx/manifests/1.29", "docker.io/library/nginx:1.29".to_owned()),
            ("localhost:5000", by_digest.as_str(), format!("localhost:5000/shop/web@{digest}")),
        ] {
            assert_eq!(image_name(registry, path).unwrap().to_string(), image);
        }
        assert_eq!(image_name("docker.io", "library/nginx/blobs/sha256:0"), None);
        assert_eq!(image_name("docker.io", "A/manifests/B C"), None);
    }

    #[tokio::test]
    async fn an_import_that_fails_reads_no_endless_archive() {
        let ctr = Invocation::new("false", ["images"]);
        let (sent, imported) = import(&ctr, tokio::io::repeat(0)).await.unwrap();
        assert!(sent.is_err());
        assert_eq!(imported.unwrap_err().outcome, "exit 1");
    }

    #[test]
    fn a_failure_is_the_message_of_the_last_error() {
        let lines = "{\"event\":\"note\",\"message\":\"a\"}\n{\"event\":\"error\",\"message\":\"b\",\"hint\":\"c\"}\n";
        assert_eq!(reason(lines), "b");
        assert_eq!(reason("thread panicked\nno memory\n"), "no memory");
    }

    #[test]
    fn an_index_has_the_media_type_that_it_says_or_that_of_oci() {
        assert_eq!(kind_of_index(br#"{"mediaType":"a/b"}"#), "a/b");
        assert_eq!(kind_of_index(br#"{"schemaVersion":2}"#), "application/vnd.oci.image.index.v1+json");
    }

    #[test]
    fn an_image_is_found_by_its_whole_name() {
        let list = "REF TYPE DIGEST SIZE PLATFORMS LABELS\n\
                    docker.io/library/app:1 application/vnd.oci.image.manifest.v1+json sha256:12 3.1 MiB linux/amd64 -\n";
        let found = |name: &str| parse_list(list, &name.parse().unwrap()).map(|present| present.digest);
        assert_eq!(found("app:1"), Some("sha256:12".to_owned()));
        assert_eq!(found("app:2"), None);
    }
}
