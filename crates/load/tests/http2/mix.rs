//! Several requests, and requests with placeholders: what a server of others receives.

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use evenkeel_load::{RequestMix, RequestOrder, RequestTemplate, RequestsFile, Template, parse_requests_file};

use crate::server::{Behaviour, start};
use crate::{plan, run};

/// With headers that all have, that some have, and that change.
const FILE: &str = r#"{"path":"/a","headers":{"X-Same":"1","X-A":"a"}}
{"method":"HEAD","path":"/b","headers":{"X-Same":"1"}}
{"path":"/c/{{sequence}}","headers":{"X-Same":"1","X-Id":"<{{sequence}}>"},"body":"number {{sequence}}"}
{"path":"/d","headers":{"X-Same":"1","X-A":["a","b"]},"body":"fixed"}"#;

#[test]
fn any_request_may_begin_a_connection_and_arrives_as_it_is() {
    let (address, server) = start(Behaviour { keeps: true, ..Behaviour::default() });
    let mut plan = plan(2, 3, 20_000);
    let RequestsFile::Requests(requests) = parse_requests_file(FILE.as_bytes()).unwrap() else { panic!() };
    plan.mix = RequestMix::new(requests, RequestOrder::Random);
    plan.requests = NonZeroU64::new(400);
    plan.responses_per_connection = NonZeroU32::new(7);
    let run = run(address, &plan);
    assert_eq!((run.answered, run.faults.len(), server.requests.load(SeqCst)), (400, 0, 400), "{run:?}");
    assert!(run.opened > 50);
    assert_eq!(run.by_request.iter().map(|counts| counts.answered).sum::<u64>(), 400);
    assert!(run.by_request.iter().all(|counts| counts.failed == 0 && counts.answered > 50), "{run:?}");
    let mut kinds = BTreeSet::new();
    for (line, headers, body) in &*server.requests_kept.lock().unwrap() {
        let has = |header: &str| headers.iter().any(|given| given == header);
        assert!(has("x-same: 1") && has("user-agent: evenkeel"), "{line}: {headers:?}");
        let id = line.strip_prefix("POST /c/");
        let good = match (id, line.as_str()) {
            (Some(id), _) => has(&format!("x-id: <{id}>")) && *body == format!("number {id}"),
            (_, "GET /a") => has("x-a: a") && !has("x-a: b") && body.is_empty(),
            (_, "HEAD /b") => !has("x-a: a") && body.is_empty(),
            (_, "POST /d") => has("x-a: a") && has("x-a: b") && has("content-length: 5") && body == "fixed",
            _ => false,
        };
        assert!(good, "{line}: {headers:?}: {body}");
        kinds.insert(line.chars().take(6).collect::<String>());
    }
    assert_eq!(kinds.len(), 3, "{kinds:?}");
}

#[test]
fn bodies_with_placeholders_wait_for_the_windows() {
    let (address, server) = start(Behaviour { keeps: true, window: Some(1000), ..Behaviour::default() });
    let mut plan = plan(2, 8, 20_000);
    let body = format!("{{{{sequence}}}} {} {{{{sequence}}}}", "x".repeat(20_000));
    plan.request = RequestTemplate::default()
        .method("POST".parse().unwrap())
        .header("X-Id: {{uuid}}".parse().unwrap())
        .body_template(Template::parse(body.as_bytes()).unwrap());
    plan.requests = NonZeroU64::new(100);
    plan.threads = NonZeroU32::new(2).unwrap();
    plan.warm_up = Duration::from_millis(20);
    let run = run(address, &plan);
    assert_eq!((run.answered, run.faults.len()), (100, 0), "{run:?}");
    let kept = server.requests_kept.lock().unwrap();
    let mut numbers = BTreeSet::new();
    let mut identifiers = BTreeSet::new();
    for (_, headers, body) in &*kept {
        let (first, last) = (body.split(' ').next().unwrap(), body.split(' ').next_back().unwrap());
        assert_eq!((first, body.len()), (last, 20_002 + 2 * first.len()));
        numbers.insert(first.to_owned());
        identifiers.extend(headers.iter().find(|header| header.starts_with("x-id: ")).cloned());
    }
    assert_eq!((numbers.len(), identifiers.len()), (kept.len(), kept.len()), "each is sent once");
}
