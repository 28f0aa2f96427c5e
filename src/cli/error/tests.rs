//! A snapshot of every variant with its hint and exit code.

use std::fmt::Write;
use std::num::NonZeroU32;

use super::*;
use crate::cluster::{LinkAddition, LinkChanges, LinkManager};
use crate::image::{BuildNeed, BuildRemedy};
use crate::kubernetes_error::KubernetesError;
use crate::process::ProgramError;
use crate::toolbox::kernel::{LimitKind, PodLimit};
use crate::toolbox::{InstallRemedy, Installation};
use crate::workload::ScaleObstacle;
use crate::workload::manifest::ManifestPlace;
use evenkeel_grpc::SchemaError;

/// One of each variant.
#[allow(clippy::too_many_lines, reason = "a list")]
fn samples() -> Vec<Error> {
    let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let why = || "connection refused".to_owned();
    let schema = |error: SchemaError| Error::from(ExperimentError::from(error));
    let expired = kube::core::Status::failure("Unauthorized", "Unauthorized").with_code(401);
    let forbidden = "pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\"";
    let forbidden = kube::core::Status::failure(forbidden, "Forbidden").with_code(403);
    let refused = kube::core::Status::failure("deployments.apps \"server\" is forbidden", "Forbidden").with_code(403);
    vec![
        Error::BadValue { what: "--connections", given: "0".into(), why: "expected a whole number above 0".into() },
        ImageError::BadImage { path: "image.tar".into(), why: "there is no such file".into() }.into(),
        ImageError::SeveralImages {
            path: "all.tar".into(),
            images: vec!["docker.io/library/web:1".into(), "docker.io/library/db:1".into()],
        }
        .into(),
        ImageError::NoName { path: "image.tar".into(), image: "latest".into() }.into(),
        ImageError::WrongPlatform {
            image: "docker.io/library/app:1".into(),
            found: "linux/arm64".into(),
            wanted: "linux/amd64".into(),
        }
        .into(),
        ImageError::Registry { image: "ghcr.io/a/b:1".into(), registry: "ghcr.io".into(), why: why() }.into(),
        ImageError::Unauthorised {
            image: "ghcr.io/a/b:1".into(),
            registry: "ghcr.io".into(),
            why: "authentication required".into(),
        }
        .into(),
        ImageError::NotInRegistry {
            image: "ghcr.io/a/b:1".into(),
            registry: "ghcr.io".into(),
            why: "manifest unknown".into(),
        }
        .into(),
        ImageError::UnknownImage {
            path: "app.tar".into(),
            image: "docker.io/library/app:1".into(),
            known: vec!["evenkeel.local/server".into(), "evenkeel.local/pause".into()],
        }
        .into(),
        ImageError::SamePlatform {
            image: "server".into(),
            platform: "linux/arm64".into(),
            first: "one.tar".into(),
            second: "two.tar".into(),
        }
        .into(),
        ImageError::NotPushed { repository: "ghcr.io/me/evenkeel".into(), why: why() }.into(),
        ImageError::PushRefused {
            repository: "ghcr.io/me/evenkeel".into(),
            registry: "ghcr.io".into(),
            why: "authentication required".into(),
        }
        .into(),
        Error::ContainerImage {
            container: "Deployment web, init container migrate".into(),
            source: ImageError::NotInRegistry {
                image: "ghcr.io/a/b:1".into(),
                registry: "ghcr.io".into(),
                why: "manifest unknown".into(),
            },
        },
        ReportError::BadReport { name: "report.json".into(), why: "it is empty".into() }.into(),
        StateIsFile { path: "/var/lib/evenkeel".into() }.into(),
        WorkloadError::ForeignTarget { target: "192.0.2.1:80".into(), via: "eth0".into() }.into(),
        Error::NeedsYes { what: "scale".into(), context: "prod".into() },
        Error::Declined { what: "scale".into() },
        ClusterError::ForeignKubeconfig { from: "~/.kube/config".into(), why: "it has no context".into() }.into(),
        ClusterError::UnknownContext {
            given: "nope".into(),
            from: "~/.kube/config".into(),
            contexts: vec!["prod".into(), "test".into()],
        }
        .into(),
        ClusterError::ForeignUnreachable {
            context: "prod".into(),
            server: "https://192.0.2.1:6443".into(),
            why: "no answer within 10 s".into(),
        }
        .into(),
        WorkloadError::NoBalanced { namespace: "shop".into(), services: vec!["shop/front".into()] }.into(),
        WorkloadError::MissingRights {
            context: "prod".into(),
            namespace: "shop".into(),
            missing: vec!["list pods in namespace shop".into(), "patch nodes".into()],
            activities: vec!["test".into(), "cordon".into()],
        }
        .into(),
        WorkloadError::from(KubernetesError::new("check the rights of the user", kube::Error::Api(expired.boxed())))
            .into(),
        WorkloadError::from(KubernetesError::new("list pods", kube::Error::Api(forbidden.boxed()))).into(),
        ClusterError::StateElsewhere {
            name: "lab".into(),
            running: "/srv/labs/lab".into(),
            asked: "/var/lib/evenkeel/lab".into(),
        }
        .into(),
        ClusterError::HiddenLab { name: "lab".into() }.into(),
        ClusterError::NoLab.into(),
        Error::LabIsUp { name: "lab".into() },
        WorkloadError::NoWorkload.into(),
        WorkloadError::AgentsRefused {
            namespace: "shop".into(),
            why: "pods \"evenkeel-agents-0123456789-0\" is forbidden: exceeded quota: small".into(),
        }
        .into(),
        ExperimentError::NoAgent {
            agent: "evenkeel-agents-0123456789-0".into(),
            why: "it was killed (OOMKilled)".into(),
        }
        .into(),
        ExperimentError::Partial { agents: vec!["evenkeel-agents-0123456789-0: it was killed (OOMKilled)".into()] }
            .into(),
        ClusterError::NoDataPlane { what: "kill etcd".into() }.into(),
        ClusterError::NoPacketDelay { why: "make a netfilter queue: Protocol not supported".into() }.into(),
        Error::NeedsLinux { verb: "up" },
        needs_root(NotRoot::Unasked),
        needs_root(NotRoot::NoSudo),
        needs_root(NotRoot::Refused("a password is required".into())),
        needs_root(NotRoot::StillNotRoot),
        needs_root(NotRoot::OpenFile("/dev/stdin".into())),
        ToolboxError::MissingPrograms {
            missing: vec!["etcd".into(), "nft".into()],
            installation: Installation::Toolbox,
        }
        .into(),
        ToolboxError::BadArchive { path: "toolbox.tar.gz".into(), why: "it is truncated".into() }.into(),
        ToolboxError::OtherPlatform {
            path: "toolbox.tar.gz".into(),
            found: "linux/arm64".into(),
            wanted: "linux/amd64".into(),
        }
        .into(),
        ToolboxError::OtherPins {
            path: "toolbox.tar.gz".into(),
            differences: vec!["runc: v1.4.2, expected v1.4.3".into()],
        }
        .into(),
        ToolboxError::NothingToExport { directory: "/var/cache/evenkeel/toolbox".into() }.into(),
        ToolboxError::InstallFailed {
            what: "runc".into(),
            why: "the imported program cannot be used on this machine: runc does not report its version (exit 127)"
                .into(),
            remedy: InstallRemedy::BuiltHere,
        }
        .into(),
        ToolboxError::MissingKernel { missing: vec!["overlayfs: no such device".into()] }.into(),
        ToolboxError::InstallFailed {
            what: "runc".into(),
            why: "no C compiler".into(),
            remedy: InstallRemedy::ByHand { command: "apt-get install gcc".into() },
        }
        .into(),
        ImageError::BuildFailed {
            what: "server".into(),
            why: "no cargo".into(),
            remedy: Some(BuildRemedy { missing: BuildNeed::Rust, variable: "EVENKEEL_SERVER_IMAGE" }),
        }
        .into(),
        ClusterError::from(ProgramError {
            command: "ip link show".into(),
            outcome: "exit 1".into(),
            tail: "no such device\n".into(),
        })
        .into(),
        ClusterError::Component {
            component: "etcd".into(),
            what: "exited with code 1 while starting".into(),
            tail: "panic: disk\nis full".into(),
            log: "/var/lib/evenkeel/lab/logs/lab-0/etcd.log".into(),
        }
        .into(),
        WorkloadError::GivenUp { components: vec!["kubelet (exit 1)".into()], first: "kubelet".into() }.into(),
        WorkloadError::Deadline { what: "the rollout".into(), seconds: 60, why: "1 of 2 pods ready".into() }.into(),
        ClusterError::NotBooted.into(),
        ClusterError::RefusedFlags {
            refused: vec!["kube-apiserver (unknown flag: --profiling)".into(), "kubelet (exit 7: no memory)".into()],
            kubernetes: "1.36".into(),
        }
        .into(),
        ClusterError::LittleMemory { free: 200, needed: 600 }.into(),
        ClusterError::ImageTooLarge {
            image: "shop.example/app:1".into(),
            why: "it takes 812 MB, and 300 MB are free".into(),
        }
        .into(),
        ToolboxError::FewInotifyInstances {
            needed: 32,
            free: 3,
            setting: "fs.inotify.max_user_instances",
            limit: "128".into(),
        }
        .into(),
        ClusterError::Unreachable {
            address: "198.18.0.2:6443".into(),
            why: "no answer within 10 s".into(),
            link: "ek-lab".into(),
        }
        .into(),
        WorkloadError::RolloutStuck {
            reason: "pod server-x, container server: ErrImageNeverPull: image is not present".into(),
        }
        .into(),
        ClusterError::LinkChanged(LinkChanges {
            link: "ek-lab".into(),
            removed: Some([198, 18, 0, 1].into()),
            added: vec![LinkAddition::Address([169, 254, 77, 76].into()), LinkAddition::DefaultRoute],
            managers: vec![
                LinkManager::Dhcpcd,
                LinkManager::Networkd,
                LinkManager::NetworkManager,
                LinkManager::ConnMan,
            ],
        })
        .into(),
        ClusterError::LinkChanged(LinkChanges {
            link: "ek-lab".into(),
            removed: Some([198, 18, 0, 1].into()),
            added: vec![],
            managers: vec![],
        })
        .into(),
        ClusterError::Taken { what: "address 198.18.0.1".into(), by: "link eth1".into() }.into(),
        WorkloadError::Manifest {
            place: ManifestPlace { file: "mine/service.yaml".into(), document: Some(2) },
            why: "line 3: unexpected end".into(),
        }
        .into(),
        WorkloadError::PodsForbidden {
            controller: "Deployment shop/web".into(),
            namespace: "shop".into(),
            why: "pods \"web-x\" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0"
                .into(),
        }
        .into(),
        little_room(LimitKind::Setting("net.ipv4.neigh.default.gc_thresh3"), 600, 820).into(),
        little_room(LimitKind::OpenFiles, 3480, 4800).into(),
        little_room(LimitKind::Memory, 2_610_000_000, 3_600_000_000).into(),
        WorkloadError::NoServiceGiven.into(),
        WorkloadError::UnknownService { given: "web".into(), services: vec!["shop/front".into()] }.into(),
        WorkloadError::SeveralServices { services: vec!["shop/front".into(), "shop/admin".into()] }.into(),
        WorkloadError::Unsuitable {
            service: "shop/front".into(),
            why: "it has no port ssh; its ports are: http".into(),
        }
        .into(),
        WorkloadError::Unscalable { controller: "DaemonSet shop/agent".into(), why: ScaleObstacle::DaemonSet }.into(),
        WorkloadError::Unscalable {
            controller: "Deployment shop/front".into(),
            why: ScaleObstacle::Autoscaler { namespace: "shop".into(), name: "front".into() },
        }
        .into(),
        WorkloadError::Headless { service: "shop/store".into() }.into(),
        WorkloadError::NoHeadless { namespace: "shop".into(), service: "front".into() }.into(),
        WorkloadError::Name { name: "store.shop.svc.cluster.local".into(), why: why() }.into(),
        WorkloadError::NoEndpoints { service: "shop/front".into(), port: "http".into(), selector: "app=front".into() }
            .into(),
        WorkloadError::from(KubernetesError::new("apply Deployment server", kube::Error::Api(refused.boxed()))).into(),
        ClusterError::Kubeconfig { path: "/var/lib/evenkeel/lab/kubeconfig".into(), why: "it holds no cluster".into() }
            .into(),
        ExperimentError::NoAnswer { target: "http://198.18.1.1/".into(), why: why(), kind: None }.into(),
        ExperimentError::NoAnswer {
            target: "https://127.0.0.1:8443/".into(),
            why: "30 requests failed: certificate not trusted".into(),
            kind: Some("certificate not trusted".into()),
        }
        .into(),
        ExperimentError::NoAnswer {
            target: "https://127.0.0.1:8080/".into(),
            why: "30 requests failed: not TLS".into(),
            kind: Some("not TLS".into()),
        }
        .into(),
        ExperimentError::NoAnswer {
            target: "http://127.0.0.1:8443/".into(),
            why: "30 requests failed: TLS expected".into(),
            kind: Some("TLS expected".into()),
        }
        .into(),
        ExperimentError::NoAnswer {
            target: "http://127.0.0.1:8080/".into(),
            why: "30 requests failed: not HTTP/2".into(),
            kind: Some("not HTTP/2".into()),
        }
        .into(),
        ExperimentError::Event { what: "kill etcd".into(), why: "it did not return".into() }.into(),
        schema(SchemaError::Proto { why: "a.proto:2:13: name 'strin' is not defined".into() }),
        schema(SchemaError::NoService { service: "Shop".into(), known: vec!["shop.v1.Shop".into()] }),
        schema(SchemaError::NoService { service: "Shop".into(), known: Vec::new() }),
        schema(SchemaError::NoMethod {
            service: "shop.v1.Shop".into(),
            method: "Sell".into(),
            known: vec!["Buy".into(), "Watch".into()],
        }),
        schema(SchemaError::ClientStreaming { method: "shop.v1.Shop/Upload".into() }),
        schema(SchemaError::Message {
            message: "shop.v1.BuyRequest".into(),
            why: "items[0].count: invalid digit found in string at line 1 column 24".into(),
        }),
        schema(SchemaError::NoReflection),
        schema(SchemaError::Reflection { why: why() }),
        Error::AssertionsMissed {
            missed: vec![
                "p99 was 7.2 ms, expected < 5 ms (10 pods)".into(),
                "errors was 3, expected == 0 (2 pods)".into(),
            ],
        },
        Error::PromisesBroken { broken: vec!["pod delete (keepalive): 3 requests failed".into()] },
        IoError::file("write", "/var/lib/evenkeel/lab/kubeconfig".as_ref(), denied()).into(),
        IoError::file("read", "/proc/mounts".as_ref(), missing()).into(),
        ClusterError::Residue {
            left: vec!["link ek-lab: busy".into(), "cgroup /sys/fs/cgroup/evenkeel-lab: busy".into()],
        }
        .into(),
        Interrupted.into(),
        Error::EndedEarly { left: "the link ek-lab may be left".into(), remedy: "remove it: evenkeel down".into() },
        ClusterError::UnknownComponent { given: "kubelt".into(), components: vec!["etcd".into(), "kubelet".into()] }
            .into(),
        ClusterError::NotOnNode {
            component: "etcd".into(),
            node: "lab-1".into(),
            components: vec!["containerd".into(), "kubelet".into()],
        }
        .into(),
        ClusterError::NodeIsDown { node: "lab-1".into() }.into(),
        ClusterError::ControlPlaneNode { node: "lab-0".into() }.into(),
        ClusterError::NoRouter { what: "partition lab-0 for 10 s".into() }.into(),
        WorkloadError::UnknownNode { given: "3".into(), nodes: vec!["lab-0".into(), "lab-1".into()] }.into(),
        WorkloadError::CannotEvict { pod: "default/alone".into(), node: "lab-1".into() }.into(),
        WorkloadError::UnknownPod { given: "server-x".into(), pods: vec!["server-a".into(), "server-b".into()] }.into(),
        WorkloadError::UnknownPod { given: "server-x".into(), pods: Vec::new() }.into(),
        Error::NoTarget { target: "a.invalid:80".into(), why: "the name has no address".into() },
        Error::Load(LoadError::TooFewDescriptors { connections: NonZeroU32::MAX, limit: 1024 }),
        Error::Load(LoadError::Certificate { what: "the key", why: "it has no PEM section PRIVATE KEY".into() }),
        Error::Load(LoadError::ServerName { name: "a..b".into() }),
        Error::Load(LoadError::NoAddress { target: ([198, 18, 1, 1], 80).into() }),
    ]
}

