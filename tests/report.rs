//! `evenkeel report`: every format from the JSON of a report, and one sentence for a file that is not a report.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use tempfile::TempDir;

/// The JSON of a report: the snapshot of the exporter's test without its header.
fn report() -> &'static str {
    include_str!("snapshots/report_json.snap").splitn(3, "---\n").nth(2).unwrap()
}

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

/// A directory with report.json in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.path("report.json"), report()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str], stdin: &str) -> Said {
        let mut command = Command::cargo_bin("evenkeel").unwrap();
        let output =
            command.arg("report").args(arguments).current_dir(self.0.path()).write_stdin(stdin).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Said { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Asserts that the arguments are refused: exit 2, no stdout, and these words on stderr.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let said = self.run(arguments, "");
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{arguments:?}: {}", said.stderr);
        for word in words {
            assert!(said.stderr.contains(word), "{arguments:?} should say {word:?}: {}", said.stderr);
        }
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn every_format_is_made_from_the_json() {
    let place = Place::new();
    let formats: [(&[&str], &str, &str); 8] = [
        (&[], "2 pods, 30 connections", "│ Latency │"),
        (&["--table"], "2 pods, 30 connections", "│ 99.99%"),
        (&["--html"], "<!doctype html>", "Requests per pod"),
        (&["--md"], "## 2 → 5 pods", "| 5 pods | 76,500 |"),
        (&["--csv"], "run,replicas,second,", "\n2,5,1,0.25,92000,"),
        (&["--pods-csv"], "run,replicas,mode,pod,", "\n1,2,keepalive,server-6c9f5d7b8-w8n2j,1,0.5,0,,\n"),
        (&["--hgrm"], "# 2 pods\n", "1/(1-Percentile)"),
        (&["--json"], "{\n", "\"schema_version\": 2"),
    ];
    for (arguments, begins, contains) in formats {
        let said = place.run(&[&["report.json"], arguments].concat(), "");
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(said.stdout.starts_with(begins) && said.stdout.contains(contains), "{arguments:?}: {}", said.stdout);
        assert!(!said.stdout.contains('\u{1b}'), "{arguments:?}: no colours in a pipe");
    }
}

#[test]
fn one_of_several_runs_can_be_selected() {
    let place = Place::new();
    let said = place.run(&["report.json", "--hgrm", "--run", "2"], "");
    assert_eq!((said.code, said.stdout.matches("Percentile").count() / 2), (0, 1), "{}", said.stdout);
    assert!(said.stdout.contains("#[Max     =     1234.567"), "{}", said.stdout);
    place.refuses(&["report.json", "--run", "3"], &["\"3\" cannot be used for --run", "2 runs"]);
    place.refuses(&["report.json", "--run", "0"], &["'0'", "--run", "expected a whole number above 0"]);
}

#[test]
fn a_report_of_version_1_becomes_every_format() {
    let old = include_str!("golden/report-version-1.json");
    let place = Place::new();
    for format in ["--table", "--html", "--md", "--csv", "--pods-csv", "--hgrm"] {
        let said = place.run(&["-", format], old);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{format}");
        assert!(!said.stdout.contains("Pods over time"), "{format} has nothing of what version 1 does not have");
    }
    let said = place.run(&["-", "--json"], old);
    assert!(
        said.stdout.contains("\"schema_version\": 2") && said.stdout.contains("\"over_time\": null"),
        "{}",
        said.stdout
    );
}

#[test]
fn json_from_stdin_is_printed_unchanged() {
    let said = Place::new().run(&["-", "--json"], report());
    assert_eq!((said.code, said.stdout.trim_end(), said.stderr.as_str()), (0, report().trim_end(), ""));
}

#[test]
fn a_file_is_written_completely_or_not_at_all() {
    let place = Place::new();
    let said = place.run(&["report.json", "--html", "-o", "report.html"], "");
    assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{}", said.stderr);
    assert!(fs::read_to_string(place.path("report.html")).unwrap().trim_end().ends_with("</html>"));
    let said = place.run(&["report.json", "--md", "-o", "missing/report.md"], "");
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("could not write missing/report.md"), "{}", said.stderr);
    let before = fs::read(place.path("report.html")).unwrap();
    place.refuses(&["missing.json", "--html", "-o", "report.html"], &["missing.json"]);
    assert_eq!(fs::read(place.path("report.html")).unwrap(), before);
    assert_eq!(place.files(), ["report.html", "report.json"]);
}

#[test]
fn a_file_that_is_not_a_report_is_refused_with_a_reason() {
    let place = Place::new();
    let hint = "evenkeel test --json";
    place.refuses(&["missing.json"], &["missing.json is not a report", "no such file", hint]);
    place.refuses(&["."], &["it is a directory", hint]);
    place.refuses(&["-"], &["stdin is not a report", "it is empty", hint]);
    for (content, why) in [
        ("", "it is empty"),
        ("not json", "it is not JSON"),
        (r#"{"schema_version": 1, "pods": []}"#, "JSON, but not a report"),
        (r#"{"schema_version": 7, "evenkeel_version": "9.0.0", "runs": []}"#, "schema_version is 7"),
        (r#"{"schema_version": 1, "runs": []}"#, "missing field `evenkeel_version`"),
    ] {
        fs::write(place.path("other.json"), content).unwrap();
        place.refuses(&["other.json"], &["other.json is not a report that can be read", why, hint]);
    }
    fs::write(place.path("other.json"), [0xff, 0xfe]).unwrap();
    place.refuses(&["other.json"], &["it is not text", hint]);
}

#[test]
fn one_format_at_a_time() {
    let place = Place::new();
    place.refuses(&["report.json", "--html", "--md"], &["--html", "--md", "cannot be used"]);
    place.refuses(&["report.json", "--html", "--json"], &["--html", "one format at a time"]);
    place.refuses(&[], &["<FILE>"]);
}
