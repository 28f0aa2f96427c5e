//! The flake, without nixpkgs. Every output is evaluated with stubs of its inputs (`stubs/`), so a name that does not
//! exist, an argument that a builder does not accept, or a missing file makes a test fail. `nix flake check` covers what
//! needs real builders.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

#[path = "../registry/apt.rs"]
mod apt;
mod programs;
mod tree;

use std::collections::BTreeMap;
use std::fs;
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
    for output in ["packages.aarch64-linux.image", "devShells.aarch64-darwin.default", "packages.x86_64-linux.vm-test"]
    {
        assert!(said.contains(output), "{output} was not evaluated:\n{said}");
    }
    tree.append("nix/toolbox.nix", "// { kubernetes = pkgs.kubernets; }");
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
    assert_eq!(
        nodes.keys().collect::<Vec<_>>(),
        ["crane", "kubenix", "nixpkgs", "systems"],
        "an input that nothing uses"
    );
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
fn an_app_runs_its_verb_with_the_users_arguments() {
    let tree = tree();
    for (name, app) in apps(&tree) {
        if !["default", "render"].contains(&name.as_str()) {
            let script = fs::read_to_string(&app.program).unwrap();
            let arguments = if name == "push" { "build --push" } else { &name };
            assert!(script.trim_end().ends_with(&format!("/bin/evenkeel {arguments} \"$@\"")), "{script}");
        }
    }
}

#[test]
fn there_is_an_app_for_every_verb() {
    let tree = tree();
    let apps = apps(&tree);
    let help = succeed(Command::new(env!("CARGO_BIN_EXE_evenkeel")).arg("help"));
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let mut verbs: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    verbs.retain(|verb| *verb != "help");
    assert!(verbs.len() >= 13, "{help}");
    for verb in verbs {
        assert!(apps.contains_key(verb), "there is no app for {verb}");
    }
}

#[test]
fn the_apps_of_a_default_lab_do_not_evaluate_kubenix() {
    let tree = tree();
    fs::write(tree.path("tests/nix/stubs/kubenix/modules.nix"), "_: throw \"kubenix was evaluated\"\n").unwrap();
    tree.evaluate(&format!("apps.{SYSTEM}.status.program"), "program: \"${program}\"");
    let output = tree.try_evaluate(&format!("packages.{SYSTEM}.manifests.drvPath"), "path: path");
    assert!(String::from_utf8_lossy(&output.stderr).contains("kubenix was evaluated"));
}

#[test]
fn nothing_that_is_checked_needs_a_virtual_machine() {
    let tree = tree();
    let names = |output: &str| tree.evaluate(&format!("{output}.{SYSTEM}"), "builtins.attrNames");
    let contains = |names: &Value, name: &str| names.as_array().unwrap().contains(&name.into());
    assert!(!contains(&names("checks"), "vm-test"));
    assert!(contains(&names("packages"), "vm-test"));
}

