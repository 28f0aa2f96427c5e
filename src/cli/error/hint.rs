//! Hints: what to do next about each error.

use super::Error;
use crate::cli::root::{self, NotRoot};
use crate::cluster::{ClusterError, LinkChanges, LinkManager};
use crate::config::StateIsFile;
use crate::experiment::ExperimentError;
use crate::image::{BuildNeed, BuildRemedy, ImageError};
use crate::io_error::IoError;
use crate::kubernetes_error::KubernetesError;
use crate::report::ReportError;
use crate::toolbox::kernel::LimitKind;
use crate::toolbox::{InstallRemedy, Installation, ToolboxError};
use crate::workload::{ScaleObstacle, WorkloadError};
use evenkeel_grpc::SchemaError;
use evenkeel_load::LoadError;

/// For a program that failed.
const RUN_BY_HAND: &str = "run the command yourself to see all of its output";
/// For a request to the API server that failed.
const API_SERVER: &str = "evenkeel status shows whether the API server is ready";
/// For load that could not be sent.
const LOAD: &str = "evenkeel status shows whether the Service has an address and pods";

impl Error {
    /// What to do next, in one sentence or a command; empty if the message says it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::BadValue { .. } | Self::Declined { .. } | Self::Interrupted(_) => String::new(),
            Self::NeedsYes { .. } => "add --yes if that is intended".into(),
            Self::StateIsFile(error) => state_is_file(error),
            Self::LabIsUp { .. } => "use it: evenkeel deploy, evenkeel test; or end it first: evenkeel down".into(),
            Self::NeedsLinux { .. } => "run it on a Linux machine, or in a virtual machine".into(),
            Self::NeedsRoot { why, command, .. } => needs_root(why, command),
            Self::EndedEarly { remedy, .. } => remedy.clone(),
            Self::AssertionsMissed { .. } => {
                "use --repeat 5 to tell a change from noise; evenkeel report shows all figures".into()
            }
            Self::PromisesBroken { .. } => {
                "repeat one part with evenkeel soak --only PART --rounds 10, on a machine that does nothing else".into()
            }
            Self::NoTarget { .. } => LOAD.into(),
            Self::Load(error) => load(error),
            Self::Toolbox(error) => toolbox(error),
            Self::Image(error) | Self::ContainerImage { source: error, .. } => image(error),
            Self::Cluster(error) => cluster(error),
            Self::Workload(error) => workload(error),
            Self::Experiment(error) => experiment(error),
            Self::Report(error) => report(error),
            Self::Io(error) => io(error),
        }
    }
}

fn needs_root(why: &NotRoot, command: &str) -> String {
    match why {
        NotRoot::Unasked | NotRoot::NoSudo | NotRoot::StillNotRoot => format!("run it as root: {command}"),
        NotRoot::Refused(_) => format!("run it in a terminal, or allow this user sudo without a password: {command}"),
        NotRoot::OpenFile(_) => format!("use a file with a name, or run it as root: {command}"),
    }
}

fn state_is_file(StateIsFile { path }: &StateIsFile) -> String {
    format!("move it away, or remove it: rm {}", path.display())
}

fn io(error: &IoError) -> String {
    if error.source.kind() == std::io::ErrorKind::PermissionDenied {
        "run it as root, or choose other directories with EVENKEEL_STATE_DIR and EVENKEEL_CACHE_DIR".into()
    } else {
        "check the free space, the permissions and the path".into()
    }
}

fn toolbox(error: &ToolboxError) -> String {
    match error {
        ToolboxError::MissingPrograms { installation, .. } => {
            let other_machine = match installation {
                Installation::Toolbox => "; or take over what another machine built: evenkeel toolbox import FILE",
                Installation::Command(_) | Installation::Package(_) => "",
            };
            format!("install them with: {}{other_machine}", install_command(installation))
        }
        ToolboxError::MissingKernel { .. } => {
            "evenkeel doctor shows each check; load the kernel module, or use another kernel".into()
        }
        ToolboxError::InstallFailed { remedy, .. } => install(remedy),
        ToolboxError::BadArchive { .. } => {
            "no program was taken over; make an archive on another machine with: evenkeel toolbox export FILE".into()
        }
        ToolboxError::OtherPlatform { .. } => {
            "export it on a machine of this architecture, or build the programs here: evenkeel up --install-tools"
                .into()
        }
        ToolboxError::OtherPins { .. } => {
            "export it with this version of Evenkeel, or build the programs here: evenkeel up --install-tools".into()
        }
        ToolboxError::NothingToExport { .. } => "build the programs first: evenkeel up --install-tools".into(),
        ToolboxError::FewInotifyInstances { setting, .. } => {
            format!("raise the limit: sysctl -w {setting}=1024; or end programs that watch files")
        }
        ToolboxError::Program(_) => RUN_BY_HAND.into(),
        ToolboxError::Io(error) => io(error),
        ToolboxError::Interrupted(_) => String::new(),
    }
}