fn needs_root(why: NotRoot) -> Error {
    let by_sudo = !matches!(why, NotRoot::NoSudo | NotRoot::StillNotRoot);
    let command = if by_sudo { "sudo /opt/evenkeel up" } else { "su -c '/opt/evenkeel up'" };
    Error::NeedsRoot { verb: "up", why, command: command.into() }
}

/// Does not compile when a variant is new: give it a sample above, and a name here and in [`NAMES`].
fn name(error: &Error) -> &'static str {
    match error {
        Error::BadValue { .. } => "BadValue",
        Error::LabIsUp { .. } => "LabIsUp",
        Error::NeedsLinux { .. } => "NeedsLinux",
        Error::NeedsRoot { .. } => "NeedsRoot",
        Error::NeedsYes { .. } => "NeedsYes",
        Error::Declined { .. } => "Declined",
        Error::NoTarget { .. } => "NoTarget",
        Error::AssertionsMissed { .. } => "AssertionsMissed",
        Error::PromisesBroken { .. } => "PromisesBroken",
        Error::EndedEarly { .. } => "EndedEarly",
        Error::StateIsFile(_) => "StateIsFile",
        Error::Load(_) => "Load",
        Error::Io(_) => "Io",
        Error::Interrupted(_) => "Interrupted",
        Error::Toolbox(error) => of_toolbox(error),
        Error::ContainerImage { .. } => "ContainerImage",
        Error::Image(error) => of_image(error),
        Error::Cluster(error) => of_cluster(error),
        Error::Workload(error) => of_workload(error),
        Error::Experiment(error) => of_experiment(error),
        Error::Report(error) => of_report(error),
    }
}

