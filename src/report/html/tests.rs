//! The page as a whole.

use super::*;
use crate::report::sample;
use evenkeel_measure::{
    Agent, Measurement, NodeShare, NodeUse, OverTime, PodLatency, PodOverTime, PodShare, PodUse, TimelineSecond,
};

fn page(report: &Report) -> String {
    Html.export(report).unwrap()
}

/// Tags that are opened and closed, in order; void and self-closing ones left out.
fn unbalanced(page: &str) -> Vec<String> {
    const VOID: [&str; 2] = ["meta", "!doctype"];
    let body = &page[..page.find("<style>").unwrap()];
    let rest = &page[page.find("</style>").unwrap()..page.find("<script>").unwrap()];
    let mut open: Vec<String> = vec!["style".into()];
    open.splice(0..0, ["html".to_owned(), "head".to_owned()]);
    assert!(body.contains("<html") && body.contains("<head>"));
    let mut wrong = Vec::new();
    for part in rest.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap();
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap().to_owned();
        if let Some(closed) = tag.strip_prefix('/') {
            if open.pop().as_deref() != Some(closed) {
                wrong.push(part.chars().take(60).collect());
            }
        } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    if open != ["html", "body"] {
        wrong.push(format!("left open: {open:?}"));
    }
    wrong
}

#[test]
fn every_tag_is_closed() {
    let several = [sample::report(), sample::three_runs(), sample::three_nodes(), sample::uneven_nodes()];
    for report in several.into_iter().chain([Report::new("x", vec![])]) {
        assert_eq!(unbalanced(&page(&report)), Vec::<String>::new());
    }
}

#[test]
fn nothing_is_loaded_from_anywhere() {
    let page = page(&sample::three_runs()).replace("http://198.18.1.1/", "");
    for outside in ["http:", "https:", "//", "url(", "@import", " src=", " href="] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_words_of_events_do_not_touch() {
    let mut report = sample::three_runs();
    report.runs.truncate(1);
    let event = |second: f64, what: &str| evenkeel_measure::Event {
        second,
        what: what.into(),
        ..evenkeel_measure::Event::default()
    };
    report.runs[0].events = vec![event(5.0, "rolling restart"), event(5.5, "kill etcd"), event(20.0, "delete a pod")];
    let page = page(&report);
    let height = |what: &str| {
        let (before, _) = page.split_once(&format!(">{what}</text>")).unwrap();
        before.rsplit("y=\"").next().unwrap().trim_end_matches('"').parse::<f64>().unwrap()
    };
    assert!(height("kill etcd") < height("rolling restart"), "the second stands above the first");
    assert!((height("delete a pod") - height("rolling restart")).abs() < 0.1, "where there is room, all in one row");
}

fn agent(name: &str) -> Agent {
    Agent { name: name.into(), node: Some(name.into()), trouble: Some(name.into()), ..Agent::default() }
}

#[test]
fn agents_and_what_they_did_not_do_are_told() {
    let mut report = sample::three_runs();
    assert!(!page(&report).contains("<h2>Agents</h2>"), "this machine sent the load");
    report.runs[1].agents = vec![agent("agents-1-0"), Agent { trouble: None, requests: 98_765, ..agent("agents-1-1") }];
    let page = page(&report);
    assert_eq!(page.matches("<h2>Agents</h2>").count(), 1);
    for told in ["agents-1-1", "98,765", "partial: 1 of 2 agents did not do their part", "agents-1-0: agents-1-0"] {
        assert!(page.contains(told), "{told} is missing");
    }
}

#[test]
fn names_from_outside_stay_text() {
    let evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{body}}";
    let mut report = sample::three_runs();
    report.target = evil.into();
    report.environment = [(evil.to_owned(), evil.to_owned())].into();
    report.evenkeel_version = evil.into();
    for run in &mut report.runs {
        run.spread.pods[0].name = evil.into();
        let node = NodeShare { name: evil.into(), zone: Some(evil.into()), ..NodeShare::default() };
        run.spread.nodes = vec![node];
        run.spread.pods[0].node = Some(evil.into());
        run.node_use = vec![NodeUse { name: evil.into(), ..NodeUse::default() }; 2];
        run.agents = vec![agent(evil)];
        run.over_time.as_mut().unwrap().pods[0].name = evil.into();
        run.events = vec![evenkeel_measure::Event {
            second: 1.0,
            what: evil.into(),
            trouble: Some(evil.into()),
            slow_pod: Some(evenkeel_measure::SlowPod {
                pod: evil.into(),
                load: Some(evenkeel_measure::SlowPodLoad::default()),
                ..evenkeel_measure::SlowPod::default()
            }),
            ..evenkeel_measure::Event::default()
        }];
        run.faults.iter_mut().for_each(|fault| fault.kind = evil.into());
    }
    let page = page(&report);
    assert!(page.matches("&lt;script&gt;alert(1)").count() > 10, "it is told, as text");
    assert_eq!(page.matches("<script>").count(), 1, "its own");
    assert!(!page.contains("<img") && !page.contains("\"'{{body}}"));
    assert_eq!(unbalanced(&page), Vec::<String>::new());
}

