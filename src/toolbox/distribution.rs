//! The distribution's package manager, and its names of the packages that a cluster needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::find::on_path;
use super::program::Package;
use crate::process::{Invocation, last_lines, outcome};
use crate::progress::Step;
use crate::shutdown::{self, Interrupted, Shutdown};
use crate::toolbox::{InstallRemedy, ToolboxError};

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manager {
    Apt,
    Dnf,
    Pacman,
    Zypper,
    Apk,
}

impl Manager {
    /// The package manager of the distribution that an os-release file describes; the error is the distribution's name.
    pub(super) fn of(os_release: &str) -> Result<Self, String> {
        let field = |name: &str| {
            os_release
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .map_or("", |value| value.trim().trim_matches(['"', '\'']))
        };
        let known = |id: &str| match id {
            "debian" | "ubuntu" => Some(Self::Apt),
            "fedora" | "rhel" | "centos" => Some(Self::Dnf),
            "arch" => Some(Self::Pacman),
            "suse" | "opensuse" | "opensuse-leap" | "opensuse-tumbleweed" => Some(Self::Zypper),
            "alpine" => Some(Self::Apk),
            _ => None,
        };
        let mut ids = std::iter::once(field("ID")).chain(field("ID_LIKE").split_whitespace());
        ids.find_map(known).ok_or_else(|| field("ID").to_owned())
    }

    /// The package manager of this machine; the error says why there is none.
    pub(super) fn of_this_machine() -> Result<(Self, PathBuf), String> {
        let os_release = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
        let manager = Self::of(&os_release.unwrap_or_default()).map_err(|name| match name.as_str() {
            "" => "the distribution of this machine is unknown (no os-release)".to_owned(),
            name => format!("evenkeel has no package names for this distribution ({name})"),
        })?;
        let path = on_path(manager.name()).ok_or_else(|| format!("{} was not found", manager.name()))?;
        Ok((manager, path))
    }

