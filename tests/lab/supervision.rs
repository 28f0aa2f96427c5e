//! Killed components: each is restarted, and no pod is affected.

use std::path::Path;

use evenkeel::cluster::ClusterError;
use evenkeel::cluster::{self, Cluster, component_names, component_process};
use evenkeel::config::Paths;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lab::{Lab, NAME, eventually};

#[test]
fn each_component_that_is_killed_comes_back_and_no_pod_restarts() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", "3"]);
    let cluster = cluster_of(&lab);
    let (pods, processes) = (pods(&lab), crate::host::lab_processes_named("evenkeel-server"));
    assert_eq!((pods.len(), processes.len()), (3, 3));
    an_unknown_component_is_refused_with_the_names(&cluster);
    components_have_more_cpu_shares_than_pods();

    let names = component_names(&cluster).unwrap();
    assert_eq!(names.len(), 11, "{names:?}");
    for name in &names {
        let process = component_process(&cluster, name).unwrap();
        let program = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap();
        let command = lab.state().join("logs").join(&process.node).join(format!("{name}.command"));
        let command = std::fs::read_to_string(command).unwrap();
        let program = String::from_utf8_lossy(program.split(|&byte| byte == 0).next().unwrap()).into_owned();
        assert!(command.contains(&program), "the process of {name} is {program}");
        process.signal(Signal::SIGKILL).unwrap();
        eventually(&format!("{name} runs again"), || {
            let component = said_of(&cluster, name);
            (component["state"] == "running" && component["restarts"] == 1).then_some(())
        });
        assert_eq!(said_of(&cluster, name)["last_exit"], "signal 9");
        assert!(process.signal(Signal::SIGKILL).is_err(), "a signal to the ended process succeeded");
        assert_ne!(component_process(&cluster, name).unwrap().pid, process.pid);
    }
    lab.ok(&["scale", "5"]);
    let after = self::pods(&lab);
    assert!(pods.iter().all(|pod| after.contains(pod)), "a pod restarted: {pods:?}, then {after:?}");
    let now = crate::host::lab_processes_named("evenkeel-server");
    assert!(processes.iter().all(|pid| now.contains(pid)), "the process of a pod changed: {processes:?}, then {now:?}");
}

/// When CPU time is short, the components get several times as much as the pods.
fn components_have_more_cpu_shares_than_pods() {
    let groups = crate::host::cgroups();
    let share_of = |group: &str| {
        let paths = groups.iter().filter(|path| path.contains(&format!("/evenkeel-{NAME}/")) && path.ends_with(group));
        let files = paths.flat_map(|path| ["cpu.weight", "cpu.shares"].map(|file| format!("{path}/{file}")));
        files.filter_map(|file| std::fs::read_to_string(file).ok()).find_map(|text| text.trim().parse::<u64>().ok())
    };
    let (components, pods) = (share_of("/init").unwrap(), share_of("/kubepods").unwrap());
    assert!(components >= 3 * pods, "{components} for the components, {pods} for the pods");
}

pub(crate) fn cluster_of(lab: &Lab) -> Cluster {
    let name = NAME.parse().unwrap();
    let paths = Paths::new(&name, lab.state().parent(), Some(Path::new("/nowhere")));
    cluster::find(&name, &paths).unwrap()
}

fn an_unknown_component_is_refused_with_the_names(cluster: &Cluster) {
    let error = component_process(cluster, "kubelat").unwrap_err();
    assert!(matches!(error, ClusterError::UnknownComponent { .. }), "{error:?}");
    for part in ["kubelat", "kubelet", "etcd", "containerd"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

/// The status of a component from the supervisor, since the killed component may be the API server.
pub(crate) fn said_of(cluster: &Cluster, name: &str) -> Value {
    let all = cluster::components(cluster).unwrap();
    let component = all.into_iter().flat_map(|(_, components)| components).find(|component| component.name == name);
    serde_json::to_value(component).unwrap()
}

/// Each pod's name with the restarts of its containers.
fn pods(lab: &Lab) -> Vec<(String, u64)> {
    let pods = lab.kube().get("/api/v1/namespaces/evenkeel/pods");
    let each = pods["items"].as_array().unwrap().iter();
    each.map(|pod| {
        let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap();
        (pod["metadata"]["name"].as_str().unwrap().to_owned(), restarts)
    })
    .collect()
}

#[test]
fn a_component_that_dies_again_and_again_is_given_up_and_status_says_what_to_do() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    let cluster = cluster_of(&lab);
    let config = lab.state().join(format!("{NAME}-0")).join("conf").join("scheduler.json");
    std::fs::write(config, "the dog ate my lease").unwrap();
    component_process(&cluster, "kube-scheduler").unwrap().signal(Signal::SIGKILL).unwrap();
    // The first failure is reported while the component is still being restarted.
    eventually("the end of its log", || {
        let words = said_of(&cluster, "kube-scheduler")["last_words"].as_str()?.to_owned();
        words.contains("json").then_some(())
    });
    let status = lab.ok(&["status"]);
    assert!(status.contains("last log line of kube-scheduler: "), "{status}");

    // The delays between the restarts add up to a minute.
    let began = std::time::Instant::now();
    while said_of(&cluster, "kube-scheduler")["state"] != "given-up" {
        assert!(began.elapsed().as_secs() < 180, "{}", said_of(&cluster, "kube-scheduler"));
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let output = lab.run(&["status"]);
    let (told, said) = (crate::lab::text(&output.stdout), crate::lab::text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(told.contains("GivenUp"), "{told}");
    for part in ["kube-scheduler (exit 1)", "logs --component kube-scheduler", "evenkeel down", "evenkeel up"] {
        assert!(said.contains(part), "{part:?} is missing: {said}");
    }
    let error = component_process(&cluster, "kube-scheduler").unwrap_err();
    assert!(error.to_string().contains("does not run"), "{error}");
}
