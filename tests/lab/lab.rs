//! One lab under test: runs the real program, and takes it down whatever happens.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::host::Host;

pub(crate) const NAME: &str = "ci";

/// A lab, and the right to be the only one. Dropped, it is taken down.
pub(crate) struct Lab {
    _only: MutexGuard<'static, ()>,
    state: tempfile::TempDir,
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

impl Lab {
    /// Takes the turn, and sees to it that the toolbox is there; `None` where root is lacking and a variable says that
    /// this is all right.
    pub(crate) fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            assert!(
                std::env::var_os("EVENKEEL_SKIP_ROOT_TESTS").is_some(),
                "these tests make namespaces and links: run them as root, or set EVENKEEL_SKIP_ROOT_TESTS=1"
            );
            return None;
        }
        let only = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let state = tempfile::Builder::new().prefix("evenkeel-test-").tempdir_in("/var/lib").unwrap();
        let lab = Self { _only: only, state };
        lab.down();
        Some(lab)
    }

    /// A lab that is not up, and the machine as it is without it: after a first round, which brings the toolbox, whose
    /// packages load kernel modules with settings of their own.
    pub(crate) fn and_host() -> Option<(Self, Host)> {
        static FIRST_ROUND: Once = Once::new();
        let lab = Self::new()?;
        FIRST_ROUND.call_once(|| {
            lab.up();
            lab.down();
        });
        Some((lab, Host::look()))
    }

    /// The lab's state directory.
    pub(crate) fn state(&self) -> PathBuf {
        self.state.path().join(NAME)
    }

    /// The program with arguments, as a person would call it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        command.args(arguments).env("EVENKEEL_NAME", NAME).env("EVENKEEL_STATE_DIR", self.state.path());
        command.stdin(Stdio::null());
        command
    }

    /// A script in namespaces of its own, made by `unshare` with these options; the program is `$EVENKEEL`.
    pub(crate) fn script(&self, unshare: &[&str], script: &str) -> Output {
        let mut command = Command::new("unshare");
        command.args(unshare).args(["--", "bash", "-c", script]).stdin(Stdio::null());
        command.env("EVENKEEL", env!("CARGO_BIN_EXE_evenkeel")).env("EVENKEEL_NAME", NAME);
        command.env("EVENKEEL_STATE_DIR", self.state.path()).output().unwrap()
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program, which must succeed; returns what it wrote to stdout.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "evenkeel {arguments:?}: {}\n{stdout}\n{stderr}", output.status);
        stdout
    }

    /// Runs the program with `--json`, which must succeed; returns what it said.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = std::iter::once("--json").chain(arguments.iter().copied()).collect();
        let stdout = self.ok(&arguments);
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{arguments:?} said no JSON ({error}): {stdout}"))
    }

    /// Boots it, toolbox and all.
    pub(crate) fn up(&self) {
        self.ok(&["up", "--install-tools"]);
    }

    /// Takes it down; harmless when there is nothing.
    pub(crate) fn down(&self) {
        self.ok(&["down"]);
    }

    /// `kubectl`'s place is taken by a plain request: a GET or a body to the API server as the lab's administrator.
    pub(crate) fn kube(&self) -> Kube {
        Kube::new(&self.state().join("kubeconfig"))
    }

    /// One component as `status` sees it.
    pub(crate) fn component(&self, name: &str) -> Value {
        let status = self.json(&["status"]);
        let nodes = status["components"].as_array().cloned().unwrap_or_default();
        let components = nodes.iter().flat_map(|node| node["components"].as_array().cloned().unwrap_or_default());
        let mut named = components.filter(|component| component["name"] == name);
        named.next().unwrap_or_else(|| panic!("no component {name} in {status:#}"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let output = self.run(&["down"]);
        if !output.status.success() {
            eprintln!("down failed: {}", text(&output.stderr));
        }
    }
}

/// The API server, asked synchronously.
pub(crate) struct Kube {
    runtime: tokio::runtime::Runtime,
    client: kube::Client,
}

impl Kube {
    fn new(kubeconfig: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let config = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
            let options = kube::config::KubeConfigOptions::default();
            kube::Client::try_from(kube::Config::from_custom_kubeconfig(config, &options).await.unwrap()).unwrap()
        });
        Self { runtime, client }
    }

    fn request(&self, method: &str, path: &str, kind: &str, body: &Value) -> Result<Value, kube::Error> {
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
        let request =
            http::Request::builder().method(method).uri(path).header("content-type", kind).body(body).unwrap();
        self.runtime.block_on(self.client.request::<Value>(request))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.request("GET", path, "application/json", &Value::Null).unwrap()
    }

    /// What a path answers that speaks no JSON.
    pub(crate) fn text(&self, path: &str) -> String {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        self.runtime.block_on(self.client.request_text(request)).unwrap()
    }

    pub(crate) fn create(&self, path: &str, object: &Value) -> Value {
        self.request("POST", path, "application/json", object).unwrap()
    }

    /// As [`Kube::create`], where the API server may say no; returns what it said.
    pub(crate) fn try_create(&self, path: &str, object: &Value) -> Result<Value, String> {
        self.request("POST", path, "application/json", object).map_err(|error| error.to_string())
    }

    pub(crate) fn patch(&self, path: &str, change: &Value) -> Value {
        self.request("PATCH", path, "application/merge-patch+json", change).unwrap()
    }

    pub(crate) fn delete(&self, path: &str) {
        self.request("DELETE", path, "application/json", &Value::Null).unwrap();
    }
}

/// Asks until `answer` gives something; fails with `what` after half a minute, far beyond what it takes.
pub(crate) fn eventually<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = answer() {
            return value;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One request on a connection of its own: the status line, headers and body.
pub(crate) fn get(address: Ipv4Addr, port: u16, path: &str) -> std::io::Result<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect_timeout(&(address, port).into(), Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