#[test]
fn a_kubernetes_that_the_command_line_would_refuse_is_refused_by_the_flake() {
    let tree = tree();
    let program = format!("apps.{SYSTEM}.up.program");
    let packages = "tests/nix/stubs/nixpkgs/packages.nix";
    tree.replace(packages, "1.36.3", "1.37.1");
    tree.evaluate(&program, "program: \"${program}\"");
    for version in ["1.38.0", "1.35.9", "2.36.0"] {
        tree.replace(packages, "version = \"1.37.1\"", &format!("version = \"{version}\""));
        let output = tree.try_evaluate(&program, "program: \"${program}\"");
        let error = String::from_utf8_lossy(&output.stderr);
        let wanted = format!("nixpkgs has Kubernetes {version}, and this version of Evenkeel runs 1.36 and 1.37.");
        assert!(!output.status.success() && error.contains(&wanted), "{error}");
        tree.replace(packages, &format!("version = \"{version}\""), "version = \"1.37.1\"");
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
            "mkLab: let inherit ((mkLab {{ system = \"{SYSTEM}\"; modules = [ {modules} ]; }}).manifests) objects;
                in builtins.deepSeq objects (builtins.filter (object: object.kind == \"Deployment\") objects)"
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
        ("{ evenkeel.preStopSeconds = 5; evenkeel.graceSeconds = 13; }", "evenkeel.graceSeconds"),
        ("{ evenkeel.probes.readiness = \"readyz\"; }", "evenkeel.probes.readiness"),
        ("{ evenkeel.environment.A = 1; }", "evenkeel.environment"),
        ("{ evenkeel.user = 0; }", "evenkeel.user"),
        ("{ evenkeel.podSecurity = \"none\"; }", "evenkeel.podSecurity"),
        ("{ evenkeel.resources.memoryLimit = \"64 MB\"; }", "memoryLimit"),
    ] {
        let output = tree.try_evaluate("lib.mkLab", &lab(wrong));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{wrong}: {error}");
    }
}

#[test]
fn a_strangers_service_gets_its_probes_ports_environment_and_user() {
    let tree = tree();
    let options = "{ evenkeel = {
        port = 8080; ports.metrics = 9090; environment.MODE = \"lab\"; arguments = [ \"--serve\" ]; user = 1000;
        probes = { readiness = \"/up\"; liveness = null; startupSeconds = 30; };
        preStopSeconds = 4; writableRootFilesystem = true; podSecurity = \"baseline\";
    }; }";
    let objects = tree.evaluate(
        "lib.mkLab",
        &format!(
            "mkLab: builtins.listToAttrs (map (object: {{ name = object.kind; value = object; }})
                (mkLab {{ system = \"{SYSTEM}\"; modules = [ {options} ]; }}).manifests.objects)"
        ),
    );
    let pod = &objects["Deployment"]["spec"]["template"]["spec"];
    let server = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsUser"], 1000);
    assert_eq!(pod["terminationGracePeriodSeconds"], 14);
    assert_eq!(objects["Deployment"]["spec"]["progressDeadlineSeconds"], 330);
    assert_eq!(server["args"], json!(["--serve"]));
    assert_eq!(server["ports"][1], json!({ "name": "metrics", "containerPort": 9090, "protocol": "TCP" }));
    let variables = server["env"].as_array().unwrap();
    assert!(variables.contains(&json!({ "name": "MODE", "value": "lab" })), "{variables:?}");
    assert_eq!(server["readinessProbe"]["httpGet"]["path"], "/up");
    assert_eq!(server["startupProbe"]["failureThreshold"], 30);
    assert!(server.get("livenessProbe").is_none());
    assert_eq!(server["lifecycle"]["preStop"]["sleep"]["seconds"], 4);
    assert_eq!(server["securityContext"]["readOnlyRootFilesystem"], false);
    let port = json!({ "name": "metrics", "port": 9090, "protocol": "TCP", "targetPort": "metrics" });
    assert_eq!(objects["Service"]["spec"]["ports"][1], port);
    let labels = &objects["Namespace"]["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "baseline");
}

#[test]
fn a_lab_takes_images_and_programs_of_ones_own_and_a_set_of_packages() {
    let tree = tree();
    let lab = |arguments: &str, of: &str| {
        format!(
            "lib: let inherit (lib.mkLab {{ system = \"{SYSTEM}\"; }}) pkgs;
                 lab = lib.mkLab {{ inherit pkgs; {arguments} }}; in {of}"
        )
    };
    let images = "image = pkgs.dockerTools.streamLayeredImage { name = \"my.local/app\"; };";
    let script = tree.evaluate("lib", &lab(images, "lab.packages.image.script"));
    assert!(script.as_str().unwrap().ends_with("app >$out"), "a stream is written to a file: {script}");
    let name = tree.evaluate("lib", &lab(images, "lab.packages.image.imageName"));
    assert_eq!(name, "my.local/app");

    let own = "toolbox.runc = pkgs.package \"my-runc\" { };";
    let path = tree.evaluate("lib", &lab(own, "map toString lab.toolbox"));
    assert!(path.as_array().unwrap().iter().any(|path| path.as_str().unwrap().ends_with("-my-runc")), "{path}");
    let output = tree.try_evaluate("lib", &lab("toolbox.kubelets = pkgs.runc;", "lab.evenkeel.drvPath"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("toolbox has no program kubelets"));

    for output in ["apps.demo.program", "devShell.drvPath", "checks.kubernetes-manners.drvPath"] {
        let value = tree.evaluate("lib", &lab("modules = [ { evenkeel.port = 8080; } ];", &format!("lab.{output}")));
        assert!(value.is_string(), "{output}: {value}");
    }
}

#[test]
fn several_services_have_manifests_and_images_of_their_own() {
    let tree = tree();
    let lab = |services: &str, of: &str| {
        format!(
            "lib: let inherit (lib.mkLab {{ system = \"{SYSTEM}\"; }}) pkgs;
                 image = name: pkgs.dockerTools.buildLayeredImage {{ inherit name; }};
                 lab = lib.mkLab {{ inherit pkgs; {services} }}; in {of}"
        )
    };
    let two = "services = {
        front = { image = image \"my.local/front\"; port = 8080; };
        back = { image = image \"my.local/back\"; external = false; replicas = 3; };
    };";
    let name = "map (object: \"${object.kind}/${object.metadata.name}\") lab.manifests.objects";
    let names = tree.evaluate("lib", &lab(two, name));
    let names: Vec<&str> = names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for wanted in ["Deployment/front", "Deployment/back", "Service/front", "Service/back"] {
        assert!(names.contains(&wanted), "{names:?}");
    }
    let of_back =
        "(builtins.head (builtins.filter (object: object.kind == \"Service\" && object.metadata.name == \"back\")
        lab.manifests.objects)).spec";
    let service = tree.evaluate("lib", &lab(two, of_back));
    assert_eq!((&service["type"], service.get("externalTrafficPolicy")), (&json!("ClusterIP"), None));
    let wrapper = tree.evaluate("lib", &lab(two, "lab.evenkeel.script"));
    let wrapper = wrapper.as_str().unwrap();
    assert!(wrapper.contains("EVENKEEL_FILES") && wrapper.contains("EVENKEEL_LOAD"), "{wrapper}");
    assert!(!wrapper.contains("EVENKEEL_SERVER_IMAGE"), "{wrapper}");
    let packages = tree.evaluate("lib", &lab(two, "builtins.attrNames lab.packages"));
    assert!(packages.as_array().unwrap().contains(&json!("image-front")), "{packages}");
    let both = format!("{two} modules = [ {{ }} ];");
    let output = tree.try_evaluate("lib", &lab(&both, "lab.evenkeel.drvPath"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("but not both"));
}

#[test]
fn the_template_makes_a_lab_with_an_image_and_manifests_of_its_own() {
    let tree = tree();
    let text = fs::read_to_string(tree.path("nix/template/flake.nix")).unwrap();
    assert!(text.lines().count() <= 40, "the template should stay small");
    let image = tree.evaluate(&format!("checks.{SYSTEM}.template.script"), "script: script");
    assert!(image.as_str().unwrap().contains("hello.local/hello:"), "{image}");
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
    let agent = || tree.evaluate(&format!("packages.{SYSTEM}.agent-image.drvPath"), "path: path");
    let (server_image, first_agent) = (image(), agent());
    tree.append("crates/server/src/drain.rs", "// changed again");
    assert_eq!(agent(), first_agent, "a change of the server must not change the agent's image");
    tree.append("crates/load/src/run.rs", "// changed");
    assert_ne!(agent(), first_agent, "a change of the load generator must change the agent's image");
    assert_ne!(image(), server_image);
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
