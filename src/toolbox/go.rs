//! Finds the Go that builds the pinned modules.

use std::path::{Path, PathBuf};

use super::find::all_on_path;
use crate::process::{Invocation, ProgramError};
use crate::version::Version;

/// Where Go usually is, for a PATH that does not contain it, as under sudo.
const DIRECTORIES: &[&str] = &["/usr/local/go/bin", "/usr/lib/go/bin", "/usr/lib/golang/bin"];
/// The oldest Go that downloads the Go that a module asks for.
const OLDEST: Version = Version(1, 21, 0);

/// The first Go that is new enough. The error is the rest of a sentence about Go: "which was not found".
pub(super) fn find() -> Result<PathBuf, String> {
    first_suitable(all_on_path("go", DIRECTORIES))
}

fn first_suitable(candidates: Vec<PathBuf>) -> Result<PathBuf, String> {
    let mut problems = Vec::new();
    for program in candidates {
        match problem(&program) {
            None => return Ok(program),
            Some(problem) => problems.push(format!("but {} {problem}", program.display())),
        }
    }
    Err(problems.into_iter().next().unwrap_or_else(|| "which was not found".to_owned()))
}

fn problem(program: &Path) -> Option<String> {
    // Without this setting, a go.mod in the current directory may make it answer for another Go.
    match Invocation::new(program, ["version"]).env("GOTOOLCHAIN", "local").run() {
        Err(ProgramError { outcome, .. }) => Some(format!("does not report its version ({outcome})")),
        // A development version has no number.
        Ok(answer) => Version::in_text(&String::from_utf8_lossy(&answer))
            .filter(|version| *version < OLDEST)
            .map(|version| format!("is version {version}, and {OLDEST} or newer is needed")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_go_that_is_too_old_is_passed_over_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let go = |name: &str, says: &str| {
            let path = directory.path().join(name);
            fs::write(&path, format!("#!/bin/sh\necho 'go version {says} linux/amd64'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        // Debian 12 has Go 1.19.
        let (old, new, devel) = (go("old", "go1.19.8"), go("new", "go1.24.4"), go("devel", "devel +a1b2c3d"));
        assert_eq!(first_suitable(vec![old.clone(), new.clone(), devel.clone()]), Ok(new));
        assert_eq!(first_suitable(vec![old.clone(), devel.clone()]), Ok(devel));
        assert_eq!(
            first_suitable(vec![old.clone()]),
            Err(format!("but {} is version 1.19.8, and 1.21 or newer is needed", old.display()))
        );
        assert_eq!(first_suitable(Vec::new()), Err("which was not found".to_owned()));
    }
}
