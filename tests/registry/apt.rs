//! apt, for packages that tests unpack for themselves. Nothing changes on the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// What programs of a desktop add to apt: commands to run after it, which write to `/var`, and further lists to download.
const WITHOUT: &str = "\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::CNF;
";

/// A command that runs `apt-get` or another of apt's programs, without what the machine has added to it.
pub(crate) fn apt(program: &str) -> Command {
    static CONFIGURATION: LazyLock<PathBuf> = LazyLock::new(|| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("apt.conf");
        fs::write(&file, WITHOUT).unwrap();
        file
    });
    let mut command = Command::new(program);
    // apt reads this file after those of the machine, and before the options that follow.
    command.arg(format!("--config-file={}", CONFIGURATION.display()));
    // Another user could not write to the tests' directories.
    command.arg("--option=APT::Sandbox::User=root").env("LC_ALL", "C");
    command
}
