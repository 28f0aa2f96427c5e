//! Several requests, and requests with placeholders: what the server receives.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::num::{NonZeroU32, NonZeroU64};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel_load::{
    LoadPlan, RequestMix, RequestOrder, RequestTemplate, RequestsFile, Schedule, Template, parse_requests_file,
};

use super::cli::{evenkeel, texts};
use super::server::Server;
use super::{plan, run};

/// A request as the server received it: its first line, and its body.
type Heard = (String, String);

/// A server that keeps what it received. It fails if the length of a body is not what the head says.
fn listening() -> (Server, Arc<Mutex<Vec<Heard>>>) {
    let all = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&all);
    let server = Server::start(move |mut peer| {
        let mut seen = Vec::new();
        loop {
            let end = loop {
                match seen.windows(4).position(|window| window == b"\r\n\r\n") {
                    Some(end) => break end + 4,
                    None if !more(&mut peer.stream, &mut seen) => return,
                    None => {}
                }
            };
            let head = String::from_utf8(seen.drain(..end).collect()).unwrap();
            let length = head
                .split("Content-Length: ")
                .nth(1)
                .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            while seen.len() < length {
                if !more(&mut peer.stream, &mut seen) {
                    return;
                }
            }
            let body = String::from_utf8(seen.drain(..length).collect()).unwrap();
            kept.lock().unwrap().push((head.lines().next().unwrap().to_owned(), body));
            let length = if head.starts_with("HEAD ") { 7 } else { 0 };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            if peer.stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    (server, all)
}

fn more(stream: &mut impl Read, seen: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(read) if read > 0 => {
            seen.extend_from_slice(&buffer[..read]);
            true
        }
        _ => false,
    }
}

fn so_many(count: u64, connections: u32, file: &str, order: RequestOrder) -> LoadPlan {
    let RequestsFile::Requests(requests) = parse_requests_file(file.as_bytes()).unwrap() else { panic!() };
    let mix = RequestMix::new(requests, order);
    LoadPlan { requests: NonZeroU64::new(count), mix, ..plan(connections, 60_000) }
}

fn lines(heard: &Mutex<Vec<Heard>>) -> Vec<String> {
    heard.lock().unwrap().iter().map(|(line, _)| line.trim_end_matches(" HTTP/1.1").to_owned()).collect()
}

/// A file of requests of these paths.
fn file_of(paths: impl Iterator<Item = String>) -> String {
    paths.map(|path| format!("{{\"path\":\"{path}\"}}")).collect::<Vec<_>>().join("\n")
}

const FILE: &str = r#"{"path":"/a"}
{"method":"HEAD","path":"/b"}
{"path":"/c","body":"three"}"#;

#[test]
fn requests_are_sent_in_order_and_again() {
    let (server, heard) = listening();
    let run = run(server.address, &so_many(7, 1, FILE, RequestOrder::InOrder));
    assert_eq!((run.answered, run.opened, run.faults.len()), (7, 1, 0), "{run:?}");
    assert_eq!(lines(&heard), ["GET /a", "HEAD /b", "POST /c", "GET /a", "HEAD /b", "POST /c", "GET /a"]);
    assert_eq!(heard.lock().unwrap()[2].1, "three");
}

#[test]
fn each_request_of_a_file_is_counted_once_whatever_the_warm_up_and_the_workers() {
    let file = file_of((0..60).map(|number| format!("/{number}")));
    let milliseconds = Duration::from_millis;
    for (warm_up, threads, connections, schedule) in [
        (milliseconds(100), 1, 1, None),
        (milliseconds(100), 1, 1, Some(Schedule::constant(500.0))),
        (Duration::ZERO, 3, 6, None),
        (Duration::ZERO, 3, 6, Some(Schedule::constant(500.0))),
    ] {
        let (server, heard) = listening();
        let threads = NonZeroU32::new(threads).unwrap();
        let plan = LoadPlan { warm_up, threads, schedule, ..so_many(60, connections, &file, RequestOrder::InOrder) };
        let run = run(server.address, &plan);
        assert_eq!((run.answered, run.faults.len()), (60, 0), "{run:?}");
        let heard = lines(&heard);
        assert_eq!(heard.len() > 60, !warm_up.is_zero());
        assert_eq!(heard[heard.len() - 60..].iter().collect::<BTreeSet<_>>().len(), 60, "{heard:?}");
    }
}

#[test]
fn each_of_a_few_requests_has_its_own_counts() {
    let server = Server::start(|mut peer| {
        let mut seen = Vec::new();
        while more(&mut peer.stream, &mut seen) {
            let line = String::from_utf8(std::mem::take(&mut seen)).unwrap();
            if line.starts_with("GET /slow ") {
                std::thread::sleep(Duration::from_millis(20));
            } else if line.starts_with("GET /closed ") {
                return;
            }
            let status = if line.starts_with("GET /missing ") { "404 Not Found" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            if peer.stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    let paths = ["/fast", "/slow", "/missing", "/closed"];
    let file = file_of(paths.map(str::to_owned).into_iter());
    let threads = NonZeroU32::new(2).unwrap();
    let run = run(server.address, &LoadPlan { threads, ..so_many(80, 2, &file, RequestOrder::InOrder) });
    let counts: Vec<(u64, u64)> = run.by_request.iter().map(|counts| (counts.answered, counts.failed)).collect();
    assert_eq!(counts, [(20, 0), (20, 0), (20, 20), (0, 20)], "{run:?}");
    let median = |index: usize| run.by_request[index].latency.quantile(0.5);
    assert!(median(1) >= 19_800 && median(0) < median(1), "{} and {} µs", median(0), median(1));
    let names: Vec<String> = run.plan.templates().iter().map(RequestTemplate::name).collect();
    assert_eq!(names, ["GET /fast", "GET /slow", "GET /missing", "GET /closed"]);
}

#[test]
fn a_random_order_can_be_repeated() {
    let sent = |seed| {
        let (server, heard) = listening();
        run(server.address, &LoadPlan { seed, ..so_many(40, 1, FILE, RequestOrder::Random) });
        lines(&heard)
    };
    let first = sent(1);
    assert_eq!(first, sent(1));
    assert_ne!(first, sent(2));
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 3);
}

#[test]
fn identifiers_are_unique_over_workers_and_the_warm_up() {
    let (server, heard) = listening();
    let body = Template::parse(b"{{uuid}} {{sequence}} {{random:1..6}}").unwrap();
    let request = RequestTemplate::default().method("POST".parse().unwrap()).body_template(body);
    let request = request.path("/{{sequence}}/{{uuid}}".parse().unwrap());
    let plan = LoadPlan {
        request,
        requests: NonZeroU64::new(500),
        threads: NonZeroU32::new(3).unwrap(),
        warm_up: Duration::from_millis(50),
        responses_per_connection: NonZeroU32::new(7),
        ..plan(9, 60_000)
    };
    let run = run(server.address, &plan);
    assert_eq!((run.answered, run.faults.len()), (500, 0), "{run:?}");
    let heard = heard.lock().unwrap();
    assert!(heard.len() > 500, "with those of the warm-up");
    for (line, body) in &*heard {
        let (uuid, rest) = body.split_once(' ').unwrap();
        let (sequence, random) = rest.split_once(' ').unwrap();
        assert_eq!(*line, format!("POST /{sequence}/{uuid} HTTP/1.1"));
        assert!(("1".."7").contains(&random) && uuid.len() == 36, "{body}");
    }
    let unique = |part: usize| heard.iter().map(|(_, body)| body.split(' ').nth(part)).collect::<BTreeSet<_>>().len();
    assert_eq!((unique(0), unique(1)), (heard.len(), heard.len()));
}

#[test]
fn flags_and_files_of_the_command_line() {
    let (server, heard) = listening();
    let test = |arguments: &[&str], stdin: &str| {
        let mut command = evenkeel(&[&["--warmup", "0", "-c", "1", "--target", &server.url()], arguments].concat());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let lines = lines(&heard);
        heard.lock().unwrap().clear();
        (output, lines)
    };
    let (output, sent) = test(&["--requests", "3", "--requests-file", "-"], FILE);
    assert_eq!((output.status.code(), &sent[..]), (Some(0), &["GET /a", "HEAD /b", "POST /c"].map(String::from)[..]));
    assert!(texts(&output).0.contains("│ POST /c"), "{}", texts(&output).0);
    assert!(
        texts(&output).0.contains(&format!("http://{} (mix of 3 requests)", server.address)),
        "{}",
        texts(&output).0
    );
    let (output, sent) = test(&["--requests", "4", "--path", "/x", "--path", "/{{sequence}}"], "");
    assert_eq!(output.status.code(), Some(0), "{}", texts(&output).1);
    assert_eq!(sent, ["GET /x", "GET /0", "GET /x", "GET /1"]);

    let refused = [
        (
            &["--requests-file", "-"][..],
            "{}\n{\"path\":\"a\"}",
            "line 2: field path: expected a path that begins with /",
        ),
        (
            &["--requests-file", "-"],
            "{\"url\":\"/\"}",
            "line 1: unknown field \"url\", expected method, path, headers, body",
        ),
        (&["--requests-file", "-"], "\n", "it has no requests"),
        (&["--requests-file", "/does/not/exist"], "", "a file that can be read"),
        (&["--requests-file", "-", "--path", "/"], "{}", "cannot be used with"),
        (&["--requests-file", "-", "--body", "a"], "{}", "cannot be used with"),
        (&["--requests-file", "-", "--grpc", "a.B/C"], "{}", "expected lines with the fields message or metadata"),
        (&["--requests-file", "-"], "{\"message\":{}}", "expected --grpc with it"),
        (&["--requests-order", "sorted"], "", "in-order, random"),
        (&["--seed", "-1"], "", "a whole number from 0"),
        (&["--body", "{{id}}"], "", "{{uuid}}, {{sequence}} or {{random:1..1000}}"),
        (&["--path", "/{{id}}"], "", "{{uuid}}, {{sequence}} or {{random:1..1000}}"),
    ];
    for (arguments, stdin, why) in refused {
        let (output, sent) = test(arguments, stdin);
        let (stdout, stderr) = texts(&output);
        assert_eq!((output.status.code(), sent.len()), (Some(2), 0), "{arguments:?}: {stderr}");
        assert!(stdout.is_empty() && stderr.contains(why), "{arguments:?}: {stderr}");
    }
}
