//! The programs that these tests need. The first one on PATH that is new enough is taken; if there is none, it is downloaded
//! from Debian's packages or crates.io into `target/`. Nothing is installed on the machine.

use std::env::consts::ARCH;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt::apt;

/// The Debian suite whose packages are unpacked.
const SUITE: &str = "trixie";
/// The directory of the downloaded programs.
const DOWNLOADED: &str = env!("CARGO_TARGET_TMPDIR");

/// The oldest version of each program that these tests accept from PATH.
const OLDEST: [(&str, Version); 4] = [
    // That of Debian 13. 2.8 lacks `--all-systems` and `FILE.drv^*`, and 2.18 accepts no empty build hook.
    ("nix", (2, 26)),
    // That of Debian 12. An older one has fewer checks.
    ("shellcheck", (0, 9)),
    // The one that these tests bring. An older one may know less of the language.
    ("deadnix", (1, 3)),
    // That of Debian 12.
    ("dhcpcd", (9, 4)),
];

/// Major and minor.
type Version = (u32, u32);

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
        on_path(name).unwrap_or_else(|| unpacked(name, package))
    }

    /// The program `name` on PATH, or else from the crate of the same name in `version`.
    pub(crate) fn from_crates(name: &str, version: &str) -> Self {
        if let Some(program) = on_path(name) {
            return program;
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

fn on_path(name: &str) -> Option<Program> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    first_suitable(name, std::env::split_paths(&path))
}

/// The first program `name` in these directories that is new enough.
fn first_suitable(name: &str, directories: impl Iterator<Item = PathBuf>) -> Option<Program> {
    let (_, oldest) = *OLDEST.iter().find(|(known, _)| *known == name).expect("every program has an oldest version");
    let mut there = directories.map(|directory| directory.join(name)).filter(|path| path.is_file());
    there.find(|path| version(path).is_some_and(|version| version >= oldest)).map(|path| Program { words: vec![path] })
}

/// The version that a program reports, if it runs at all. It is the last one in its answer: "nix (Determinate Nix 3.6) 2.29.0".
fn version(program: &Path) -> Option<Version> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    answer.split_whitespace().filter_map(parsed).next_back()
}

fn parsed(word: &str) -> Option<Version> {
    let mut numbers = word.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
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
    succeed(apt_in(&work).args(["-qq", "update"]));
    succeed(apt_in(&work).args(["-qq", "--yes", "--download-only", "install", package]));
    for archive in fs::read_dir(work.join("archives")).unwrap() {
        let archive = archive.unwrap().path();
        if archive.extension().is_some_and(|extension| extension == "deb") {
            succeed(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(root));
        }
    }
    fs::remove_dir_all(work).unwrap();
}

/// apt-get with its own state and sources.
fn apt_in(work: &Path) -> Command {
    let mut apt = apt("apt-get");
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
        .expect("these tests need Nix 2.26 or newer and shellcheck on PATH, or Debian's packages: https://nixos.org/download")
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

#[test]
fn a_program_that_is_too_old_or_does_not_run_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let put = |place: &str, script: &str| {
        let directory = directory.path().join(place);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("nix"), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(directory.join("nix"), fs::Permissions::from_mode(0o755)).unwrap();
        directory
    };
    let debian_12 = put("debian-12", "echo 'nix (Nix) 2.8.0'");
    let ubuntu_24 = put("ubuntu-24", "echo 'nix (Nix) 2.18.1'");
    let broken = put("broken", "exit 127");
    let new = put("new", "echo 'nix (Determinate Nix 3.6.0) 2.29.0'");
    let newest = put("newest", "echo 'nix (Nix) 3.0.1'");
    let found = |places: &[&PathBuf]| {
        first_suitable("nix", places.iter().copied().cloned()).map(|program| program.words[0].clone())
    };
    assert_eq!(found(&[&debian_12, &ubuntu_24, &broken]), None, "the tests bring their own");
    assert_eq!(found(&[&debian_12, &ubuntu_24, &broken, &new, &newest]), Some(new.join("nix")));
    assert_eq!(found(&[&newest, &new]), Some(newest.join("nix")));
}