#[test]
fn every_run_pod_and_error_is_told() {
    let report = sample::three_runs();
    let page = page(&report);
    for run in &report.runs {
        for pod in &run.spread.pods {
            assert!(page.contains(&pod.name), "{}", pod.name);
        }
    }
    for told in ["2 → 10 pods", "1,241 refused, seconds 12 to 13", "pod killed", "even share", "kube-proxy mode"] {
        assert!(page.contains(told), "{told} is missing");
    }
    assert!(page.contains("and 1 pod that never answered"));
}

#[test]
fn the_largest_report_stays_below_a_megabyte() {
    let mut report = sample::report();
    let mut run = sample::three_runs().runs.remove(2);
    run.timeline = vec![TimelineSecond { requests: 123_456_789, bytes: 1 }; 86_400];
    run.elapsed_seconds = 86_400.0;
    let pod = PodShare {
        name: "p".repeat(60),
        requests: 123_456,
        connections: 10,
        share: 0.001,
        expected_connections: None,
        restarts: None,
        latency_us: None,
        node: Some("n".repeat(60)),
        zone: Some("z".repeat(60)),
        expected_share: Some(0.001),
    };
    let node = NodeShare { name: "n".repeat(60), zone: Some("z".repeat(60)), ..NodeShare::default() };
    run.spread.nodes = vec![node; 63];
    run.spread.pods = vec![pod; 1025];
    run.agents = vec![agent(&"a".repeat(60)); 1000];
    // The worst case: no two neighbours have the same colour.
    let over_time = |number: usize| PodOverTime {
        name: format!("{number:060}"),
        requests: (0..120).map(|bin| [1, 100_000][(bin + number) % 2]).collect(),
    };
    run.over_time = Some(OverTime {
        bin_seconds: 819.2,
        latency_us: (0..120).map(|bin| Some(PodLatency { p50: 1, p99: 1 + bin % 2 * 1_000_000, max: 9 })).collect(),
        pods: (0..512).map(over_time).collect(),
    });
    // As many kinds of runs, not rounds of one.
    report.runs = vec![run; 100];
    (0..).zip(&mut report.runs).for_each(|(replicas, run)| run.replicas = Some(replicas));
    let page = page(&report);
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert!(page.contains("88 further runs"));
    report.runs.truncate(1);
    let one = Html.export(&report).unwrap();
    assert!(one.len() < 1_000_000, "{} bytes for one run", one.len());
}

