//! A lab for a test: runs the real program, and removes the lab at the end of the test.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::host::Host;

pub(crate) const NAME: &str = "ci";

/// A lab, and the lock that makes it the only one. The lab is removed when the value is dropped.
pub(crate) struct Lab {
    _only: MutexGuard<'static, ()>,
    state: tempfile::TempDir,
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

impl Lab {
    /// Waits for the lock and removes what an earlier test left. `None` if the test does not run as root and
    /// `EVENKEEL_SKIP_ROOT_TESTS` is set.
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

    /// A lab that is not up, and the state of the machine without it. The first call boots and removes a lab once before:
    /// that installs the toolbox and loads kernel modules, which add kernel settings.
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

    /// The program with these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        // Under `nohup`, or in the background of a shell, the tests inherit ignored signals, which the program would keep
        // ignoring.
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP,INT,TERM", env!("CARGO_BIN_EXE_evenkeel")]).args(arguments);
        command.env("EVENKEEL_NAME", NAME).env("EVENKEEL_STATE_DIR", self.state.path());
        command.stdin(Stdio::null());
        command
    }

    /// Runs a script in new namespaces, made by `unshare` with these options. The program is `$EVENKEEL`.
    pub(crate) fn script(&self, unshare: &[&str], script: &str) -> Output {
        self.script_command(unshare, script).output().unwrap()
    }

    /// The command that runs such a script.
    pub(crate) fn script_command(&self, unshare: &[&str], script: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(unshare).args(["--", "bash", "-c", script]).stdin(Stdio::null());
        command.env("EVENKEEL", env!("CARGO_BIN_EXE_evenkeel")).env("EVENKEEL_NAME", NAME);
        command.env("EVENKEEL_STATE_DIR", self.state.path());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program to its end with this text as its stdin.
    pub(crate) fn run_with_stdin(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut command = self.command(arguments);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs the program, which must succeed. Returns its stdout.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "evenkeel {arguments:?}: {}\n{stdout}\n{stderr}", output.status);
        stdout
    }

    /// Runs the program with `--json`, which must succeed. Returns its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = std::iter::once("--json").chain(arguments.iter().copied()).collect();
        let stdout = self.ok(&arguments);
        serde_json::from_str(&stdout)
            .unwrap_or_else(|error| panic!("{arguments:?} did not print JSON ({error}): {stdout}"))
    }

    /// Runs the kubectl of the toolbox, which must succeed. Returns its stdout.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let mut kubectl = Command::new(self.state().join("bin/kubectl"));
        let output = kubectl.args(arguments).env("KUBECONFIG", self.state().join("kubeconfig")).output().unwrap();
        assert!(output.status.success(), "kubectl {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Boots the lab, and installs the toolbox if necessary.
    pub(crate) fn up(&self) {
        self.ok(&["up", "--install-tools"]);
    }

    /// Removes the lab, if there is one.
    pub(crate) fn down(&self) {
        self.ok(&["down"]);
    }

    /// A client of the API server with the rights of the lab's administrator.
    pub(crate) fn kube(&self) -> Kube {
        Kube::new(&self.state().join("kubeconfig"))
    }

    /// The status of one component, from `evenkeel status`.
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

/// A blocking client of the API server.
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

    /// The response of a path that does not return JSON.
    pub(crate) fn text(&self, path: &str) -> String {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        self.runtime.block_on(self.client.request_text(request)).unwrap()
    }

    /// Whether there is an object at this path.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        self.runtime.block_on(self.client.request_text(request)).is_ok()
    }

    pub(crate) fn create(&self, path: &str, object: &Value) -> Value {
        self.request("POST", path, "application/json", object).unwrap()
    }

    /// Like [`Kube::create`], but returns the error if the API server refuses.
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

/// Calls `answer` until it returns a value. Fails with `what` after 30 s, much longer than it should take.
pub(crate) fn eventually<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = answer() {
            return value;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "timed out waiting: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Sends one request on a new connection. Returns the status line, the headers and the body.
pub(crate) fn get(address: Ipv4Addr, port: u16, path: &str) -> std::io::Result<String> {
    use std::io::Read;
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
