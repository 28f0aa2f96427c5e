//! The machine's files as the sandbox, and so a pod with a `hostPath`, sees them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::network::Sandbox;

/// What a lab writes outside the directories in memory must fail, and must not appear on the machine.
pub(super) fn of_the_machine_are_read_only(sandbox: Sandbox) {
    let outside = ["/", "/etc", "/home", "/opt", "/srv", "/usr", "/var"].into_iter();
    for directory in outside.filter(|directory| Path::new(directory).is_dir()) {
        let file = format!("{directory}/evenkeel-was-here");
        let written = fs::write(sandbox.path(&file), "");
        assert_eq!(written.unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem, "{file}");
    }
    for directory in ["/run", "/tmp", "/var/lib", "/var/log"] {
        let file = format!("{directory}/evenkeel-was-here");
        fs::write(sandbox.path(&file), "").unwrap();
        assert!(!Path::new(&file).exists(), "{file} is on the machine");
    }
}