/// The command that installs programs, or the package that has them.
pub(in crate::cli) fn install_command(installation: &Installation) -> String {
    match installation {
        Installation::Toolbox => "evenkeel up --install-tools".into(),
        Installation::Command(command) => command.clone(),
        Installation::Package(program) => format!("this distribution's package of {program}"),
    }
}

fn install(remedy: &InstallRemedy) -> String {
    match remedy {
        InstallRemedy::Network => {
            "connect this machine to the network, or set GOPROXY to a module proxy that it can reach, then try again"
                .into()
        }
        InstallRemedy::NewerGo => "install a newer Go: https://go.dev/dl".into(),
        InstallRemedy::Go => "install Go 1.21 or newer (https://go.dev/dl), then try again".into(),
        InstallRemedy::Space { gigabytes } => {
            format!("free {gigabytes} GB, or choose another directory with EVENKEEL_CACHE_DIR")
        }
        InstallRemedy::ByHand { command } => {
            format!("run it yourself to see all output, then try again: {command}")
        }
        InstallRemedy::Packages { debian } => {
            format!("install them yourself, then try again; in Debian they are called: {}", debian.join(", "))
        }
        InstallRemedy::AsRoot { command } => format!("run this again as root, or: {}", root::by_hand(command)),
        InstallRemedy::BuiltHere => {
            "install the libraries that it needs (runc: the C library and libseccomp of the machine that built it), or \
             build it here: evenkeel up --install-tools"
                .into()
        }
        InstallRemedy::SuitableVersion => "install a suitable version yourself, put it on PATH, and try again".into(),
    }
}

fn build(BuildRemedy { missing, variable }: &BuildRemedy) -> String {
    let missing = match missing {
        BuildNeed::StaticLibrary => "install the static C library",
        BuildNeed::SourceTree => "name the source tree with EVENKEEL_SOURCE=DIRECTORY",
        BuildNeed::Rust => "install Rust (https://rustup.rs)",
    };
    format!("{missing}, or name an existing image with {variable}=FILE")
}

fn image(error: &ImageError) -> String {
    match error {
        ImageError::BadImage { .. } => "make an image with: evenkeel build".into(),
        ImageError::SeveralImages { .. } => "choose one: --image FILE --as NAME".into(),
        ImageError::NoName { .. } => "give it a name: --image FILE --as NAME:TAG".into(),
        ImageError::WrongPlatform { image, wanted, .. } => {
            format!("build it for this machine: docker build --platform {wanted} --tag {image} .")
        }
        ImageError::Registry { .. } => {
            "nothing was changed; if the registry cannot be reached from here, load the image from an archive: --load FILE"
                .into()
        }
        ImageError::UnknownImage { .. } => {
            "give archives that evenkeel build or the flake made on a machine of another architecture".into()
        }
        ImageError::SamePlatform { .. } => "give one archive of each image for each architecture".into(),
        ImageError::NotPushed { .. } => {
            "remove the cause, and push again; what the registry has already is not sent again".into()
        }
        ImageError::Unauthorised { registry, .. } | ImageError::PushRefused { registry, .. } => format!(
            "log in with: docker login {registry}; credentials are read from ~/.docker/config.json, \
             containers/auth.json and the file in REGISTRY_AUTH_FILE"
        ),
        ImageError::NotInRegistry { .. } => "nothing was changed; check the name and the tag".into(),
        ImageError::BuildFailed { remedy, .. } => remedy.as_ref().map(build).unwrap_or_default(),
        ImageError::Program(_) => RUN_BY_HAND.into(),
        ImageError::Io(error) => io(error),
        ImageError::Interrupted(_) => String::new(),
    }
}

