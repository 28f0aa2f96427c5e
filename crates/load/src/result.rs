//! What a run measured: the records of its workers, merged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::plan::LoadPlan;
use super::pod_watch::{self, WatchedPod};
use super::record::{FaultAt, Handshakes, Messages, Pod, Second};
use super::request_counts::RequestCounts;
use super::time_bins::TimeBins;
use super::times::Times;
use super::usage::ThreadUsage;
use super::worker::WorkerResult;

/// What a run measured in addition when requests were due by a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PacedResult {
    /// From the first byte of a request to the last byte of its response.
    pub uncorrected: Times,
    /// From when a request was due to its first byte, for the requests that were answered.
    pub late: Times,
    /// Requests that were due before the end and not sent.
    pub unsent: u64,
}

/// The result of one run. Its serialised form has neither the plan nor watches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The plan of the run.
    #[serde(skip, default = "LoadPlan::unknown")]
    pub plan: LoadPlan,
    /// How long the run was measured.
    pub elapsed: Duration,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
    /// Latency up to the last byte of the response: from when the request was due where the plan has a schedule, else from
    /// the first byte of the request.
    pub latency: Times,
    /// What was measured in addition, where the plan has a schedule.
    pub paced: Option<PacedResult>,
    /// How long opening a connection took, including those of the warm-up.
    pub connect: Times,
    /// The TLS handshakes, if the target has TLS.
    pub handshakes: Option<Handshakes>,
    /// The messages of gRPC, where a response may have several.
    pub messages: Option<Messages>,
    /// Responses and their bytes in each second; the last second may be shorter.
    pub seconds: Vec<Second>,
    /// Responses in each tenth of a second, up to the last with any.
    pub tenths: Vec<u32>,
    /// The run in at most 120 bins of time, which are longer the longer the run is.
    pub time_bins: TimeBins,
    /// Requests of which at least one byte was sent.
    pub sent: u64,
    /// Requests that got a complete response, with any status.
    pub answered: u64,
    /// Requests in flight when the run ended.
    pub in_flight: u64,
    /// Connections opened for the run. Those that the warm-up opened are counted when the run uses them.
    pub opened: u64,
    /// The most requests that were in flight at the same time on each connection over HTTP/2, summed over all connections.
    pub streams: u64,
    /// Connections whose responses came from more than one pod.
    pub mixed: u64,
    /// The requests and connections of each pod, sorted by name.
    pub pods: Vec<Pod>,
    /// What was counted for each of the plan's requests, if there are several and at most 20.
    pub by_request: Vec<RequestCounts>,
    /// What was counted while pods were watched, in the order in which that began.
    #[serde(skip)]
    pub watches: Vec<WatchedPod>,
    /// How often which fault happened, by time and pod.
    #[serde(with = "crate::wire::pairs")]
    pub faults: BTreeMap<FaultAt, u64>,
    /// What each thread of the load used, without the warm-up.
    pub threads: Vec<ThreadUsage>,
}

impl RunResult {
    /// Merges the results of the workers of a run that was counted from `start`; `None` when there are none.
    pub(super) fn merge(
        plan: &LoadPlan,
        start: Instant,
        interrupted: bool,
        results: Vec<WorkerResult>,
    ) -> Option<Self> {
        let ended = results.iter().map(|result| result.ended).max()?;
        let elapsed = ended.saturating_duration_since(start).min(plan.duration);
        let mut results = results.into_iter();
        let mut merged = Self::from_one(plan, elapsed, interrupted, results.next()?);
        for result in results {
            merged.add(Self::from_one(plan, elapsed, interrupted, result));
        }
        let seconds = elapsed.as_secs() + u64::from(elapsed.subsec_nanos() > 0);
        let seconds = usize::try_from(seconds).unwrap_or(usize::MAX);
        merged.seconds.truncate(seconds);
        if let Some(messages) = &mut merged.messages {
            messages.seconds.truncate(seconds);
        }
        Some(merged)
    }

    /// Merges the results of the parts of a run, which all began to be counted at the same time; `None` when there are none.
    #[must_use]
    pub fn merge_parts(plan: &LoadPlan, parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut parts = parts.into_iter();
        let mut merged = Self { plan: plan.clone(), ..parts.next()? };
        for part in parts {
            merged.elapsed = merged.elapsed.max(part.elapsed);
            merged.interrupted |= part.interrupted;
            merged.add(part);
        }
        Some(merged)
    }

