//! The flake, without nixpkgs. Every output is evaluated with stubs of its inputs (`stubs/`), so a name that does not
//! exist, an argument that a builder does not accept, or a missing file makes a test fail. `nix flake check` covers what
//! needs real builders.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod programs;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use programs::{Program, succeed};
use serde_json::{Value, json};
use tree::{Tree, project};

const SYSTEM: &str = "x86_64-linux";

/// A copy of the flake, with a Nix that the first test installs while the other tests wait.
fn tree() -> Tree {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| drop(Program::from_debian("nix", "nix-bin")));
    Tree::new(Program::from_debian("nix", "nix-bin"))
}

#[test]
fn every_output_evaluates_on_every_system() {
    let tree = tree();
    let flake = format!("path:{}", tree.path("").display());
    let output = tree.flake(&["flake", "check", "--no-build", "--all-systems", &flake]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for output in ["packages.aarch64-linux.image", "devShells.aarch64-darwin.default", "checks.x86_64-linux.vm-test"] {
        assert!(said.contains(output), "{output} was not evaluated:\n{said}");
    }
    tree.append("nix/toolbox.nix", "++ [ pkgs.kubernets ]");
    let output = tree.flake(&["flake", "check", "--no-build", &flake]).output().unwrap();
    assert!(!output.status.success(), "a package that does not exist must fail");
}

#[test]
fn the_lock_is_complete_and_pins_every_input() {
    let tree = tree();
    let lock = fs::read_to_string(tree.path("flake.lock")).unwrap();
    succeed(&mut tree.nix(&[
        "flake",
        "metadata",
        "--no-update-lock-file",
        &format!("path:{}", tree.path("").display()),
    ]));
    assert_eq!(fs::read_to_string(tree.path("flake.lock")).unwrap(), lock);

    let lock: Value = serde_json::from_str(&lock).unwrap();
    let mut nodes = lock["nodes"].as_object().unwrap().clone();
    let root = nodes.remove("root").unwrap();
    assert_eq!(root["inputs"], json!({ "crane": "crane", "kubenix": "kubenix", "nixpkgs": "nixpkgs" }));
    for (name, node) in &nodes {
        let locked = &node["locked"];
        let revision = locked["rev"].as_str().unwrap_or_default();
        assert!(revision.len() == 40 && revision.chars().all(|c| c.is_ascii_hexdigit()), "{name} has no revision");
        let hash = locked["narHash"].as_str().unwrap_or_default();
        assert!(hash.len() == 51 && hash.starts_with("sha256-"), "{name} has no hash");
    }
}

#[test]
fn the_apps_are_sound_scripts_and_have_descriptions() {
    let tree = tree();
    let shellcheck = Program::from_debian("shellcheck", "shellcheck");
    for (name, app) in apps(&tree) {
        assert!(app.description.len() > 10, "{name} has no description");
        if name != "default" {
            succeed(shellcheck.command().arg("--shell=bash").arg(&app.program));
        }
    }
}

#[test]
fn the_apps_become_root_when_they_must_and_say_so() {
    let tree = tree();
    let apps = apps(&tree);
    // A user who is not root, and a sudo that prints its arguments.
    let bin = tree.path("bin");
    fs::create_dir(&bin).unwrap();
    for (name, script) in [("id", "echo 1000"), ("sudo", "echo sudo \"$@\"")] {
        fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let run = |name: &str, arguments: &[&str]| {
        let output = Command::new("bash").arg(&apps[name].program).args(arguments).env("PATH", &path).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let root = [
        ("up", &[][..]),
        ("scale", &["10"]),
        ("down", &[]),
        ("test", &["--replicas", "2,5"]),
        ("test", &["--compare", "keepalive,client"]),
        ("test", &["-c", "30", "--during", "rollout"]),
        ("soak", &["--rounds", "3"]),
    ];
    for (name, arguments) in root {
        let (stdout, stderr) = run(name, arguments);
        let script = apps[name].program.display();
        assert!(stdout.starts_with("sudo --preserve-env=EVENKEEL_NAME,"), "{name}: {stdout}{stderr}");
        assert!(stdout.trim_end().ends_with(format!("-- {script} {}", arguments.join(" ")).trim_end()), "{stdout}");
        assert!(stderr.contains("needs root"), "{stderr}");
    }
    for (name, arguments) in [("status", &[][..]), ("logs", &["-f"]), ("test", &["-c", "30"])] {
        assert!(!run(name, arguments).0.contains("sudo"), "{name} {arguments:?} needs no root");
    }
}

#[test]
fn the_manifests_are_what_the_module_says() {
    let tree = tree();
    let rendered = tree.evaluate(&format!("packages.{SYSTEM}.manifests.objects"), "objects: objects");
    let tag = tree.evaluate(&format!("packages.{SYSTEM}.image.imageTag"), "tag: tag");
    let mut committed = BTreeMap::new();
    for entry in fs::read_dir(project().join("manifests")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let object: Value = serde_saphyr::from_str(&text).unwrap();
        committed.insert(object["kind"].to_string(), object);
    }
    let container = "/spec/template/spec/containers/0/image";
    for mut object in rendered.as_array().unwrap().iter().cloned() {
        if let Some(image) = object.pointer_mut(container) {
            assert_eq!(*image, format!("evenkeel.local/server:{}", tag.as_str().unwrap()));
            *image = "evenkeel.local/server:unset".into();
        }
        let same = committed.remove(&object["kind"].to_string());
        assert_eq!(same.as_ref(), Some(&object), "render manifests/ again: nix run .#render");
    }
    assert!(committed.is_empty(), "nix/workload.nix does not render {committed:?}");
}

#[test]
fn a_lab_of_ones_own_changes_the_workload_and_typos_do_not_pass() {
    let tree = tree();
    let lab = |modules: &str| {
        format!(
            "mkLab: (builtins.filter (object: object.kind == \"Deployment\")
                (mkLab {{ system = \"{SYSTEM}\"; modules = [ {modules} ]; }}).manifests.objects)"
        )
    };
    let changed = tree.evaluate("lib.mkLab", &lab("{ evenkeel = { replicas = 5; drainSeconds = 20; }; }"));
    assert_eq!(changed[0]["spec"]["replicas"], 5);
    assert_eq!(changed[0]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 27);
    for (wrong, said) in [
        ("{ evenkeel.replica = 5; }", "evenkeel.replica"),
        ("{ evenkeel.replicas = \"5\"; }", "evenkeel.replicas"),
        ("{ evenkeel.port = 70000; }", "evenkeel.port"),
        ("{ evenkeel.graceSeconds = 8; }", "evenkeel.graceSeconds"),
        ("{ evenkeel.resources.memoryLimit = \"64 MB\"; }", "memoryLimit"),
    ] {
        let output = tree.try_evaluate("lib.mkLab", &lab(wrong));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{wrong}: {error}");
    }
}

#[test]
fn only_the_servers_own_files_change_its_image() {
    let tree = tree();
    let image = || tree.evaluate(&format!("packages.{SYSTEM}.image.drvPath"), "path: path");
    let cli = || tree.evaluate(&format!("packages.{SYSTEM}.evenkeel.drvPath"), "path: path");
    let (first_image, first_cli) = (image(), cli());
    tree.append("src/cli/up.rs", "// changed");
    tree.append("README.md", "changed");
    assert_eq!(image(), first_image, "a change of the CLI must not change the image");
    assert_ne!(cli(), first_cli);
    tree.append("crates/server/src/drain.rs", "// changed");
    assert_ne!(image(), first_image, "a change of the server must change the image");
}

#[test]
fn the_checks_have_every_file_that_is_included() {
    let tree = tree();
    let source = tree.evaluate(&format!("checks.{SYSTEM}.tests.src"), "source: \"${source}\"");
    let source = PathBuf::from(source.as_str().unwrap());
    let mut included = 0;
    for file in files(&source, "rs") {
        let text = fs::read_to_string(&file).unwrap();
        for path in text.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let path = file.parent().unwrap().join(path);
            assert!(path.exists(), "nix/rust.nix leaves out {}", path.display());
            included += 1;
        }
    }
    assert!(included >= 10, "only {included} included files were found");
}

#[test]
fn nix_files_are_formatted() {
    for file in nix_files() {
        let text = fs::read_to_string(&file).unwrap();
        let formatted = nixfmt_rs::format(&text).unwrap_or_else(|error| panic!("{}: {error:?}", file.display()));
        assert!(text == formatted, "{} is not formatted: nix fmt", file.display());
    }
}

#[test]
fn nix_files_have_no_dead_code() {
    let deadnix = Program::from_crates("deadnix", "1.3.1");
    succeed(deadnix.command().arg("--fail").args(nix_files()));
    let tree = tempfile::tempdir().unwrap();
    let dead = tree.path().join("dead.nix");
    fs::write(&dead, "let unused = 1; in 2\n").unwrap();
    assert!(!deadnix.command().arg("--fail").arg(dead).output().unwrap().status.success(), "dead code must fail");
}

struct App {
    program: PathBuf,
    description: String,
}

/// Builds the scripts of all apps.
fn apps(tree: &Tree) -> BTreeMap<String, App> {
    let evaluated = tree.evaluate(
        &format!("apps.{SYSTEM}"),
        "builtins.mapAttrs (_: app: {
            inherit (app) program;
            inherit (app.meta) description;
            derivation = builtins.head (builtins.attrNames (builtins.getContext app.program));
        })",
    );
    let text = |app: &Value, key: &str| app[key].as_str().unwrap().to_owned();
    let apps = evaluated.as_object().unwrap();
    let derivations: Vec<String> = apps.values().map(|app| text(app, "derivation") + "^*").collect();
    succeed(tree.nix(&["build", "--no-link"]).args(derivations));
    let app = |(name, app): (&String, &Value)| {
        let app = App { program: text(app, "program").into(), description: text(app, "description") };
        (name.clone(), app)
    };
    apps.iter().map(app).collect()
}

/// Every Nix file of the project.
fn nix_files() -> Vec<PathBuf> {
    let mut found = vec![project().join("flake.nix")];
    found.extend(["nix", "tests/nix"].iter().flat_map(|part| files(&project().join(part), "nix")));
    found
}

/// The files below `directory` with this file name extension.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let matching = files.into_iter().filter(|path| path.extension().is_some_and(|found| found == extension));
    matching.chain(directories.iter().flat_map(|path| self::files(path, extension))).collect()
}