fn cluster(error: &ClusterError) -> String {
    match error {
        ClusterError::NoLab => "start one: evenkeel up".into(),
        ClusterError::NotBooted => {
            "wait for the evenkeel up that is running, or start again: evenkeel down, evenkeel up".into()
        }
        ClusterError::StateElsewhere { name, running, .. } => {
            let root = running.parent().unwrap_or(running).display();
            format!(
                "use it with --state-dir {root} (sudo does not pass EVENKEEL_STATE_DIR on), or end it: \
                 evenkeel --name {name} down"
            )
        }
        ClusterError::HiddenLab { name } => {
            format!("run evenkeel where the lab was started, or end the lab: evenkeel --name {name} down")
        }
        ClusterError::NoDataPlane { .. } => "use a lab on this machine: evenkeel up".into(),
        ClusterError::NoPacketDelay { .. } => {
            "load the kernel's modules: modprobe -a nfnetlink_queue xt_NFQUEUE; throttle-pod and pause-pod do not need \
             them"
                .into()
        }
        ClusterError::UnknownComponent { .. }
        | ClusterError::NotOnNode { .. }
        | ClusterError::UnknownContext { .. }
        | ClusterError::Interrupted(_) => String::new(),
        ClusterError::ForeignKubeconfig { .. } => {
            "name the file with --kubeconfig FILE, or the context with --context NAME; kubectl config view shows what \
             kubectl reads"
                .into()
        }
        ClusterError::ForeignUnreachable { context, .. } => {
            format!("check the network, the VPN and the proxy; kubectl --context {context} version tries the same")
        }
        ClusterError::NodeIsDown { node } => format!("start it with the event restart-node:{node}, or make a new lab"),
        ClusterError::ControlPlaneNode { .. } => {
            "kill-control-plane and pause-control-plane=30s act on the control plane alone".into()
        }
        ClusterError::NoRouter { .. } => "make a lab of several nodes: evenkeel down, evenkeel up --nodes 3".into(),
        ClusterError::Component { log, .. } => format!("the whole log: {}", log.display()),
        ClusterError::RefusedFlags { kubernetes, .. } => format!(
            "put the programs of Kubernetes {kubernetes} on PATH; or remove the others from it, and build these: \
             evenkeel up --install-tools"
        ),
        ClusterError::LittleMemory { .. } => {
            "ask for fewer nodes, or end a program that uses much memory, then try again; free -m shows the memory"
                .into()
        }
        ClusterError::ImageTooLarge { .. } => {
            "end a program that uses memory, or empty the lab's memory: evenkeel down, then evenkeel up".into()
        }
        ClusterError::Unreachable { link, .. } => {
            format!("let the firewall pass the packets of the link {link}; nft list ruleset shows the firewall's rules")
        }
        ClusterError::LinkChanged(changes) => leave_link_alone(changes),
        ClusterError::Taken { .. } => "remove it, or choose another range with evenkeel up --subnet".into(),
        ClusterError::Kubeconfig { .. } => "make a new lab: evenkeel down, then evenkeel up".into(),
        ClusterError::Residue { .. } => "run evenkeel down once more".into(),
        ClusterError::StateIsFile(error) => state_is_file(error),
        ClusterError::Program(_) => RUN_BY_HAND.into(),
        ClusterError::Io(error) => io(error),
    }
}

/// How to configure the program that changed the lab's link.
pub(in crate::cli) fn leave_link_alone(changes: &LinkChanges) -> String {
    let remedy = |manager: &LinkManager| match manager {
        LinkManager::Dhcpcd => "dhcpcd: add the line \"denyinterfaces ek-*\" to its dhcpcd.conf and restart it",
        LinkManager::Networkd => {
            "systemd-networkd: write \"[Match] Name=ek-* [Link] Unmanaged=yes\", each on a line, to \
             /etc/systemd/network/00-evenkeel.network and run networkctl reload"
        }
        LinkManager::NetworkManager => {
            "NetworkManager: write \"[keyfile] unmanaged-devices+=interface-name:ek-*\", each on a line, to \
             /etc/NetworkManager/conf.d/evenkeel.conf and run nmcli general reload"
        }
        LinkManager::ConnMan => "ConnMan: add ek- to NetworkInterfaceBlacklist in its main.conf and restart it",
    };
    let remedies: Vec<_> = changes.managers.iter().map(remedy).collect();
    if remedies.is_empty() {
        return format!(
            "let the program that manages this machine's network ignore {}; then make a new lab",
            changes.link
        );
    }
    format!("{}; then make a new lab: evenkeel down, evenkeel up", remedies.join("; "))
}

