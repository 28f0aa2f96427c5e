//! `logs --follow` continues when the API server or the kubelet is killed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use evenkeel::cluster::component_process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::lab::{Lab, eventually};
use crate::supervision::{cluster_of, said_of};

#[test]
fn followed_logs_go_on_after_the_api_server_and_the_kubelet_were_killed() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", "1"]);
    let cluster = cluster_of(&lab);
    let pod = Followed::begin(&lab, &["--json", "logs", "--follow"]);
    let component = Followed::begin(&lab, &["logs", "--follow", "--component", "kubelet"]);
    let mut expected = vec!["started"];
    eventually("the pod's first line", || (pod.messages() == expected).then_some(()));

    for name in ["kube-apiserver", "kubelet"] {
        let restarts = said_of(&cluster, name)["restarts"].as_u64().unwrap();
        component_process(&cluster, name).unwrap().signal(Signal::SIGKILL).unwrap();
        // The server writes two lines and ends while its log cannot be read. Then it is started again.
        stop_the_server();
        eventually(&format!("{name} runs again"), || {
            let status = said_of(&cluster, name);
            (status["state"] == "running" && status["restarts"] == restarts + 1).then_some(())
        });
        expected.extend(["draining", "stopped", "started"]);
        eventually(&format!("the lines after {name} was killed"), || {
            (pod.messages().len() >= expected.len()).then_some(())
        });
        assert_eq!(pod.messages(), expected, "each line once, in order, after {name} was killed");
    }

    let log = lab.state().join("logs").join(format!("{}-0", crate::lab::NAME)).join("kubelet.log");
    let written = std::fs::read_to_string(log).unwrap();
    let written: Vec<&str> = written.lines().collect();
    assert!(written.len() > 2, "{written:?}");
    let written = &written[..written.len() - 1];
    eventually("the kubelet's own lines", || (component.lines().len() >= written.len()).then_some(()));
    assert_eq!(component.lines()[..written.len()], *written);
}

/// Sends SIGTERM to the only server of the lab.
fn stop_the_server() {
    let servers = crate::host::lab_processes_named("evenkeel-server");
    assert_eq!(servers.len(), 1, "{servers:?}");
    kill(Pid::from_raw(servers[0]), Signal::SIGTERM).unwrap();
}

/// A running `logs --follow` and the lines that it has written. It is killed when the value is dropped.
struct Followed {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Followed {
    fn begin(lab: &Lab, arguments: &[&str]) -> Self {
        let mut child = lab.command(arguments).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (stdout, lines) = (child.stdout.take().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let written = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                written.lock().unwrap().push(line.unwrap());
            }
        });
        Self { child, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The messages of the server's log lines.
    fn messages(&self) -> Vec<String> {
        let message = |line: &String| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text: Value = serde_json::from_str(line["text"].as_str().unwrap()).unwrap_or_else(|_| panic!("{line}"));
            text["message"].as_str().unwrap().to_owned()
        };
        let messages: Vec<String> = self.lines().iter().map(message).collect();
        // The number of these lines depends on timing.
        messages.into_iter().filter(|message| message != "draining on").collect()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
