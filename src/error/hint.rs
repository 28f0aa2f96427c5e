//! What to do next about each error, and the exit code.

use super::Error;
use crate::config::StateIsFile;
use crate::io_error::IoError;

impl Error {
    /// What to do next, in one sentence or a command; empty where the sentence says it all.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::BadValue { .. } | Self::Interrupted(_) => String::new(),
            Self::BadImage { .. } => "make one with: evenkeel build".into(),
            Self::BadReport { .. } => "make one with: evenkeel test --json-file report.json".into(),
            Self::StateIsFile(StateIsFile { path }) => format!("move it away, or remove it: rm {}", path.display()),
            Self::ForeignTarget { .. } => {
                "load goes to the lab or to loopback; to test a machine of your own, add --allow-foreign-target".into()
            }
            Self::StateElsewhere { name, running, .. } => {
                let root = running.parent().unwrap_or(running).display();
                format!(
                    "use it with --state-dir {root} (sudo does not pass EVENKEEL_STATE_DIR on), or end it: \
                     evenkeel --name {name} down"
                )
            }
            Self::HiddenLab { name } => {
                format!("run evenkeel where the lab was started, or end the lab: evenkeel --name {name} down")
            }
            Self::NoLab => "start one: evenkeel up".into(),
            Self::LabIsUp { .. } => "use it: evenkeel deploy, evenkeel test; or end it first: evenkeel down".into(),
            Self::NoWorkload => "deploy the server: evenkeel deploy".into(),
            Self::NoDataPlane { .. } => "use a lab on this machine: evenkeel up".into(),
            Self::NeedsLinux { .. } => "run it on a Linux machine, or in a virtual one".into(),
            Self::NeedsRoot { verb } => format!("run it as root: sudo evenkeel {verb}"),
            Self::MissingPrograms { remedy, .. } => format!("bring them with: {remedy}"),
            Self::MissingKernel { .. } => {
                "evenkeel doctor shows each probe; load the module or choose another kernel".into()
            }
            Self::InstallFailed { hint, .. } | Self::BuildFailed { hint, .. } => hint.clone(),
            Self::EndedEarly { remedy, .. } => remedy.clone(),
            Self::Program { .. } => "run the command by hand to see more".into(),
            Self::Component { log, .. } => format!("the whole log: {}", log.display()),
            Self::GivenUp { first, .. } => {
                format!("evenkeel logs --component {first} tells why; then make a new lab: evenkeel down, evenkeel up")
            }
            Self::Deadline { .. } => {
                "evenkeel status shows what is amiss; evenkeel logs --component kubelet tells more".into()
            }
            Self::NotBooted => {
                "wait for the evenkeel up that is at work, or begin anew: evenkeel down, evenkeel up".into()
            }
            Self::LittleMemory { .. } => "end something that takes much of it, then try again; free -m shows it".into(),
            Self::ImageTooLarge { .. } => {
                "end something that takes memory, or make room in the lab: evenkeel down, then evenkeel up".into()
            }
            Self::FewInotifyInstances { setting, .. } => {
                format!("raise the limit: sysctl -w {setting}=1024; or end programs that watch files")
            }
            Self::Unreachable { link, .. } => {
                format!(
                    "let the firewall pass what comes and goes by the link {link}; nft list ruleset shows its rules"
                )
            }
            Self::RolloutStuck { .. } => "evenkeel status shows the pods; evenkeel logs shows what they said".into(),
            Self::Taken { .. } => "free it, then try again; the lab uses 198.18.0.0/15 (RFC 2544)".into(),
            Self::Manifest { .. } => {
                "nix run .#render writes all of them; without Nix, begin with those in manifests/".into()
            }
            Self::Kubernetes { .. } => "evenkeel status shows whether the API server is well".into(),
            Self::Kubeconfig { .. } => "make a new lab: evenkeel down, then evenkeel up".into(),
            Self::Event { .. } => {
                "evenkeel status shows what is amiss now; evenkeel logs --component NAME tells more".into()
            }
            Self::Load { .. } => "evenkeel status shows whether the Service has an address and pods".into(),
            Self::NoAnswer { .. } => {
                "look at what listens there; evenkeel status shows the lab's Service and its pods".into()
            }
            Self::AssertionsMissed { .. } => {
                "a single run tells little of noise: --repeat 5 tells more; evenkeel report shows all figures".into()
            }
            Self::PromisesBroken { .. } => {
                "evenkeel soak --only PART --rounds 10 looks at one again, best on a machine that does nothing else"
                    .into()
            }
            Self::Io(IoError { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                "run it as root, or choose another place with EVENKEEL_STATE_DIR and EVENKEEL_CACHE_DIR".into()
            }
            Self::Io { .. } => "free space, permissions and the path are the first things to look at".into(),
            Self::Residue { .. } => "run evenkeel down once more, as root".into(),
        }
    }

    /// 2: asked for something impossible, nothing was changed; 130: interrupted; 1: everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::BadValue { .. }
            | Self::BadImage { .. }
            | Self::BadReport { .. }
            | Self::StateIsFile { .. }
            | Self::ForeignTarget { .. }
            | Self::Manifest { .. }
            | Self::NoDataPlane { .. }
            | Self::NeedsLinux { .. } => 2,
            Self::Interrupted(_) | Self::EndedEarly { .. } => 130,
            _ => 1,
        }
    }
}
