//! Comparing runs, assertions on results, and reports in files, from the command line.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::cli::{evenkeel, texts};
use super::server::{Server, from_pod};

const SHORT: [&str; 4] = ["--warmup", "0", "-c", "2"];

fn test(server: &Server, arguments: &[&str]) -> Output {
    evenkeel(&[arguments, &SHORT, &["--target", &server.url()]].concat()).output().unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn invalid_arguments_are_refused_before_any_load() {
    let server = Server::answering(from_pod("a"));
    let files = tempfile::tempdir().unwrap();
    let missing = files.path().join("missing/report.html").display().to_string();
    let directory = files.path().display().to_string();
    let text = files.path().join("text").display().to_string();
    fs::write(&text, "no report").unwrap();
    for bad in [
        &["--html", missing.as_str()][..],
        &["--md", &directory],
        &["--csv", "report", "--hgrm", "report"],
        &["--json-file", "-"],
        &["--assert", "p99<5"],
        &["--assert", "p99<5ms", "--assert", "speed>9000"],
        &["--assert", "rps@10>1"],
        &["--baseline", &missing],
        &["--baseline", &text],
        &["--repeat", "0"],
        &["--compare", "keepalive"],
        &["--compare", "keepalive,client"],
        &["--compare", "keepalive,no-keepalive", "--no-keepalive"],
        &["--balance", "client"],
    ] {
        let output = test(&server, bad);
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{bad:?}: {stderr}");
        assert!(stdout.is_empty() && stderr.contains("error: "), "{bad:?}: {stdout}{stderr}");
    }
    assert_eq!(server.requests(), 0);
    assert_eq!(names(files.path()), ["text"]);
}

#[test]
fn every_format_is_written_beside_the_tables() {
    let server = Server::answering(from_pod("a"));
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    let names_of = ["r.html", "r.md", "r.csv", "r-pods.csv", "r.hgrm", "r.hlog", "r.json"].map(path);
    let flags = ["--html", "--md", "--csv", "--pods-csv", "--hgrm", "--hlog", "--json-file"];
    let asked: Vec<&str> = flags.into_iter().zip(&names_of).flat_map(|(flag, path)| [flag, path]).collect();
    let secret = ["-H", "Authorization: s3cret", "--requests", "50"];
    let output = test(&server, &[&asked[..], &secret].concat());
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stdout.contains("│ Latency │"), "{stdout}");
    for path in &names_of {
        assert!(stderr.contains(&format!("the report is in {path}")), "{stderr}");
    }
    assert_eq!(names(files.path()), ["r-pods.csv", "r.csv", "r.hgrm", "r.hlog", "r.html", "r.json", "r.md"]);
    let report: Value = serde_json::from_str(&fs::read_to_string(path("r.json")).unwrap()).unwrap();
    assert_eq!(report["runs"][0]["requests"]["answered"], 50);
    let pods = &report["runs"][0]["over_time"]["pods"];
    let bins = pods[0]["requests"].as_array().unwrap();
    assert_eq!((&pods[0]["name"], bins.iter().map(|bin| bin.as_u64().unwrap()).sum::<u64>()), (&"a".into(), 50));
    let command = report["environment"]["command"].as_str().unwrap();
    assert!(command.contains("--requests 50") && command.contains("Authorization: …"), "{command}");
    for name in ["kernel", "CPU"] {
        assert!(!report["environment"][name].as_str().unwrap().is_empty(), "{name}");
    }
    assert!(!fs::read_to_string(path("r.html")).unwrap().contains("s3cret"));
}

#[test]
fn an_interrupted_run_writes_its_report() {
    let server = Server::answering(from_pod("a"));
    let files = tempfile::tempdir().unwrap();
    let page = files.path().join("report.html");
    let (url, path) = (server.url(), page.display().to_string());
    let asked = ["-d", "1m", "--assert", "errors==0", "--html", &path, "--target", &url];
    let mut command = evenkeel(&[&asked[..], &SHORT].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while server.requests() < 100 {
        std::thread::yield_now();
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", texts(&output).1);
    assert!(fs::read_to_string(page).unwrap().contains("Stopped early"));
}

#[test]
fn assertions_decide_the_exit_code() {
    let server = Server::answering(from_pod("a"));
    let held = test(&server, &["--requests", "20", "--assert", "errors==0", "--assert", "p99 < 10s"]);
    let (stdout, stderr) = texts(&held);
    assert_eq!(held.status.code(), Some(0), "{stderr}");
    assert!(stdout.contains("passed: errors==0\npassed: p99<10s\n"), "{stdout}");
    let missed = test(&server, &["--requests", "20", "--assert", "requests<20", "--assert", "errors==0"]);
    let (stdout, stderr) = texts(&missed);
    assert_eq!(missed.status.code(), Some(1), "{stderr}");
    assert!(stdout.contains("failed: requests<20: requests was 20, expected < 20\npassed: errors==0\n"), "{stdout}");
    assert!(stderr.contains("error: 1 assertion does not hold: requests was 20, expected < 20"), "{stderr}");
}

#[test]
fn modes_run_in_turn_and_are_compared_in_one_table() {
    let server = Server::answering(from_pod("a"));
    let arguments = ["--compare", "keepalive,no-keepalive", "--repeat", "2", "--requests", "40"];
    let output = test(&server, &[&["--json"], &arguments[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", texts(&output).1);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let runs = report["runs"].as_array().unwrap();
    let of = |name: &str| runs.iter().map(|run| run[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("mode"), ["keepalive", "no-keepalive", "keepalive", "no-keepalive"]);
    assert_eq!(of("connections_opened"), [2, 40, 2, 40]);
    assert_eq!(server.requests(), 160);

    let output = test(&server, &arguments);
    let (stdout, stderr) = texts(&output);
    // Wide numbers leave no room for spaces.
    let rows = stdout.replace("│ ", "│");
    assert_eq!(rows.matches("\n│keepalive").count(), 3, "two rounds and their mean: {stdout}");
    for part in ["│Way", "no-keepalive served ", "Ratio (95%)"] {
        assert!(rows.contains(part), "{part:?} is missing: {stdout}");
    }
    assert!(!stdout.contains("Req/Bytes counts"), "several rounds have no tables of their own: {stdout}");
    assert!(stderr.contains("test no-keepalive, round 2 of 2"), "{stderr}");
    assert!(stdout.lines().all(|line| line.chars().count() <= 80), "{stdout}");
}

#[test]
fn an_earlier_report_is_compared_with() {
    let server = Server::answering(from_pod("a"));
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("earlier.json").display().to_string();
    let first = test(&server, &["--requests", "40", "--repeat", "2", "--json-file", &path]);
    assert_eq!(first.status.code(), Some(0), "{}", texts(&first).1);
    let again = test(&server, &["--requests", "40", "--repeat", "2", "--baseline", &path]);
    let stdout = texts(&again).0.replace('\n', " ");
    assert!(stdout.contains("× the requests of the earlier report (95%: "), "{stdout}");
    let other = test(&server, &["--requests", "40", "--no-keepalive", "--baseline", &path]);
    assert!(texts(&other).0.contains("The earlier report has no comparable run"), "{}", texts(&other).0);
}
