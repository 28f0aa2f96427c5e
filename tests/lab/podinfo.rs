//! An image of podinfo, as an application that somebody else wrote.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use evenkeel::image::{ImageSpec, pack};

/// The version of podinfo's Go module.
const VERSION: &str = "v1.8.1-0.20250910200901-e86405a8674e";
/// Where it listens.
pub(crate) const PORT: u16 = 9898;

/// An image archive, and the name of the image in it.
pub(crate) struct Podinfo {
    pub(crate) archive: PathBuf,
    pub(crate) reference: String,
}

/// Builds the image with Go, once for all tests.
pub(crate) fn podinfo() -> &'static Podinfo {
    static BUILT: OnceLock<Podinfo> = OnceLock::new();
    BUILT.get_or_init(|| {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("podinfo");
        let binary = directory.join(VERSION).join("podinfo");
        if !binary.exists() {
            let mut go = Command::new("go");
            go.args(["install", "-trimpath", "-ldflags=-s -w"]);
            go.arg(format!("github.com/stefanprodan/podinfo/cmd/podinfo@{VERSION}"));
            let go = go.env("GOBIN", binary.parent().unwrap()).env("CGO_ENABLED", "0").env("GOFLAGS", "");
            assert!(go.status().unwrap().success(), "podinfo cannot be built");
        }
        let spec = ImageSpec {
            name: "evenkeel.local/podinfo",
            entrypoint: "podinfo",
            description: "podinfo",
            port: Some(PORT),
        };
        let packed = pack(&fs::read(binary).unwrap(), &spec).unwrap();
        let archive = directory.join("podinfo.tar");
        fs::write(&archive, &packed.archive).unwrap();
        Podinfo { archive, reference: packed.reference }
    })
}
