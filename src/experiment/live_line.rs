//! The line about a run in progress.

use evenkeel_load::RunProgress;
use evenkeel_measure::some;

/// "12 s left, 88231 req/s, p99 1.02 ms, no errors, 2 pods hit". It begins with "500 of 1000 requests" if a number of
/// requests ends the run, and with the number of requests if the end is unknown.
pub(super) fn line(live: &RunProgress, end_known: bool) -> String {
    if live.warming_up {
        return "warming up".into();
    }
    let p99 = live.p99.as_secs_f64() * 1000.0;
    let pods = if live.pods == 0 { String::new() } else { format!(", {} hit", some(live.pods, "pod")) };
    let errors = if live.faults == 0 { "no errors".into() } else { format!("{} errors", live.faults) };
    let progress = match live.planned_requests {
        Some(planned) => format!("{} of {planned} requests", live.requests),
        None if !end_known => format!("{} requests", live.requests),
        None => format!("{} s left", live.left.as_secs_f64().ceil()),
    };
    format!("{progress}, {:.0} req/s, p99 {p99:.2} ms, {errors}{pods}", live.rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_line_begins_with_what_ends_the_run() {
        let live = RunProgress {
            warming_up: false,
            left: Duration::from_millis(11_600),
            planned_requests: None,
            requests: 500,
            rate: 88_231.4,
            p99: Duration::from_micros(1_020),
            faults: 0,
            pods: 2,
        };
        assert_eq!(line(&live, true), "12 s left, 88231 req/s, p99 1.02 ms, no errors, 2 pods hit");
        let worse = RunProgress { faults: 3, pods: 1, ..live };
        assert_eq!(line(&worse, true), "12 s left, 88231 req/s, p99 1.02 ms, 3 errors, 1 pod hit");
        assert_eq!(line(&RunProgress { warming_up: true, ..live }, true), "warming up");
        let counted = RunProgress { planned_requests: Some(1000), ..live };
        assert!(line(&live, false).starts_with("500 requests, 88231 req/s"), "{}", line(&live, false));
        assert!(line(&counted, true).starts_with("500 of 1000 requests, 88231 req/s"), "{}", line(&counted, true));
    }
}