fn of_toolbox(error: &ToolboxError) -> &'static str {
    match error {
        ToolboxError::MissingPrograms { .. } => "toolbox: MissingPrograms",
        ToolboxError::BadArchive { .. } => "toolbox: BadArchive",
        ToolboxError::OtherPlatform { .. } => "toolbox: OtherPlatform",
        ToolboxError::OtherPins { .. } => "toolbox: OtherPins",
        ToolboxError::NothingToExport { .. } => "toolbox: NothingToExport",
        ToolboxError::MissingKernel { .. } => "toolbox: MissingKernel",
        ToolboxError::InstallFailed { .. } => "toolbox: InstallFailed",
        ToolboxError::FewInotifyInstances { .. } => "toolbox: FewInotifyInstances",
        ToolboxError::Program(_) => "toolbox: Program",
        ToolboxError::Io(_) => "toolbox: Io",
        ToolboxError::Interrupted(_) => "toolbox: Interrupted",
    }
}

fn of_image(error: &ImageError) -> &'static str {
    match error {
        ImageError::BadImage { .. } => "image: BadImage",
        ImageError::SeveralImages { .. } => "image: SeveralImages",
        ImageError::NoName { .. } => "image: NoName",
        ImageError::WrongPlatform { .. } => "image: WrongPlatform",
        ImageError::Registry { .. } => "image: Registry",
        ImageError::Unauthorised { .. } => "image: Unauthorised",
        ImageError::NotInRegistry { .. } => "image: NotInRegistry",
        ImageError::UnknownImage { .. } => "image: UnknownImage",
        ImageError::SamePlatform { .. } => "image: SamePlatform",
        ImageError::NotPushed { .. } => "image: NotPushed",
        ImageError::PushRefused { .. } => "image: PushRefused",
        ImageError::BuildFailed { .. } => "image: BuildFailed",
        ImageError::Program(_) => "image: Program",
        ImageError::Io(_) => "image: Io",
        ImageError::Interrupted(_) => "image: Interrupted",
    }
}

