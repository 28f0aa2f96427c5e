//! Every variant, as a person reads it.

use std::fmt::Write;

use super::*;

/// One of each variant.
fn samples() -> Vec<Error> {
    let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let why = || "connection refused".to_owned();
    let refused = kube::core::Status::failure("deployments.apps \"server\" is forbidden", "Forbidden").with_code(403);
    vec![
        Error::BadValue { what: "--connections", given: "0".into(), why: "it takes a whole number above 0".into() },
        Error::BadImage { path: "image.tar".into(), why: "there is no such file".into() },
        Error::BadReport { name: "report.json".into(), why: "it is empty".into() },
        StateIsFile { path: "/var/lib/evenkeel".into() }.into(),
        Error::ForeignTarget { target: "192.0.2.1:80".into(), via: "eth0".into() },
        Error::StateElsewhere {
            name: "lab".into(),
            running: "/srv/labs/lab".into(),
            asked: "/var/lib/evenkeel/lab".into(),
        },
        Error::HiddenLab { name: "lab".into() },
        Error::NoLab,
        Error::LabIsUp { name: "lab".into() },
        Error::NoWorkload,
        Error::NoDataPlane { what: "kill etcd".into() },
        Error::NeedsLinux { verb: "up" },
        Error::NeedsRoot { verb: "up" },
        Error::MissingPrograms {
            missing: vec!["etcd".into(), "nft".into()],
            remedy: "evenkeel up --install-tools".into(),
        },
        Error::MissingKernel { missing: vec!["overlayfs: no such device".into()] },
        Error::InstallFailed { what: "runc".into(), why: "no C compiler".into(), hint: "apt-get install gcc".into() },
        Error::BuildFailed { what: "server".into(), why: "no cargo".into(), hint: "install Rust".into() },
        ProgramError { command: "ip link show".into(), outcome: "exit 1".into(), tail: "no such device\n".into() }
            .into(),
        Error::Component {
            component: "etcd".into(),
            what: "exited with code 1 while starting".into(),
            tail: "panic: disk\nis full".into(),
            log: "/var/lib/evenkeel/lab/logs/lab-0/etcd.log".into(),
        },
        Error::GivenUp { components: vec!["kubelet (exit 1)".into()], first: "kubelet".into() },
        Error::Deadline { what: "the rollout".into(), seconds: 60, why: "1 of 2 pods ready".into() },
        Error::NotBooted,
        Error::LittleMemory { free: 200, needed: 600 },
        Error::ImageTooLarge { image: "shop.example/app:1".into(), why: "it takes 812 MB, and 300 MB are free".into() },
        Error::FewInotifyInstances {
            needed: 64,
            free: 3,
            setting: "fs.inotify.max_user_instances",
            limit: "128".into(),
        },
        Error::Unreachable {
            address: "198.18.0.2:6443".into(),
            why: "no answer within 10 s".into(),
            link: "ek-lab".into(),
        },
        Error::RolloutStuck {
            reason: "pod server-x, container server: ErrImageNeverPull: image is not present".into(),
        },
        Error::Taken { what: "address 198.18.0.1".into(), by: "link eth1".into() },
        Error::Manifest { file: "mine/service.yaml".into(), why: "line 3: unexpected end".into() },
        KubernetesError::new("apply Deployment server", kube::Error::Api(refused.boxed())).into(),
        Error::Kubeconfig { path: "/var/lib/evenkeel/lab/kubeconfig".into(), why: "it holds no cluster".into() },
        Error::Load { target: "198.18.1.1:80".into(), why: why() },
        Error::NoAnswer { target: "http://198.18.1.1/".into(), why: why() },
        Error::Event { what: "kill etcd".into(), why: "it did not return".into() },
        Error::AssertionsMissed {
            missed: vec![
                "p99 was 7.2 ms, expected < 5 ms (10 pods)".into(),
                "errors was 3, expected == 0 (2 pods)".into(),
            ],
        },
        Error::PromisesBroken { broken: vec!["pod delete (keepalive): 3 requests failed".into()] },
        IoError::file("write", "/var/lib/evenkeel/lab/kubeconfig".as_ref(), denied()).into(),
        IoError::file("read", "/proc/mounts".as_ref(), missing()).into(),
        Error::Residue { left: vec!["link ek-lab: busy".into(), "cgroup /sys/fs/cgroup/evenkeel-lab: busy".into()] },
        Interrupted.into(),
        Error::EndedEarly { left: "the link ek-lab may be left".into(), remedy: "remove it: evenkeel down".into() },
    ]
}

/// Does not compile when a variant is new: give it a sample above, and a name here and in [`NAMES`].
fn name(error: &Error) -> &'static str {
    match error {
        Error::BadValue { .. } => "BadValue",
        Error::BadImage { .. } => "BadImage",
        Error::BadReport { .. } => "BadReport",
        Error::StateIsFile { .. } => "StateIsFile",
        Error::ForeignTarget { .. } => "ForeignTarget",
        Error::StateElsewhere { .. } => "StateElsewhere",
        Error::HiddenLab { .. } => "HiddenLab",
        Error::NoLab => "NoLab",
        Error::LabIsUp { .. } => "LabIsUp",
        Error::NoWorkload => "NoWorkload",
        Error::NoDataPlane { .. } => "NoDataPlane",
        Error::NeedsLinux { .. } => "NeedsLinux",
        Error::NeedsRoot { .. } => "NeedsRoot",
        Error::MissingPrograms { .. } => "MissingPrograms",
        Error::MissingKernel { .. } => "MissingKernel",
        Error::InstallFailed { .. } => "InstallFailed",
        Error::BuildFailed { .. } => "BuildFailed",
        Error::Program { .. } => "Program",
        Error::Component { .. } => "Component",
        Error::GivenUp { .. } => "GivenUp",
        Error::Deadline { .. } => "Deadline",
        Error::NotBooted => "NotBooted",
        Error::LittleMemory { .. } => "LittleMemory",
        Error::ImageTooLarge { .. } => "ImageTooLarge",
        Error::FewInotifyInstances { .. } => "FewInotifyInstances",
        Error::Unreachable { .. } => "Unreachable",
        Error::RolloutStuck { .. } => "RolloutStuck",
        Error::Taken { .. } => "Taken",
        Error::Manifest { .. } => "Manifest",
        Error::Kubernetes { .. } => "Kubernetes",
        Error::Kubeconfig { .. } => "Kubeconfig",
        Error::Load { .. } => "Load",
        Error::NoAnswer { .. } => "NoAnswer",
        Error::Event { .. } => "Event",
        Error::AssertionsMissed { .. } => "AssertionsMissed",
        Error::PromisesBroken { .. } => "PromisesBroken",
        Error::Io { .. } => "Io",
        Error::Residue { .. } => "Residue",
        Error::Interrupted(_) => "Interrupted",
        Error::EndedEarly { .. } => "EndedEarly",
    }
}

const NAMES: usize = 40;

#[test]
fn every_variant_says_what_happened_and_what_to_do() {
    let mut text = String::new();
    let mut names = std::collections::BTreeSet::new();
    for error in samples() {
        names.insert(name(&error));
        writeln!(text, "{} (exit {})\nerror: {error}", name(&error), error.exit_code()).unwrap();
        if !error.hint().is_empty() {
            writeln!(text, "hint: {}", error.hint()).unwrap();
        }
        text.push('\n');
    }
    assert_eq!(names.len(), NAMES, "a variant has no sample");
    insta::with_settings!({ snapshot_path => "../../tests/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("errors", text.trim_end());
    });
}