    /// The name of its program file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Pacman => "pacman",
            Self::Zypper => "zypper",
            Self::Apk => "apk",
        }
    }

    /// Its names of a package.
    pub(super) fn package(self, package: Package) -> &'static [&'static str] {
        match (package, self) {
            (Package::Nftables, _) => &["nftables"],
            (Package::Iptables, Self::Dnf) => &["iptables-nft"],
            (Package::Iptables, _) => &["iptables"],
            (Package::Iproute, Self::Dnf) => &["iproute"],
            (Package::Iproute, _) => &["iproute2"],
            (Package::Conntrack, Self::Apt) => &["conntrack"],
            (Package::Conntrack, _) => &["conntrack-tools"],
            (Package::Mount, Self::Apt) => &["mount"],
            (Package::Wrk, _) => &["wrk"],
            (Package::Nghttp2, Self::Apt) => &["nghttp2-client"],
            (Package::Nghttp2, _) => &["nghttp2"],
            (Package::UtilLinux | Package::Mount, _) => &["util-linux"],
            (Package::Compiler, Self::Apt) => &["gcc", "libc6-dev"],
            (Package::Compiler, Self::Apk) => &["gcc", "musl-dev"],
            (Package::Compiler, Self::Zypper) => &["gcc", "glibc-devel"],
            (Package::Compiler, _) => &["gcc"],
            (Package::Libseccomp, Self::Apt) => &["libseccomp-dev"],
            (Package::Libseccomp, Self::Apk) => &["libseccomp-dev", "linux-headers"],
            (Package::Libseccomp, Self::Pacman) => &["libseccomp"],
            (Package::Libseccomp, _) => &["libseccomp-devel"],
            (Package::PkgConfig, Self::Apt | Self::Zypper) => &["pkg-config"],
            (Package::PkgConfig, Self::Dnf) => &["pkgconf-pkg-config"],
            (Package::PkgConfig, _) => &["pkgconf"],
        }
    }

    /// Its names of several packages, without duplicates.
    pub(super) fn packages(self, packages: &[Package]) -> Vec<&'static str> {
        let mut names: Vec<&str> = packages.iter().flat_map(|&package| self.package(package)).copied().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The arguments that install `names`.
    fn install_args(self, names: &[&'static str]) -> Vec<&'static str> {
        let verb: &[&str] = match self {
            // Another apt may be running, as on a machine that has just booted: wait for it.
            Self::Apt => &["-o", "DPkg::Lock::Timeout=120", "install", "-y", "--no-install-recommends"],
            Self::Dnf => &["install", "-y"],
            Self::Pacman => &["-S", "--needed", "--noconfirm"],
            Self::Zypper => &["--non-interactive", "install", "--no-recommends"],
            Self::Apk => &["add"],
        };
        verb.iter().chain(names).copied().collect()
    }

    /// The command with which a user installs `names`.
    pub(super) fn user_command(self, names: &[&'static str]) -> String {
        let command = match self {
            Self::Apt => "apt-get install -y",
            Self::Dnf => "dnf install -y",
            Self::Pacman => "pacman -S",
            Self::Zypper => "zypper install",
            Self::Apk => "apk add",
        };
        format!("{command} {}", names.join(" "))
    }

    /// The arguments that refresh its package lists.
    fn update_args(self) -> &'static [&'static str] {
        match self {
            // Without this option, lists that could not be fetched cause only a warning.
            Self::Apt => &["-o", "DPkg::Lock::Timeout=120", "-o", "APT::Update::Error-Mode=any", "update"],
            Self::Dnf => &["makecache"],
            Self::Pacman => &["-Sy"],
            Self::Zypper => &["--non-interactive", "refresh"],
            Self::Apk => &["update"],
        }
    }

    /// Whether it has no package lists yet, as in a new container.
    fn lacks_lists(self) -> bool {
        let (directory, suffix) = match self {
            Self::Apt => ("/var/lib/apt/lists", "Packages"),
            Self::Apk => ("/var/cache/apk", "tar.gz"),
            Self::Pacman => ("/var/lib/pacman/sync", ".db"),
            Self::Dnf | Self::Zypper => return false,
        };
        let listed = |name: &str| name.ends_with(suffix) || name.contains("_Packages");
        !fs::read_dir(directory)
            .is_ok_and(|mut entries| entries.any(|e| e.is_ok_and(|e| listed(&e.file_name().to_string_lossy()))))
    }
}

/// Installs `names` with the package manager at `path`; refreshes missing or outdated package lists first.
///
/// On shutdown, this waits for the package manager, because stopping it would leave a package half installed.
pub(super) async fn install(
    (manager, path): (Manager, &Path),
    names: &[&'static str],
    step: &Step,
    shutdown: &Shutdown,
) -> Result<(), ToolboxError> {
    let command =
        |args: &[&str]| Invocation::new(path, args).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
    let install = command(&manager.install_args(names));
    let failed = |why: String| ToolboxError::InstallFailed {
        what: names.join(", "),
        why,
        remedy: InstallRemedy::ByHand { command: manager.user_command(names) },
    };
    let refresh = async || {
        step.detail("refreshing the package lists");
        let refreshed = shutdown::unless(shutdown, command(manager.update_args()).run_async()).await?;
        refreshed.map(drop).map_err(|error| failed(error.to_string()))
    };
    let fresh = manager.lacks_lists();
    if fresh {
        refresh().await?;
    }
    step.detail(format!("installing {}", names.join(", ")));
    let mut result = run(&install, step, shutdown).await?;
    if result.is_err() && !fresh {
        refresh().await?;
        result = run(&install, step, shutdown).await?;
    }
    result.map_err(failed)
}

/// Runs a package manager until it exits, even on shutdown. The inner error has the last lines of its output.
async fn run(command: &Invocation, step: &Step, shutdown: &Shutdown) -> Result<Result<(), String>, ToolboxError> {
    let mut child = tokio::process::Command::from(command.detached_command());
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let ended = child.map_err(|source| command.not_started(&source))?.wait_with_output();
    tokio::pin!(ended);
    let output = tokio::select! {
        output = &mut ended => output,
        () = shutdown.cancelled() => {
            step.detail("stopping when the package manager has finished");
            let _ = ended.await;
            return Err(Interrupted.into());
        }
    };
    let output = output.map_err(|source| command.not_started(&source))?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let tail = last_lines(&String::from_utf8_lossy(said), 5);
    Ok(Err(format!("`{command}` failed ({}): {}", outcome(output.status), tail.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn related_distributions_are_recognised() {
        let of = |text: &str| Manager::of(text);
        assert_eq!(of("NAME=\"Debian\"\nID=debian\n"), Ok(Manager::Apt));
        assert_eq!(of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Ok(Manager::Apt));
        assert_eq!(of("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Ok(Manager::Dnf));
        assert_eq!(of("ID='opensuse-leap'\nID_LIKE='suse opensuse'\n"), Ok(Manager::Zypper));
        assert_eq!(of("ID=manjaro\nID_LIKE=arch\n"), Ok(Manager::Pacman));
        assert_eq!(of("ID=alpine\nVERSION_ID=3.22\n"), Ok(Manager::Apk));
        assert_eq!(of("VARIANT_ID=debian\nID=void\n"), Err("void".to_owned()));
        assert_eq!(of(""), Err(String::new()));
    }

    #[test]
    fn package_names_have_no_duplicates() {
        let packages = [Package::UtilLinux, Package::Mount, Package::Conntrack];
        assert_eq!(Manager::Apt.packages(&packages), ["conntrack", "mount", "util-linux"]);
        assert_eq!(Manager::Dnf.packages(&packages), ["conntrack-tools", "util-linux"]);
    }
}