fn of_cluster(error: &ClusterError) -> &'static str {
    match error {
        ClusterError::NoLab => "cluster: NoLab",
        ClusterError::NotBooted => "cluster: NotBooted",
        ClusterError::StateElsewhere { .. } => "cluster: StateElsewhere",
        ClusterError::HiddenLab { .. } => "cluster: HiddenLab",
        ClusterError::NoDataPlane { .. } => "cluster: NoDataPlane",
        ClusterError::NoPacketDelay { .. } => "cluster: NoPacketDelay",
        ClusterError::UnknownComponent { .. } => "cluster: UnknownComponent",
        ClusterError::NotOnNode { .. } => "cluster: NotOnNode",
        ClusterError::NodeIsDown { .. } => "cluster: NodeIsDown",
        ClusterError::ControlPlaneNode { .. } => "cluster: ControlPlaneNode",
        ClusterError::NoRouter { .. } => "cluster: NoRouter",
        ClusterError::Component { .. } => "cluster: Component",
        ClusterError::RefusedFlags { .. } => "cluster: RefusedFlags",
        ClusterError::LittleMemory { .. } => "cluster: LittleMemory",
        ClusterError::ImageTooLarge { .. } => "cluster: ImageTooLarge",
        ClusterError::Unreachable { .. } => "cluster: Unreachable",
        ClusterError::LinkChanged(_) => "cluster: LinkChanged",
        ClusterError::Taken { .. } => "cluster: Taken",
        ClusterError::Kubeconfig { .. } => "cluster: Kubeconfig",
        ClusterError::ForeignKubeconfig { .. } => "cluster: ForeignKubeconfig",
        ClusterError::UnknownContext { .. } => "cluster: UnknownContext",
        ClusterError::ForeignUnreachable { .. } => "cluster: ForeignUnreachable",
        ClusterError::Residue { .. } => "cluster: Residue",
        ClusterError::Program(_) => "cluster: Program",
        ClusterError::Io(_) => "cluster: Io",
        ClusterError::Interrupted(_) => "cluster: Interrupted",
        ClusterError::StateIsFile(_) => "cluster: StateIsFile",
    }
}

