//! Assertions from text to result.

use super::*;
use crate::Latency;
use crate::sample::run;

fn assertion(text: &str) -> Assertion {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn said(text: &str, runs: &[Measurement]) -> String {
    match assertion(text).evaluate(runs) {
        AssertionResult::Held => "held".into(),
        AssertionResult::Failed { reasons } => reasons,
    }
}

/// A run whose 99th percentile is this, half of it the median.
fn timed(replicas: u32, p99: u64) -> Measurement {
    let mut run = run(replicas, 1_000.0);
    run.latency_us = Latency { count: 100, p50: p99 / 2, p99, ..Latency::default() };
    run
}

#[test]
fn what_is_written_is_read_and_written_again() {
    for text in [
        "p99<5ms",
        "p99.9<=1.5s",
        "mean>100us",
        "max@10!=0ms",
        "errors==0",
        "timeouts<=3",
        "non2xx@2==0",
        "rps>=80000",
        "rps@10/rps@2>=0.95",
        "errors/requests<0.1%",
        "p99/p50<3",
        "jain>90%",
        "cv<0.3",
        "busiest<150%",
        "idle==0",
        "effective@10>=8.5",
        "chi2p>=0.01",
    ] {
        assert_eq!(assertion(text).to_string(), text);
    }
}

#[test]
fn blanks_cases_and_other_names_are_understood() {
    for (text, written) in [
        (" p99 <  5 ms ", "p99<5ms"),
        ("AVG@2<5µs", "mean@2<5us"),
        ("rps @ 10 / rps @ 2 >= 95 %", "rps@10/rps@2>=95%"),
        ("P99<.5ms", "p99<.5ms"),
    ] {
        assert_eq!(assertion(text).to_string(), written);
    }
}

#[test]
fn what_is_malformed_is_shown_with_its_column() {
    for (text, column, why) in [
        ("", 1, "expected a metric"),
        ("<5", 1, "expected a metric"),
        ("p98<5ms", 1, "chi2p, chi2, found \"p98\""),
        ("p99", 4, "expected a comparison"),
        ("p99=5ms", 4, "expected a comparison, one of < <= > >= == !="),
        ("p99@<5ms", 5, "expected a number of pods after @"),
        ("p99@99999999999<5ms", 5, "expected a number of pods after @"),
        ("p99<", 5, "expected a number"),
        ("p99<fast", 5, "expected a number"),
        ("jain>-1", 6, "expected a number of 0 or more"),
        ("p99<5", 6, "p99 is a time, so it needs us, ms or s"),
        ("p99<5%", 6, "p99 is a time, so it needs us, ms or s"),
        ("p99<5min", 6, "found \"min\""),
        ("p99<1.2.3ms", 5, "expected a number, found \"1.2.3\""),
        ("p99<.ms", 5, "expected a number, found \".\""),
        ("errors<1%", 9, "errors is a plain number, so it has no unit %"),
        ("errors<5ms", 9, "errors is a plain number, so it has no unit ms"),
        ("jain>5ms", 7, "jain is a plain number or a percentage, so it cannot be in ms"),
        ("rps@10/rps@2>1s", 15, "a ratio is a plain number or a percentage, so it cannot be in s"),
        ("rps/", 5, "expected a metric"),
        ("p99/rps<1", 5, "p99 and rps have no ratio"),
        ("p99<5ms p50<2ms", 9, "expected the end, found \"p50<2ms\""),
        ("µ99<5ms", 1, "found \"µ99\""),
        ("p99<5µm", 6, "found \"µm\""),
    ] {
        let Err(AssertionError::Syntax { reason }) = text.parse::<Assertion>() else { panic!("{text}") };
        assert!(reason.starts_with(&format!("column {column}: ")) && reason.contains(why), "{text}: {reason}");
    }
}

#[test]
fn an_assertion_about_pods_that_are_not_run_is_refused_before_the_run() {
    assertion("p99<5ms").check(&[]).unwrap();
    assertion("rps@10/rps@2>=0.95").check(&[2, 5, 10]).unwrap();
    let refused = |text: &str, counts: &[u32]| assertion(text).check(counts).unwrap_err();
    assert_eq!(refused("rps@10/rps@3>=0.95", &[2, 10]), AssertionError::NoSuchRun { replicas: 3, counts: vec![2, 10] });
    assert!(matches!(refused("p99@7<5ms", &[]), AssertionError::NoSuchRun { replicas: 7, .. }));
}

#[test]
fn it_holds_for_every_run_or_says_which_missed() {
    let runs = [timed(2, 4_000), timed(10, 7_200), timed(2, 5_000), timed(1, 6_000)];
    assert_eq!(said("p99<8ms", &runs), "held");
    assert_eq!(
        said("p99<5ms", &runs),
        "p99 was 7.2 ms, expected < 5 ms (10 pods); p99 was 5 ms, expected < 5 ms (2 pods); \
         p99 was 6 ms, expected < 5 ms (1 pod)"
    );
    assert_eq!(said("p99@2<=5ms", &runs), "held");
    assert_eq!(said("p99@10>7.2ms", &runs), "p99 was 7.2 ms, expected > 7.2 ms (10 pods)");
    assert_eq!(said("p99@2<4500us", &runs), "p99 was 5000 us, expected < 4500 us (2 pods)");
}

#[test]
fn equality_of_counts_is_exact() {
    let mut one = run(2, 1.0);
    one.errors = 1;
    assert_eq!(said("errors==0", &[run(2, 1.0)]), "held");
    assert_eq!(said("errors==0", std::slice::from_ref(&one)), "errors was 1, expected == 0 (2 pods)");
    assert_eq!(said("errors==1", std::slice::from_ref(&one)), "held");
    one.errors = (1 << 53) - 1;
    assert_eq!(said("errors==9007199254740991", std::slice::from_ref(&one)), "held");
    assert_eq!(
        said("errors==9007199254740990", &[one]),
        "errors was 9007199254740991, expected == 9007199254740990 (2 pods)"
    );
    // Pods that served alike are even to the last bit.
    for pods in [3, 7, 49, 100] {
        assert_eq!(said("jain==1", &[run(pods, 1.0)]), "held");
        assert_eq!(said("busiest==100%", &[run(pods, 1.0)]), "held");
    }
}

#[test]
fn a_ratio_within_a_run_holds_in_each() {
    let mut runs = [timed(2, 4_000), timed(10, 4_000)];
    assert_eq!(said("p99/p50<=2", &runs), "held");
    runs[1].latency_us.p50 = 1_000;
    assert_eq!(said("p99/p50<3", &runs), "p99/p50 was 4, expected < 3 (10 pods)");
    assert_eq!(said("p99@2/p50@2<3", &runs), "held");
    (runs[0].errors, runs[0].requests.sent) = (3, 1_000);
    assert_eq!(said("errors/requests<0.1%", &runs), "errors/requests was 0.3%, expected < 0.1% (2 pods)");
    assert_eq!(said("requests/errors>1", &runs[1..]), "requests/errors is not known, expected > 1 (10 pods)");
}

#[test]
fn a_ratio_between_counts_is_over_all_rounds() {
    // 1.21 and 1.00: their geometric mean is 1.1.
    let runs = [run(2, 100.0), run(10, 121.0), run(2, 50.0), run(10, 50.0)];
    assert_eq!(said("rps@10/rps@2>=1.09", &runs), "held");
    assert_eq!(said("rps@10/rps@2>=1.11", &runs), "rps@10/rps@2 was 1.1, expected >= 1.11");
    assert_eq!(said("rps@10/rps@2>=111%", &runs), "rps@10/rps@2 was 110%, expected >= 111%");
    assert_eq!(said("rps/rps@2>=1.05", &runs), "rps/rps@2 was 1, expected >= 1.05 (2 pods)");
    assert_eq!(said("rps@5/rps@2>=1", &runs), "rps@5/rps@2 is not known, expected >= 1");
}

#[test]
fn a_ratio_between_counts_where_some_are_zero() {
    let mut runs = [run(2, 1.0), run(10, 1.0), run(2, 1.0), run(10, 1.0)];
    (runs[0].errors, runs[3].errors) = (4, 6);
    assert_eq!(said("errors@10/errors@2<=1", &runs), "errors@10/errors@2 was 1.5, expected <= 1");
    runs[0].errors = 0;
    assert_eq!(said("errors@10/errors@2<=1", &runs), "errors@10/errors@2 is not known, expected <= 1");
}

#[test]
fn what_is_not_known_does_not_hold() {
    let mut silent = run(2, 0.0);
    silent.latency_us = Latency::default();
    silent.spread.pods.clear();
    assert_eq!(said("p99<5ms", std::slice::from_ref(&silent)), "p99 is not known, expected < 5 ms (2 pods)");
    assert_eq!(said("jain!=0.5", &[silent]), "jain is not known, expected != 0.5 (2 pods)");
    assert_eq!(said("errors==0", &[]), "errors is not known, because there is no such run");
    assert_eq!(said("rps/rps@2>1", &[]), "rps/rps@2 is not known, because there is no such run");
    assert_eq!(said("chi2p>0.01", &[run(1, 1.0)]), "chi2p is not known, expected > 0.01 (1 pod)");
}
