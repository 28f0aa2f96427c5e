//! The rules of the structure that Cargo does not check: the direction inside `src/`, no flag names in libraries, and clap
//! only in the command line.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order of the flow. A module may use the modules before it.
const FLOW: [&str; 7] = ["toolbox", "image", "cluster", "workload", "experiment", "report", "cli"];
/// The common modules, which every module may use.
const COMMON: [&str; 10] = [
    "clock",
    "config",
    "io_error",
    "kubernetes_error",
    "platform",
    "process",
    "progress",
    "shutdown",
    "version",
    "write_file",
];
/// The crates that do not know the command line.
const LIBRARIES: [&str; 5] =
    ["crates/agent/src", "crates/grpc/src", "crates/load/src", "crates/measure/src", "crates/server/src"];

#[test]
fn modules_use_only_earlier_modules() {
    let mut wrong = Vec::new();
    for (position, module) in FLOW.iter().enumerate() {
        for (file, text) in sources(&format!("src/{module}")) {
            let used = used_modules(&text).into_iter();
            let later = used.filter(|used| FLOW[position + 1..].contains(&used.as_str()));
            wrong.extend(later.map(|used| format!("{} uses crate::{used}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "a module uses a later one:\n{}", wrong.join("\n"));
}

#[test]
fn common_modules_use_only_common_modules() {
    for module in COMMON {
        let file = root().join("src").join(format!("{module}.rs"));
        let files = match fs::read_to_string(&file) {
            Ok(text) => vec![(file, text)],
            Err(_) => sources(&format!("src/{module}")),
        };
        for (file, text) in files {
            for used in used_modules(&text) {
                assert!(COMMON.contains(&used.as_str()), "{} uses crate::{used}", file.display());
            }
        }
    }
}

#[test]
fn every_module_is_in_the_flow_or_common() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in modules {
        assert!(FLOW.contains(&module) || COMMON.contains(&module), "{module} has no place in the order of modules");
    }
}

/// The libraries describe errors without flags; `src/cli/error` adds the flags.
#[test]
fn libraries_name_no_flags() {
    let mut wrong = Vec::new();
    for directory in LIBRARIES {
        for (file, text) in sources(directory) {
            wrong.extend(flags(&text).into_iter().map(|flag| format!("{} names {flag}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every difference between systems is in `platform`, of the command line and of the load generator. Tests may need Linux.
#[test]
fn only_the_platform_modules_tell_systems_apart() {
    let mut wrong = Vec::new();
    for directory in ["src"].iter().chain(&LIBRARIES) {
        let others = sources(directory).into_iter().filter(|(file, _)| !file.iter().any(|part| part == "platform"));
        for (file, text) in others {
            let conditions = text.lines().filter(|line| line.contains("target_os") && !line.contains("all(test, "));
            wrong.extend(conditions.map(|line| format!("{}: {}", file.display(), line.trim())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_command_line_uses_clap() {
    let cli = root().join("src/cli");
    for directory in ["src"].iter().chain(&LIBRARIES) {
        for (file, text) in sources(directory) {
            let uses_clap = text.contains("clap::") || text.contains("use clap");
            assert!(!uses_clap || file.starts_with(&cli), "{} uses clap", file.display());
        }
    }
}

#[test]
fn the_scans_find_what_they_look_for() {
    assert_eq!(used_modules("use crate::report::Table;\nlet x = crate::image::pack();"), ["report", "image"]);
    assert_eq!(used_modules("use crate::{config::Paths, cli};"), ["config", "cli"]);
    assert_eq!(
        flags("\"--rate\" and `--no-keepalive`, x --y, a--b, ---, count--;"),
        ["--rate", "--no-keepalive", "--y"]
    );
}

/// The first path segment after each `crate::`, also in groups in braces and in doc comments.
fn used_modules(source: &str) -> Vec<String> {
    let mut used = Vec::new();
    for rest in source.split("crate::").skip(1) {
        let names = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default().split(',').map(str::trim).collect(),
            None => vec![rest],
        };
        for name in names {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
            used.push(name[..end].to_owned());
        }
    }
    used
}

/// The words that look like long flags: two dashes, then a lower-case letter.
fn flags(source: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let words = source.split(|c: char| !is_part(c));
    words
        .filter(|word| word.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase())))
        .collect()
}

/// The Rust files below a directory of the project, with their text.
fn sources(directory: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![root().join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{directory} has no source");
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
