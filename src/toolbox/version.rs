//! Asks programs for their version, and decides whether that version is suitable.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::program::Program;
use super::release::Release;
use crate::process::{Invocation, ProgramError};
use crate::version::Version;

/// How long a program may take to report its version: long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The CNI version of the lab's network configuration.
const CNI_VERSION: &str = "1.0.0";

/// Which versions are suitable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Every version, even an unknown one.
    Any,
    /// This one or a newer one.
    AtLeast(Version),
    /// The release of Kubernetes that the lab uses: all components must be of one.
    Component(Release),
    /// This release of Kubernetes, the one before or the one after: kubectl may differ that much from the API server.
    Client(Release),
}

/// What is needed, after "is version 1.2.3, but".
impl fmt::Display for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("any version"),
            Self::AtLeast(oldest) => write!(formatter, "{oldest} or newer"),
            Self::Component(_) => {
                let [pinned, next] = Release::supported();
                write!(formatter, "{pinned} or {next}")
            }
            Self::Client(release) => write!(formatter, "{} to {}", release.before(), release.after()),
        }
    }
}

impl Need {
    fn of(program: Program, release: Release) -> Self {
        match program {
            _ if program.is_kubernetes_component() => Self::Component(release),
            Program::Kubectl => Self::Client(release),
            Program::Coredns => Self::AtLeast(Version(1, 11, 0)),
            Program::Etcd => Self::AtLeast(Version(3, 5, 0)),
            Program::Containerd | Program::ContainerdShim | Program::Ctr => Self::AtLeast(Version(2, 0, 0)),
            Program::Runc => Self::AtLeast(Version(1, 2, 0)),
            Program::Nft => Self::AtLeast(Version(1, 0, 1)),
            // Its JSON, which busybox does not have.
            Program::Ip => Self::AtLeast(Version(5, 10, 0)),
            _ => Self::Any,
        }
    }

    /// Why a version is not suitable, after "is version 1.2.3, but"; `None` when it is.
    fn refusal(self, found: Version) -> Option<String> {
        let of = Release::of(found);
        match self {
            Self::Any => None,
            Self::AtLeast(oldest) => (found < oldest).then(|| format!("{self} is needed")),
            Self::Client(release) => {
                let near = [release.before(), release, release.after()].contains(&of);
                (!near).then(|| format!("{self} is needed"))
            }
            Self::Component(release) if of == release => None,
            Self::Component(release) if Release::supported().contains(&of) => {
                Some(format!("all components of Kubernetes must be of one minor version, here {release}"))
            }
            Self::Component(_) if of < Release::pinned() => Some(format!("{self} is needed: use a newer Kubernetes")),
            Self::Component(_) => Some(format!("{self} is needed: use an older Kubernetes, or a newer Evenkeel")),
        }
    }
}

/// The command by which a program reports its version.
fn question(program: Program, path: &Path) -> Invocation {
    match program {
        Program::Kubectl => Invocation::new(path, ["version", "--client"]),
        Program::ContainerdShim => Invocation::new(path, ["-v"]),
        Program::Ip => Invocation::new(path, ["-V"]),
        _ if program.is_cni_plugin() => Invocation::new::<&str>(path, []).env("CNI_COMMAND", "VERSION"),
        _ => Invocation::new(path, ["--version"]),
    }
}

/// What a program reports as its version, or why it reports nothing.
pub(super) async fn ask(program: Program, path: &Path) -> Result<String, String> {
    let question = question(program, path);
    match tokio::time::timeout(PATIENCE, question.run_async()).await {
        Ok(Ok(answer)) => Ok(String::from_utf8_lossy(&answer).trim().to_owned()),
        Ok(Err(ProgramError { outcome, .. })) => Err(format!("does not report its version ({outcome})")),
        Err(_) => Err(format!("did not report its version within {} s", PATIENCE.as_secs())),
    }
}

/// The version in an answer, as it is shown.
pub(super) fn shown(program: Program, answer: &str) -> Option<String> {
    if program.is_cni_plugin() {
        let spoken: Value = serde_json::from_str(answer).ok()?;
        return Some(format!("CNI {}", spoken.get("cniVersion")?.as_str()?));
    }
    word_of(answer).map(|word| word.trim_start_matches('v').to_owned())
}

/// The release of the Kubernetes component that gave this answer.
pub(super) fn release(answer: &str) -> Option<Release> {
    word_of(answer).and_then(Version::parse).map(Release::of)
}

/// Why a program that gave this answer is not suitable for a lab with this release of Kubernetes; `None` when it is.
pub(super) fn judge(program: Program, answer: &Result<String, String>, release: Release) -> Option<String> {
    let need = Need::of(program, release);
    let answer = match answer {
        Err(_) if need == Need::Any && !program.is_cni_plugin() => return None,
        Err(why) => return Some(why.clone()),
        Ok(answer) => answer,
    };
    if program.is_cni_plugin() {
        return judge_plugin(answer);
    }
    if need == Need::Any {
        return None;
    }
    let Some(version) = word_of(answer).and_then(Version::parse) else {
        return Some(format!("does not report its version, but {need} is needed"));
    };
    if let Some(refusal) = need.refusal(version) {
        return Some(format!("is version {}, but {refusal}", shown(program, answer).unwrap_or_default()));
    }
    let without_seccomp = program == Program::Runc && !answer.lines().any(|line| line.starts_with("libseccomp:"));
    without_seccomp.then(|| "was built without seccomp, which pods need".to_owned())
}

fn judge_plugin(answer: &str) -> Option<String> {
    let Ok(spoken) = serde_json::from_str::<Value>(answer) else {
        return Some("is not a CNI plugin: it does not answer as one".to_owned());
    };
    let versions = spoken.get("supportedVersions").and_then(Value::as_array);
    let speaks = versions.is_some_and(|versions| versions.iter().any(|version| version.as_str() == Some(CNI_VERSION)));
    if speaks { None } else { Some(format!("does not support CNI {CNI_VERSION}")) }
}