fn of_workload(error: &WorkloadError) -> &'static str {
    match error {
        WorkloadError::NoWorkload => "workload: NoWorkload",
        WorkloadError::AgentsRefused { .. } => "workload: AgentsRefused",
        WorkloadError::UnknownPod { .. } => "workload: UnknownPod",
        WorkloadError::UnknownNode { .. } => "workload: UnknownNode",
        WorkloadError::CannotEvict { .. } => "workload: CannotEvict",
        WorkloadError::ForeignTarget { .. } => "workload: ForeignTarget",
        WorkloadError::GivenUp { .. } => "workload: GivenUp",
        WorkloadError::Deadline { .. } => "workload: Deadline",
        WorkloadError::RolloutStuck { .. } => "workload: RolloutStuck",
        WorkloadError::PodsForbidden { .. } => "workload: PodsForbidden",
        WorkloadError::LittleRoom { .. } => "workload: LittleRoom",
        WorkloadError::Manifest { .. } => "workload: Manifest",
        WorkloadError::NoBalanced { .. } => "workload: NoBalanced",
        WorkloadError::UnknownService { .. } => "workload: UnknownService",
        WorkloadError::SeveralServices { .. } => "workload: SeveralServices",
        WorkloadError::NoServiceGiven => "workload: NoServiceGiven",
        WorkloadError::Unsuitable { .. } => "workload: Unsuitable",
        WorkloadError::Unscalable { .. } => "workload: Unscalable",
        WorkloadError::Headless { .. } => "workload: Headless",
        WorkloadError::NoHeadless { .. } => "workload: NoHeadless",
        WorkloadError::Name { .. } => "workload: Name",
        WorkloadError::NoEndpoints { .. } => "workload: NoEndpoints",
        WorkloadError::MissingRights { .. } => "workload: MissingRights",
        WorkloadError::Kubernetes(_) => "workload: Kubernetes",
        WorkloadError::Program(_) => "workload: Program",
        WorkloadError::Io(_) => "workload: Io",
        WorkloadError::Interrupted(_) => "workload: Interrupted",
        WorkloadError::Cluster(_) => "workload: Cluster",
    }
}