/// The shapes of a level of the map, in the wide chart of the first run.
fn strips(page: &str, level: usize) -> String {
    let (_, rest) = page.split_once("Which pod served what, over time</h2>").unwrap();
    let chart = rest.split_once("</svg><svg class=\"narrow\"").unwrap().0;
    let path = chart.split_once(&format!("<path class=\"cell h{level}\"")).map_or("", |(_, path)| path);
    path.split_once(" d=\"").map_or("", |(_, path)| path.split_once('"').unwrap().0).to_owned()
}

fn over_time(report: &mut Report, pods: &[(&str, &[u64])]) {
    let pods = pods.iter().map(|(name, requests)| PodOverTime { name: (*name).into(), requests: requests.to_vec() });
    let latency = Some(PodLatency { p50: 1_000, p99: 9_000, max: 10_000 });
    report.runs.truncate(1);
    report.runs[0].elapsed_seconds = 2.0;
    report.runs[0].over_time = Some(OverTime { bin_seconds: 0.5, latency_us: vec![latency; 4], pods: pods.collect() });
}

#[test]
fn a_row_has_the_colour_of_what_its_pod_served_and_nothing_where_it_was_not_there() {
    let mut report = sample::report();
    over_time(&mut report, &[("old", &[100, 100, 0, 0]), ("new", &[0, 0, 150, 100]), ("steady", &[100, 0, 60, 100])]);
    let page = page(&report);
    // The old pod is in the first row, because it ends first; the steady one in the second.
    assert_eq!(strips(&page, 3), "M0 0H1M0 1H1M3 1H4M3 2H4", "the even share");
    assert_eq!(strips(&page, 0), "M1 1H2", "a pod that is there and answers nothing");
    assert_eq!((strips(&page, 1), strips(&page, 2)), (String::new(), "M2 1H3".into()), "more than half");
    assert_eq!((strips(&page, 4), strips(&page, 5)), ("M1 0H2M2 2H3".into(), String::new()), "up to twice");
    assert!(page.contains("3 pods, 1 began later than the run, 1 ended earlier."));
    assert!(page.contains("steady: 260 requests, 0.0 s to 2.0 s  ·  0.00 to 1.00 × the even share"));
    assert!(page.contains("<th scope=\"row\">new</th><td>-</td><td>-</td><td>300</td><td>200</td>"));
    assert_eq!(unbalanced(&page), Vec::<String>::new());
}

#[test]
fn events_cross_the_map() {
    let mut report = sample::report();
    over_time(&mut report, &[("a", &[1, 1, 1, 1])]);
    let event = evenkeel_measure::Event { second: 1.0, what: "kill etcd".into(), ..evenkeel_measure::Event::default() };
    report.runs[0].events = vec![event];
    let page = page(&report);
    let marks = page.split("Which pod served what, over time</h2>").nth(1).unwrap();
    assert_eq!(marks.matches(">kill etcd</text>").count(), 2, "in the wide and in the narrow map");
}

#[test]
fn a_run_that_does_not_know_its_pods_over_time_says_why() {
    let mut report = sample::report();
    assert!(page(&report).contains("measured by an older version"));
    for run in &mut report.runs {
        run.over_time = run.over_time.take().map(|over_time| OverTime { pods: Vec::new(), ..over_time });
    }
    assert!(!page(&report).contains("Which pod served what"), "a section without a map says nothing");
    over_time(&mut report, &[]);
    report.runs.push(Measurement { replicas: Some(3), ..sample::measurement() });
    assert!(page(&report).contains("No response named its pod"));
}

#[test]
fn runs_stand_side_by_side_on_the_same_scales() {
    let mut report = sample::three_runs();
    report.runs[1].over_time = None;
    let several = page(&report);
    let (_, rest) = several.split_once("<h2>Side by side</h2>").unwrap();
    let (charts, _) = rest.split_once("</section>").unwrap();
    assert_eq!(charts.matches("<svg class=\"small\"").count(), 3);
    assert_eq!(charts.matches("not measured over time").count(), 1, "the run of an older version");
    // The even share is at the same height in each.
    let heights =
        charts.split("<line class=\"even\"").skip(1).map(|line| line.split("y1=").nth(1).unwrap()[..8].to_owned());
    assert_eq!(heights.collect::<std::collections::BTreeSet<_>>().len(), 1);
    report.runs.truncate(1);
    assert!(!page(&report).contains("Side by side"), "one run has nothing beside it");
}

