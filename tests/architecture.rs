//! The one arrow: a module uses only those that stand before it in the flow (and the house's common values).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// The flow, in the order of `src/lib.rs`; what stands later may use what stands earlier, never the other way round.
const FLOW: [&str; 7] = ["toolbox", "image", "cluster", "workload", "experiment", "report", "cli"];
/// What every module may use.
const COMMON: [&str; 8] =
    ["clock", "config", "io_error", "kubernetes_error", "process", "progress", "shutdown", "write_file"];

#[test]
fn modules_use_only_earlier_ones() {
    let mut wrong = Vec::new();
    for (position, module) in FLOW.iter().enumerate() {
        for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module)) {
            for used in used_modules(&fs::read_to_string(&file).unwrap()) {
                let later = FLOW.iter().skip(position + 1).any(|later| *later == used);
                if later {
                    wrong.push(format!("{} uses crate::{used}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "the arrow points one way only:\n{}", wrong.join("\n"));
}

#[test]
fn common_values_use_no_module_of_the_flow() {
    for module in COMMON {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(format!("{module}.rs"));
        for used in used_modules(&fs::read_to_string(&file).unwrap()) {
            assert!(COMMON.contains(&used.as_str()), "{} uses crate::{used}", file.display());
        }
    }
}

#[test]
fn the_scan_sees_what_it_is_for() {
    assert_eq!(used_modules("use crate::report::Table;\nlet x = crate::load::run();"), ["report", "load"]);
    assert_eq!(used_modules("use crate::{error::Error, cli};"), ["error", "cli"]);
}

/// The first path segment after each `crate::`, groups in braces taken apart; doc comments count too.
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

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    assert!(!found.is_empty(), "{} holds no source", directory.display());
    found
}