/// The first word that is a version; CoreDNS and iproute2 put their names before it.
fn word_of(answer: &str) -> Option<&str> {
    answer
        .split(|c: char| c.is_whitespace() || c == ',')
        .map(|word| word.strip_prefix("iproute2-").or(word.strip_prefix("CoreDNS-")).unwrap_or(word))
        .find(|word| Version::parse(word).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(program: Program, answer: &str) -> Option<String> {
        judge(program, &Ok(answer.to_owned()), Release::pinned())
    }

    #[test]
    fn versions_are_recognised() {
        let answers = [
            (Program::KubeApiserver, "Kubernetes v1.36.3", "1.36.3"),
            (Program::Kubectl, "Client Version: v1.36.3\nKustomize Version: v5.8.1", "1.36.3"),
            (Program::Etcd, "etcd Version: 3.6.14\nGit SHA: Not provided\nGo Version: go1.26.8", "3.6.14"),
            (Program::Coredns, "CoreDNS-1.14.4\nlinux/amd64, go1.26.8, ", "1.14.4"),
            (Program::Containerd, "containerd github.com/containerd/containerd/v2 v2.3.5 ", "2.3.5"),
            (Program::ContainerdShim, "containerd-shim-runc-v2:\n  Version:  v2.3.5\n  Revision: ", "2.3.5"),
            (Program::Ctr, "ctr github.com/containerd/containerd/v2 v2.3.5", "2.3.5"),
            (Program::Runc, "runc version 1.4.3\nspec: 1.3.0\ngo: go1.26.8\nlibseccomp: 2.5.4", "1.4.3"),
            (Program::Nft, "nftables v1.0.6 (Lester Gooch #5)", "1.0.6"),
            (Program::Ip, "ip utility, iproute2-6.1.0, libbpf 1.1.2", "6.1.0"),
            (Program::Iptables, "iptables v1.8.9 (nf_tables)", "1.8.9"),
            (Program::Nsenter, "nsenter from util-linux 2.38.1", "2.38.1"),
            (Program::CniPtp, r#"{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}"#, "CNI 1.1.0"),
        ];
        for (program, answer, version) in answers {
            assert_eq!(shown(program, answer).as_deref(), Some(version), "{program}");
            assert_eq!(problem(program, answer), None, "{program}");
        }
    }

    #[test]
    fn unsuitable_versions_are_named() {
        let answers = [
            (
                Program::Kubelet,
                "Kubernetes v1.35.9",
                "is version 1.35.9, but 1.36 or 1.37 is needed: use a newer Kubernetes",
            ),
            (
                Program::KubeProxy,
                "Kubernetes v1.38.0",
                "is version 1.38.0, but 1.36 or 1.37 is needed: use an older Kubernetes, or a newer Evenkeel",
            ),
            (Program::Kubelet, "Kubernetes v2.36.0", "is version 2.36.0, but 1.36 or 1.37 is needed"),
            (
                Program::Kubelet,
                "Kubernetes v1.37.2",
                "is version 1.37.2, but all components of Kubernetes must be of one minor version, here 1.36",
            ),
            (Program::Kubectl, "Client Version: v1.30.0", "is version 1.30.0, but 1.35 to 1.37 is needed"),
            (Program::Coredns, "CoreDNS-1.9.3\nlinux/amd64, go1.18.2, ", "but 1.11 or newer is needed"),
            (
                Program::Containerd,
                "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u1",
                "1.6.20",
            ),
            (Program::Runc, "runc version 1.1.5\nlibseccomp: 2.5.4", "but 1.2 or newer is needed"),
            (Program::Runc, "runc version 1.4.3\nspec: 1.3.0", "without seccomp"),
            (Program::Nft, "nftables v0.9.8 (E.D.S.)", "but 1.0.1 or newer is needed"),
            (Program::Ip, "ip utility, iproute2-ss190107", "does not report its version, but 5.10 or newer is needed"),
            (Program::Nft, "hello", "does not report its version"),
            (Program::CniPtp, r#"{"cniVersion":"0.4.0","supportedVersions":["0.4.0"]}"#, "does not support CNI 1.0.0"),
            (Program::CniPtp, "hello", "is not a CNI plugin: it does not answer as one"),
        ];
        for (program, answer, why) in answers {
            let problem = problem(program, answer).unwrap_or_default();
            assert!(problem.contains(why), "{program} answering {answer:?}: {problem:?}");
        }
    }

    #[test]
    fn a_program_of_any_version_need_not_report_it() {
        let silent = Err("does not report its version (exit 1)".to_owned());
        assert_eq!(judge(Program::Mount, &silent, Release::pinned()), None);
        assert_eq!(problem(Program::Mount, "mount from somewhere"), None);
        assert!(judge(Program::Kubelet, &silent, Release::pinned()).is_some());
        assert!(judge(Program::CniLoopback, &silent, Release::pinned()).is_some());
    }

    #[test]
    fn a_lab_with_the_next_release_has_every_component_in_it() {
        let next = |program, answer: &str| judge(program, &Ok(answer.to_owned()), Release::pinned().after());
        assert_eq!(next(Program::Kubelet, "Kubernetes v1.37.2"), None);
        assert!(next(Program::Kubelet, "Kubernetes v1.36.3").unwrap().ends_with("one minor version, here 1.37"));
        assert_eq!(next(Program::Kubectl, "Client Version: v1.38.0"), None);
        assert!(next(Program::Kubectl, "Client Version: v1.35.9").unwrap().ends_with("but 1.36 to 1.38 is needed"));
    }
}
