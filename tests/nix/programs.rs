//! The programs that these tests need. They are taken from PATH, or else downloaded from Debian's packages or crates.io
//! into `target/`. Nothing is installed on the machine.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Debian suite whose packages are unpacked.
const SUITE: &str = "trixie";
/// The directory of the downloaded programs.
const DOWNLOADED: &str = env!("CARGO_TARGET_TMPDIR");

/// A program: its path, and the arguments that every call needs.
pub(crate) struct Program {
    words: Vec<PathBuf>,
}

impl Program {
    /// A command that runs it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        command
    }

    /// The program `name` on PATH, or else from Debian's `package`.
    pub(crate) fn from_debian(name: &str, package: &str) -> Self {
        on_path(name).map_or_else(|| unpacked(name, package), |path| Self { words: vec![path] })
    }

    /// The program `name` on PATH, or else from the crate of the same name in `version`.
    pub(crate) fn from_crates(name: &str, version: &str) -> Self {
        if let Some(path) = on_path(name) {
            return Self { words: vec![path] };
        }
        let root = Path::new(DOWNLOADED).join(format!("{name}-{version}"));
        let program = root.join("bin").join(name);
        if !program.exists() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["install", "--quiet", "--locked", "--version", version, "--root"]).arg(&root).arg(name);
            // The settings of this project's build must not apply to that build.
            cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
            succeed(&mut cargo);
        }
        Self { words: vec![program] }
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// A program from a Debian package. The package is unpacked together with all libraries that it depends on.
fn unpacked(name: &str, package: &str) -> Program {
    let root = Path::new(DOWNLOADED).join(format!("{package}-{SUITE}"));
    if !root.join("complete").exists() {
        unpack(package, &root);
        fs::write(root.join("complete"), "").unwrap();
    }
    let loader = match ARCH {
        "x86_64" => "usr/lib64/ld-linux-x86-64.so.2".to_owned(),
        other => format!("usr/lib/ld-linux-{other}.so.1"),
    };
    let libraries = root.join(format!("usr/lib/{ARCH}-linux-gnu"));
    let places = ["usr/bin", "usr/sbin"].map(|place| root.join(place).join(name));
    let program = places.into_iter().find(|path| path.exists()).expect("the package has the program");
    let words = [root.join(loader), "--library-path".into(), libraries, program];
    Program { words: words.into() }
}

fn unpack(package: &str, root: &Path) {
    let work = root.join("apt");
    for directory in ["lists/partial", "archives/partial"] {
        fs::create_dir_all(work.join(directory)).unwrap();
    }
    // apt sees no installed package, so it downloads all libraries.
    fs::write(work.join("status"), "").unwrap();
    let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
    fs::write(work.join("sources.list"), format!("deb [signed-by={keys}] {} {SUITE} main\n", mirror())).unwrap();
    succeed(apt(&work).args(["-qq", "update"]));
    succeed(apt(&work).args(["-qq", "--yes", "--download-only", "install", package]));
    for archive in fs::read_dir(work.join("archives")).unwrap() {
        let archive = archive.unwrap().path();
        if archive.extension().is_some_and(|extension| extension == "deb") {
            succeed(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(root));
        }
    }
    fs::remove_dir_all(work).unwrap();
}

/// apt-get with its own state and sources.
fn apt(work: &Path) -> Command {
    let mut apt = Command::new("apt-get");
    let mut option = |name: &str, value: &str| {
        apt.args(["-o", &format!("{name}={value}")]);
    };
    let at = |path: &str| work.join(path).display().to_string();
    option("Dir::Etc::sourcelist", &at("sources.list"));
    option("Dir::Etc::sourceparts", "/dev/null");
    option("Dir::Etc::preferencesparts", "/dev/null");
    option("Dir::State", &at(""));
    option("Dir::State::lists", &at("lists"));
    option("Dir::State::status", &at("status"));
    option("Dir::Cache", &at(""));
    option("Dir::Cache::archives", &at("archives"));
    option("APT::Install-Recommends", "false");
    option("APT::Sandbox::User", "root");
    option("Debug::NoLocking", "1");
    apt
}

/// The Debian mirror that this machine uses.
fn mirror() -> String {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path()));
    let texts: Vec<_> = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let words = texts.iter().flat_map(|text| text.split_whitespace());
    let mirror = words.map(|word| word.trim_end_matches('/')).find(|word| word.ends_with("/debian"));
    mirror
        .expect("these tests need nix and shellcheck on PATH, or Debian's packages: https://nixos.org/download")
        .to_owned()
}

/// Runs a command that must succeed. Returns its stdout.
#[track_caller]
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{said}{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}
