//! The progress of all agents, as that of one run.

use std::time::Duration;

use evenkeel_load::RunProgress;

/// The sum of what the agents said last; `None` before the first one said anything. The plan's number of requests is that of
/// the whole run.
pub(super) fn sum(all: &[Option<RunProgress>]) -> Option<RunProgress> {
    all.iter().flatten().copied().reduce(|one, other| RunProgress {
        warming_up: one.warming_up && other.warming_up,
        left: one.left.max(other.left),
        planned_requests: one.planned_requests,
        requests: one.requests + other.requests,
        rate: one.rate + other.rate,
        p99: one.p99.max(other.p99),
        faults: one.faults + other.faults,
        pods: one.pods.max(other.pods),
    })
}

/// The progress before an agent has said anything.
pub(super) fn warming_up() -> RunProgress {
    RunProgress {
        warming_up: true,
        left: Duration::ZERO,
        planned_requests: None,
        requests: 0,
        rate: 0.0,
        p99: Duration::ZERO,
        faults: 0,
        pods: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_latencies_do_not() {
        let one = |requests, p99| RunProgress {
            warming_up: false,
            requests,
            p99: Duration::from_millis(p99),
            pods: requests,
            planned_requests: Some(100),
            ..warming_up()
        };
        assert_eq!(sum(&[None, None]), None);
        let all = sum(&[Some(one(3, 9)), None, Some(one(5, 2))]).unwrap();
        assert_eq!((all.requests, all.p99.as_millis(), all.pods, all.planned_requests), (8, 9, 5, Some(100)));
    }
}