fn of_experiment(error: &ExperimentError) -> &'static str {
    match error {
        ExperimentError::NoAnswer { .. } => "experiment: NoAnswer",
        ExperimentError::NoAgent { .. } => "experiment: NoAgent",
        ExperimentError::Partial { .. } => "experiment: Partial",
        ExperimentError::Event { .. } => "experiment: Event",
        ExperimentError::Program(_) => "experiment: Program",
        ExperimentError::Io(_) => "experiment: Io",
        ExperimentError::Interrupted(_) => "experiment: Interrupted",
        ExperimentError::Load(_) => "experiment: Load",
        ExperimentError::Schema(_) => "experiment: Schema",
        ExperimentError::Workload(_) => "experiment: Workload",
        ExperimentError::Cluster(_) => "experiment: Cluster",
    }
}

fn of_report(error: &ReportError) -> &'static str {
    match error {
        ReportError::BadReport { .. } => "report: BadReport",
        ReportError::Io(_) => "report: Io",
    }
}

/// The variants of the command line and of the areas; those that only wrap an error of another area need no sample.
const NAMES: usize = 89;

fn little_room(kind: LimitKind, value: u64, needed: u64) -> WorkloadError {
    WorkloadError::LittleRoom { asked: 400, fit: 290, limit: PodLimit { kind, value }, needed }
}

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
    insta::with_settings!({ snapshot_path => "../../../tests/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("errors", text.trim_end());
    });
}
