//! The page as a whole.

use super::*;
use crate::report::sample;
use evenkeel_measure::{PodShare, PodUse, TimelineSecond};

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
    for report in [sample::report(), sample::three_runs(), Report::new("x", vec![])] {
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

#[test]
fn names_from_outside_stay_text() {
    let evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{body}}";
    let mut report = sample::three_runs();
    report.target = evil.into();
    report.environment = [(evil.to_owned(), evil.to_owned())].into();
    report.evenkeel_version = evil.into();
    for run in &mut report.runs {
        run.spread.pods[0].name = evil.into();
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
    };
    run.spread.pods = vec![pod; 1025];
    // As many kinds of runs, not rounds of one.
    report.runs = vec![run; 100];
    (0..).zip(&mut report.runs).for_each(|(replicas, run)| run.replicas = Some(replicas));
    let page = page(&report);
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert!(page.contains("88 further runs"));
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
        run.latency_curve.iter_mut().for_each(|point| (point.percentile, point.us) = (f64::NAN, 0));
    }
    assert_eq!(unbalanced(&page(&report)), Vec::<String>::new());
}
