//! Programs that Go builds for the tests, once for a target directory.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A program from the Go module proxy. `ldflags` are for the linker: `-s -w`.
pub(crate) fn go_program(package: &str, version: &str, ldflags: &str) -> PathBuf {
    let name = Path::new(package).file_name().unwrap().to_str().unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{version}"));
    let program = directory.join(name);
    if !program.exists() {
        let mut go = Command::new("go");
        go.args(["install", "-trimpath", "-ldflags", ldflags]).arg(format!("{package}@{version}"));
        let built = go.env("GOBIN", &directory).env("CGO_ENABLED", "0").env("GOFLAGS", "").output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }
    program
}
