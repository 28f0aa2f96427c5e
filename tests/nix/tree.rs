//! A copy of the flake in a temporary directory, evaluated with stubs of its inputs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::programs::{Program, succeed};

/// The entries of the project that the flake never reads: build output, and Git's own files.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

pub(crate) struct Tree {
    directory: TempDir,
    nix: Program,
}

impl Tree {
    /// Copies the project, apart from [`LEFT_OUT`] and the links that `nix build` makes.
    pub(crate) fn new(nix: Program) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tree = Self { directory, nix };
        for entry in fs::read_dir(project()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if !LEFT_OUT.iter().any(|left_out| name == *left_out) && !entry.file_type().unwrap().is_symlink() {
                copy(&entry.path(), &tree.path("").join(name));
            }
        }
        for directory in ["state", "configuration"] {
            fs::create_dir_all(tree.own(directory)).unwrap();
        }
        let settings = "experimental-features = nix-command flakes\nsandbox = false\nsubstituters =\nbuilders =\n\
                        build-users-group =\nflake-registry =\n";
        fs::write(tree.own("configuration").join("nix.conf"), settings).unwrap();
        tree
    }

    /// The path of a file of the copy.
    pub(crate) fn path(&self, part: &str) -> PathBuf {
        self.directory.path().join("flake").join(part)
    }

    fn own(&self, part: &str) -> PathBuf {
        self.directory.path().join(part)
    }

    /// Adds a line to a file of the copy.
    pub(crate) fn append(&self, part: &str, line: &str) {
        let text = fs::read_to_string(self.path(part)).unwrap();
        fs::write(self.path(part), format!("{text}{line}\n")).unwrap();
    }

    /// Replaces a text that a file of the copy contains.
    pub(crate) fn replace(&self, part: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(part)).unwrap();
        assert!(text.contains(from), "{part} does not contain {from}");
        fs::write(self.path(part), text.replace(from, to)).unwrap();
    }

    /// `nix` with its own store: it uses neither the daemon nor /nix, and fetches nothing.
    pub(crate) fn nix(&self, arguments: &[&str]) -> Command {
        let mut command = self.nix.command();
        // When Nix is run through a loader, it cannot start itself as its build hook.
        command.args(arguments).args(["--option", "build-hook", ""]).current_dir(self.path(""));
        command.env("NIX_STORE_DIR", self.own("state/store")).env("NIX_STATE_DIR", self.own("state/var"));
        command.env("NIX_LOG_DIR", self.own("state/log")).env("NIX_CONF_DIR", self.own("configuration"));
        command.env("NIX_REMOTE", "").env("HOME", self.own("state")).env("XDG_CACHE_HOME", self.own("state/cache"));
        command
    }

    /// `nix` on this flake with stubs of its inputs. It fails if the lock file would have to change.
    pub(crate) fn flake(&self, arguments: &[&str]) -> Command {
        let mut command = self.nix(arguments);
        for input in ["nixpkgs", "crane", "kubenix"] {
            let stub = self.path("tests/nix/stubs").join(input);
            command.args(["--override-input", input, &format!("path:{}", stub.display())]);
        }
        command.arg("--no-update-lock-file");
        command
    }

    /// Evaluates the function `apply` on the attribute `installable` of the flake.
    #[track_caller]
    pub(crate) fn evaluate(&self, installable: &str, apply: &str) -> Value {
        let text = succeed(&mut self.flake(&["eval", "--json", &self.installable(installable), "--apply", apply]));
        serde_json::from_str(&text).unwrap()
    }

    /// Like [`Tree::evaluate`], but returns the output of an evaluation that may fail.
    pub(crate) fn try_evaluate(&self, installable: &str, apply: &str) -> Output {
        self.flake(&["eval", "--json", &self.installable(installable), "--apply", apply]).output().unwrap()
    }

    fn installable(&self, attribute: &str) -> String {
        format!("path:{}#{attribute}", self.path("").display())
    }
}

/// The root directory of the project.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}
