//! Every example is explained, and some test deploys it.

use std::fs;
use std::path::{Path, PathBuf};

use evenkeel::workload::manifest::{ManifestSource, read};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn examples() -> Vec<PathBuf> {
    let files = fs::read_dir(project().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let examples: Vec<PathBuf> = files.filter(|path| path.file_name().unwrap() != "README.md").collect();
    assert!(examples.len() >= 5, "{examples:?}");
    examples
}

/// The tests that need a cluster.
fn lab_tests() -> String {
    let files = fs::read_dir(project().join("tests/lab")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn each_example_has_its_command_at_its_top_and_in_the_table() {
    let table = fs::read_to_string(project().join("examples/README.md")).unwrap();
    for example in examples() {
        let name = format!("examples/{}", example.file_name().unwrap().to_str().unwrap());
        let text = fs::read_to_string(&example).unwrap();
        let comment = text.lines().take_while(|line| line.starts_with('#'));
        let command = format!("evenkeel deploy -f {name} && ");
        let found = comment.filter_map(|line| line.strip_prefix('#')).find(|line| line.contains(&command));
        let found = found.unwrap_or_else(|| panic!("{name} has no command at its top")).trim();
        assert!(table.contains(&format!("| `{found}` |")), "examples/README.md has no {found:?}");
    }
}

#[test]
fn each_example_is_valid_and_is_deployed_by_a_test() {
    let tests = lab_tests();
    for example in examples() {
        let name = example.file_name().unwrap().to_str().unwrap();
        assert!(!read(&ManifestSource::Path(example.clone())).unwrap().is_empty());
        assert!(tests.contains(&format!("\"examples/{name}\"")), "no test deploys {name}");
    }
}