fn workload(error: &WorkloadError) -> String {
    match error {
        WorkloadError::NoWorkload => "deploy the server: evenkeel deploy".into(),
        WorkloadError::AgentsRefused { .. } => {
            "allow so many pods in the namespace, or use fewer agents: --agents N; they need no more than Pod Security restricted".into()
        }
        WorkloadError::UnknownPod { .. }
        | WorkloadError::UnknownService { .. }
        | WorkloadError::UnknownNode { .. }
        | WorkloadError::Interrupted(_) => String::new(),
        WorkloadError::CannotEvict { .. } => {
            "delete it, or let a Deployment create it; kubectl drain refuses it, too, without --force".into()
        }
        WorkloadError::NoServiceGiven => "add the Service, or set the image and the replicas in the manifests".into(),
        WorkloadError::NoBalanced { .. } => "name one: --service [NAMESPACE/]NAME".into(),
        WorkloadError::SeveralServices { .. } => "name one of them: --service NAMESPACE/NAME".into(),
        WorkloadError::Unsuitable { .. } => "name another Service or port: --service NAMESPACE/NAME:PORT".into(),
        WorkloadError::Unscalable { why: ScaleObstacle::DaemonSet, .. } => {
            "name a Service with another controller: --service NAMESPACE/NAME".into()
        }
        WorkloadError::Unscalable { why: ScaleObstacle::Autoscaler { namespace, name }, .. } => {
            format!("to set the replicas yourself, delete it: kubectl delete hpa {name} --namespace {namespace}")
        }
        WorkloadError::Headless { .. } => {
            "let the load generator choose the pods: evenkeel test --balance client".into()
        }
        WorkloadError::NoHeadless { namespace, service } => format!(
            "add one: kubectl expose service {service} --namespace {namespace} --name {service}-headless --cluster-ip None"
        ),
        WorkloadError::Name { .. } => "evenkeel logs coredns shows what the DNS server says".into(),
        WorkloadError::NoEndpoints { service, .. } => {
            format!(
                "evenkeel status --service {service} shows its pods; evenkeel scale N --service {service} starts some"
            )
        }
        WorkloadError::ForeignTarget { .. } => {
            "load is sent to the lab or to loopback; to test a machine of your own, add --allow-foreign-target".into()
        }
        WorkloadError::GivenUp { first, .. } => {
            format!("evenkeel logs --component {first} shows why; then make a new lab: evenkeel down, evenkeel up")
        }
        WorkloadError::Deadline { .. } => {
            "evenkeel status shows the state of the lab; evenkeel logs --component kubelet shows more".into()
        }
        WorkloadError::RolloutStuck { .. } => {
            "evenkeel status shows the pods; evenkeel logs shows what they wrote".into()
        }
        WorkloadError::PodsForbidden { namespace, .. } => format!(
            "nothing was changed; kubectl describe namespace {namespace} shows its quotas and its Pod Security level"
        ),
        WorkloadError::LittleRoom { limit, needed, .. } => match limit.kind {
            LimitKind::Setting(name) => format!("nothing was changed; raise the limit: sysctl -w {name}={needed}"),
            LimitKind::OpenFiles => {
                format!("nothing was changed; boot the lab again where the limit is higher: ulimit -n {needed}")
            }
            LimitKind::Memory => "nothing was changed; end programs that use memory".into(),
        },
        WorkloadError::Manifest { .. } => "correct it and deploy again; nothing was changed".into(),
        WorkloadError::Cluster(error) => cluster(error),
        WorkloadError::MissingRights { namespace, activities, .. } => format!(
            "an administrator can grant them: evenkeel rbac {} --namespace {namespace} --user NAME | kubectl apply -f -",
            activities.join(" ")
        ),
        WorkloadError::Kubernetes(error) => kubernetes(error),
        WorkloadError::Program(_) => RUN_BY_HAND.into(),
        WorkloadError::Io(error) => io(error),
    }
}