#[test]
fn streams_and_handshakes_are_on_the_card_and_in_the_table() {
    let mut report = sample::report();
    let run = &mut report.runs[0];
    run.http2 = Some(evenkeel_measure::Http2 { streams_per_connection: 100, streams: 3_000 });
    let time_us = evenkeel_measure::Latency { count: 30, p50: 850, p99: 1_900, ..Default::default() };
    run.tls_handshakes = Some(evenkeel_measure::Handshakes { time_us, resumed: 7 });
    let page = page(&report);
    for told in [
        "<dt>HTTP/2 streams at the same time</dt><dd>3,000</dd>",
        "<dt>TLS handshake, 99%</dt><dd>1.9 ms</dd>",
        "<th scope=\"row\">TLS handshakes that resumed a session</th><td>7</td><td>-</td>",
    ] {
        assert!(page.contains(told), "{told} is missing");
    }
}

#[test]
fn rounds_are_drawn_once_and_told_all() {
    let mut report = sample::report();
    report.runs.remove(1);
    for (replicas, rate) in [(10, 80_000.0), (2, 91_000.0), (10, 81_234.0)] {
        let mut run = sample::measurement();
        (run.replicas, run.requests_per_second.average) = (Some(replicas), rate);
        report.runs.push(run);
    }
    let page = page(&report);
    assert_eq!(page.matches("<article class=\"card\">").count(), 2);
    assert!(page.contains("10 pods, round 2") && page.contains("81,234") && page.contains("the median rate"));
    assert_eq!(unbalanced(&page), Vec::<String>::new());
}

#[test]
fn runs_need_not_have_the_same_figures() {
    let mut report = sample::report();
    report.runs[0].generator_bound = true;
    report.runs[1].pod_use = vec![PodUse {
        name: "a".into(),
        restarts: None,
        cpu_seconds: None,
        throttled_periods: None,
        memory_bytes: None,
    }];
    let page = page(&report);
    assert!(page.contains("<td>the load generator</td>") && page.contains("<td>not known</td>"), "{page}");
}

#[test]
fn nonsense_is_drawn_without_a_panic() {
    let mut report = sample::report();
    for run in &mut report.runs {
        (run.elapsed_seconds, run.requests_per_second.average) = (f64::MAX, -1.0);
        run.requests_per_second.max = f64::INFINITY;
        run.timeline.clear();
        run.spread.expected = 0;
        run.faults.iter_mut().for_each(|fault| (fault.second, fault.count) = (u32::MAX, u64::MAX));
        run.spread.pods.iter_mut().for_each(|pod| (pod.requests, pod.share) = (u64::MAX, f64::NAN));
        let node =
            |share| NodeShare { share, expected_share: Some(f64::NAN), requests: u64::MAX, ..NodeShare::default() };
        run.spread.nodes = vec![node(f64::NAN), node(f64::INFINITY), node(-1.0)];
        let pod = |requests| PodOverTime { name: "a".into(), requests };
        run.over_time = Some(OverTime {
            bin_seconds: [f64::MAX, 1e-300][usize::from(run.interrupted)],
            latency_us: vec![None, Some(PodLatency { p50: 0, p99: u64::MAX, max: 0 }), None],
            pods: vec![pod(vec![]), pod(vec![u64::MAX; 7]), pod(vec![0, u64::MAX])],
        });
        run.latency_curve.iter_mut().for_each(|point| (point.percentile, point.us) = (f64::NAN, 0));
    }
    assert_eq!(unbalanced(&page(&report)), Vec::<String>::new());
}