    fn from_one(plan: &LoadPlan, elapsed: Duration, interrupted: bool, result: WorkerResult) -> Self {
        let mut record = result.record;
        let faults = record.named_faults();
        let watches = record.take_watched();
        let mut pods = record.pods;
        let time_bins = record.time_bins.finish(&mut pods);
        pods.retain(|pod| pod.requests > 0);
        pods.sort_by(|a, b| a.key().cmp(&b.key()));
        Self {
            plan: plan.clone(),
            elapsed,
            interrupted,
            latency: record.latency,
            paced: record.paced.map(|paced| PacedResult {
                uncorrected: paced.uncorrected,
                late: paced.late,
                unsent: paced.unsent,
            }),
            connect: record.connect,
            handshakes: record.handshakes,
            messages: record.messages,
            seconds: record.seconds,
            tenths: record.tenths,
            time_bins,
            sent: record.sent,
            answered: record.answered,
            in_flight: record.in_flight,
            opened: record.opened,
            streams: record.streams,
            mixed: record.mixed,
            pods,
            watches,
            by_request: record.by_request,
            faults,
            threads: vec![result.usage],
        }
    }

    fn add(&mut self, mut other: Self) {
        self.time_bins.lengthen(other.time_bins.doublings(), &mut self.pods);
        other.time_bins.lengthen(self.time_bins.doublings(), &mut other.pods);
        self.time_bins.add(&other.time_bins);
        self.latency.add(&other.latency);
        self.connect.add(&other.connect);
        if let (Some(mine), Some(theirs)) = (&mut self.handshakes, &other.handshakes) {
            mine.times.add(&theirs.times);
            mine.resumed += theirs.resumed;
        }
        if let (Some(mine), Some(theirs)) = (&mut self.messages, &other.messages) {
            mine.merge(theirs);
        }
        self.seconds.resize(self.seconds.len().max(other.seconds.len()), Second::default());
        for (mine, theirs) in self.seconds.iter_mut().zip(&other.seconds) {
            mine.requests += theirs.requests;
            mine.bytes += theirs.bytes;
        }
        self.tenths.resize(self.tenths.len().max(other.tenths.len()), 0);
        for (mine, theirs) in self.tenths.iter_mut().zip(&other.tenths) {
            *mine = mine.saturating_add(*theirs);
        }
        self.sent += other.sent;
        self.answered += other.answered;
        self.in_flight += other.in_flight;
        self.opened += other.opened;
        self.streams += other.streams;
        self.mixed += other.mixed;
        pod_watch::add(&mut self.watches, other.watches);
        self.threads.extend(other.threads);
        if let (Some(mine), Some(theirs)) = (&mut self.paced, &other.paced) {
            mine.uncorrected.add(&theirs.uncorrected);
            mine.late.add(&theirs.late);
            mine.unsent += theirs.unsent;
        }
        for (mine, theirs) in self.by_request.iter_mut().zip(&other.by_request) {
            mine.add(theirs);
        }
        for pod in other.pods {
            self.add_pod(pod);
        }
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
    }

    fn add_pod(&mut self, pod: Pod) {
        match self.pods.binary_search_by(|mine| mine.key().cmp(&pod.key())) {
            Ok(at) => self.pods[at].add(&pod),
            Err(at) => self.pods.insert(at, pod),
        }
    }