fn kubernetes(error: &KubernetesError) -> String {
    match &*error.source {
        kube::Error::Api(status) if status.code == 401 => {
            "the credentials in the kubeconfig are wrong or have expired; log in again".into()
        }
        kube::Error::Api(status) if status.code == 403 && status.message.contains(" cannot ") => {
            "evenkeel doctor --context NAME shows which rights are missing, and evenkeel rbac prints them".into()
        }
        _ => API_SERVER.into(),
    }
}

fn load(error: &LoadError) -> String {
    match error {
        LoadError::InvalidValue { .. } => String::new(),
        LoadError::Certificate { .. } => {
            "--cacert, --cert and --key name PEM files; openssl x509 -in FILE -text shows a certificate".into()
        }
        LoadError::ServerName { .. } => "name the server in --target as its certificate does".into(),
        LoadError::TooFewDescriptors { .. } => {
            "use fewer connections, or raise the hard limit on open files (ulimit -Hn)".into()
        }
        _ => LOAD.into(),
    }
}

/// What to change when all requests failed with this kind of failure, where it shows that another protocol is spoken, or
/// that a certificate was not accepted.
fn protocol(kind: &str) -> Option<&'static str> {
    match kind {
        "not TLS" => Some("the server does not speak TLS on this port: use http:// in --target"),
        "TLS expected" => Some("the server speaks TLS on this port: use https:// in --target"),
        "not HTTP/2" => {
            Some("the server does not speak HTTP/2 on this port: leave out --http2; gRPC is not possible without it")
        }
        "no HTTP/2 over TLS" => Some("the server offers no HTTP/2 over TLS: leave out --http2"),
        "TLS error" => Some("the server may ask for a certificate of the client: --cert FILE --key FILE"),
        kind if kind.starts_with("certificate ") => {
            Some("name the authority that signed it with --cacert FILE, or accept any certificate with --insecure")
        }
        _ => None,
    }
}

fn experiment(error: &ExperimentError) -> String {
    match error {
        ExperimentError::NoAnswer { kind: Some(kind), .. } if protocol(kind).is_some() => {
            protocol(kind).unwrap_or_default().into()
        }
        ExperimentError::NoAnswer { .. } => {
            "check which program listens there; evenkeel status shows the lab's Service and its pods".into()
        }
        ExperimentError::NoAgent { .. } => {
            "check the image of the agents, and whether pods can run in the namespace of the Service: kubectl get events".into()
        }
        ExperimentError::Partial { .. } => {
            "the figures are those of the other agents; repeat the test, or use more agents for the same rate".into()
        }
        ExperimentError::Event { .. } => {
            "evenkeel status shows the state of the lab now; evenkeel logs --component NAME shows more".into()
        }
        ExperimentError::Schema(error) => schema(error),
        ExperimentError::Load(error) => load(error),
        ExperimentError::Workload(error) => workload(error),
        ExperimentError::Cluster(error) => cluster(error),
        ExperimentError::Program(_) => RUN_BY_HAND.into(),
        ExperimentError::Io(error) => io(error),
        ExperimentError::Interrupted(_) => String::new(),
    }
}

fn schema(error: &SchemaError) -> String {
    match error {
        SchemaError::NoReflection => {
            "give the files that define the service: --proto FILE; or the encoded message: --body @FILE".into()
        }
        SchemaError::Reflection { .. } => {
            "check whether a server of gRPC listens there, and whether it speaks TLS (https://); --proto FILE defines the \
             service without the server"
                .into()
        }
        SchemaError::Proto { .. } => "--proto-path DIR names the folder in which imports are looked up".into(),
        _ => String::new(),
    }
}

fn report(error: &ReportError) -> String {
    match error {
        ReportError::BadReport { .. } => "make a report with: evenkeel test --json-file report.json".into(),
        ReportError::Io(error) => io(error),
    }
}