    /// Counts each connection whose responses named no pod for the pod that `pod_of` its client's end; for none if that is not
    /// known.
    pub fn name_connections(&mut self, pod_of: impl Fn(SocketAddr) -> Option<String>) {
        let (connections, pods) = std::mem::take(&mut self.pods).into_iter().partition(|pod| pod.client.is_some());
        self.pods = pods;
        for connection in connections {
            let name = connection.client.and_then(&pod_of).unwrap_or_default();
            self.add_pod(Pod { name, client: None, ..connection });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::Fault;
    use super::super::record::Record;
    use super::*;
    use std::num::NonZeroU32;

    fn result(pods: &[(&str, u64)], ended: Instant) -> WorkerResult {
        let mut record = Record::new(Duration::from_secs(2), true).unwrap();
        for (name, requests) in pods {
            let pod = record.pod(name.as_bytes());
            record.connection(pod);
            for _ in 0..*requests {
                record.response(pod, Duration::ZERO, Duration::from_micros(100), 10);
            }
            record.fault(Fault::Reset, Duration::ZERO, Some(pod));
        }
        if let Some(paced) = &mut record.paced {
            paced.unsent = 7;
            paced.late.record(Duration::from_micros(10));
        }
        let usage = ThreadUsage { cpu: Duration::from_millis(1), voluntary_switches: 3, involuntary_switches: 2 };
        WorkerResult { record, ended, usage }
    }

    #[test]
    fn connections_are_counted_for_their_pods() {
        let start = Instant::now();
        let plan = LoadPlan::new(NonZeroU32::new(3).unwrap(), Duration::from_secs(2));
        let client = |port: u16| SocketAddr::from(([198, 18, 0, 1], port));
        let of_worker = |ports: &[u16]| {
            let mut result = result(&[], start);
            for port in ports {
                let pod = result.record.pod_or_connection(b"", Some(client(*port)));
                result.record.connection(pod);
                for _ in 0..*port {
                    result.record.response(pod, Duration::ZERO, Duration::from_micros(100), 10);
                }
            }
            result
        };
        let mut result = RunResult::merge(&plan, start, true, vec![of_worker(&[1, 2]), of_worker(&[4, 8])]).unwrap();
        assert_eq!(result.pods.len(), 4);
        result.name_connections(|client| match client.port() {
            1 | 8 => Some("a".into()),
            2 => Some("b".into()),
            _ => None,
        });
        let pods: Vec<_> = result.pods.iter().map(|pod| (pod.name.as_str(), pod.requests, pod.connections)).collect();
        assert_eq!(pods, [("", 4, 1), ("a", 9, 2), ("b", 2, 1)]);
        let of_a = &result.pods[1];
        assert_eq!((of_a.latency.as_ref().unwrap().count(), of_a.bins.as_deref()), (9, Some(&[9][..])));
        let named = result.clone();
        result.name_connections(|_| None);
        assert_eq!(result, named, "the pods have their names");
    }

    #[test]
    fn the_results_of_workers_add_up() {
        let start = Instant::now();
        let plan = LoadPlan::new(NonZeroU32::new(3).unwrap(), Duration::from_secs(2));
        let ended = start + Duration::from_millis(1200);
        let results = vec![result(&[("b", 2), ("a", 1)], start), result(&[("c", 5), ("b", 1)], ended)];
        let result = RunResult::merge(&plan, start, true, results).unwrap();
        let pods: Vec<_> = result.pods.iter().map(|p| (p.name.as_str(), p.requests, p.connections)).collect();
        assert!(result.pods.iter().all(|pod| pod.bins == Some(vec![pod.requests])), "{:?}", result.pods);
        assert_eq!(pods, [("a", 1, 1), ("b", 3, 2), ("c", 5, 1)]);
        assert_eq!((result.answered, result.latency.count(), result.seconds[0].requests), (9, 9, 9));
        assert_eq!(result.tenths, [9]);
        assert_eq!(result.faults.values().sum::<u64>(), 4);
        assert_eq!((result.seconds.len(), result.elapsed), (2, Duration::from_millis(1200)));
        assert_eq!(result.threads.iter().map(|thread| thread.cpu).sum::<Duration>(), Duration::from_millis(2));
        let paced = result.paced.unwrap();
        assert_eq!((paced.unsent, paced.late.count()), (14, 2));
    }

    /// Responses of two pods in five seconds, with latencies from microseconds to more than a second.
    fn responses(record: &mut Record, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            let pod = record.pod(if number % 3 == 0 { b"a" } else { b"b" });
            let latency = Duration::from_micros(20 + number * number % 1_500_007);
            record.response(pod, Duration::from_micros(number * 500), latency, 10);
            record.connect.record(latency / 7);
        }
    }

    #[test]
    fn merged_results_of_agents_equal_that_of_one_which_recorded_everything() {
        let start = Instant::now();
        let plan = LoadPlan::new(NonZeroU32::new(3).unwrap(), Duration::from_secs(5));
        let recorded = |numbers: &mut dyn Iterator<Item = u64>| {
            let mut record = Record::new(Duration::from_secs(5), false).unwrap();
            responses(&mut record, numbers);
            let result = WorkerResult { record, ended: start + plan.duration, usage: ThreadUsage::default() };
            RunResult::merge(&plan, start, false, vec![result]).unwrap()
        };
        let one = recorded(&mut (0..9_999));
        let parts = (0..3).map(|part| {
            let sent = serde_json::to_vec(&recorded(&mut (part..9_999).step_by(3))).unwrap();
            serde_json::from_slice::<RunResult>(&sent).unwrap()
        });
        let merged = RunResult::merge_parts(&plan, parts).unwrap();
        assert!(merged.latency.max() > 1_000_000 && merged.latency.count() == 9_999);
        assert_eq!(merged, RunResult { threads: merged.threads.clone(), ..one });
    }
}
