//! What one worker measures.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::error::LoadError;
use super::fault::Fault;
use super::pod_times::PodTimes;
use super::pod_watch::{RequestsOf, Watch, WatchRecord, WatchedPod};
use super::request_counts::RequestCounts;
use super::time_bins::{self, BinRecorder};
use super::times::Times;

/// The maximum number of pods that are counted separately. It limits the memory if a server sends a new name each time.
const MAX_PODS: usize = 4096;
/// How many pods have latencies and bins of time of their own at most.
const MAX_TIMED_PODS: usize = time_bins::MOST_PODS;
/// The maximum number of faults (tenth of a second, kind, pod) that are counted separately before detail is dropped.
const MAX_FAULTS: usize = 65_536;

/// An index into [`Record::pods`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PodIndex(u32);

impl PodIndex {
    pub(super) fn position(self) -> usize {
        self.0 as usize
    }
}

/// One second of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Responses received in it.
    pub requests: u64,
    /// Bytes of those responses.
    pub bytes: u64,
}

/// The requests and connections of one pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    /// The name in its responses; empty when there was none.
    pub name: String,
    /// If there was none and the plan asks for it, the client's end of the one connection that is counted here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<SocketAddr>,
    /// Requests that it answered.
    pub requests: u64,
    /// Connections whose first response came from it.
    pub connections: u64,
    /// The latency of its responses, measured as that of the run; `None` for the 513th pod and those after it.
    pub latency: Option<PodTimes>,
    /// Its requests in each bin of time, up to the last bin with any; `None` where it has no latency.
    pub bins: Option<Vec<u64>>,
}

impl Pod {
    /// What pods are sorted by.
    pub(super) fn key(&self) -> (&str, Option<SocketAddr>) {
        (&self.name, self.client)
    }

    /// Adds what another worker, or another connection, counted of the same pod.
    pub(super) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.connections += other.connections;
        match (&mut self.latency, &other.latency) {
            (Some(mine), Some(theirs)) => mine.add(theirs),
            // Where one has no latencies of this pod, those of the others would be incomplete.
            (mine, _) => *mine = None,
        }
        match (&mut self.bins, &other.bins) {
            (Some(mine), Some(theirs)) => time_bins::add_requests(mine, theirs),
            (mine, _) => *mine = None,
        }
    }
}

/// Where and when a fault happened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FaultAt {
    /// Tenths of a second since the start of the run.
    pub tenth: u32,
    /// What went wrong.
    pub fault: Fault,
    /// The pod that the connection led to, where an earlier response named it.
    pub pod: Option<String>,
}

/// The TLS handshakes of a run, including those of the warm-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handshakes {
    /// How long they took.
    pub times: Times,
    /// How many of them resumed an earlier session.
    pub resumed: u64,
}

/// What is measured in addition when requests are due by a schedule.
pub(super) struct Paced {
    /// From the first byte of the request to the last byte of the response.
    pub(super) uncorrected: Times,
    /// From when the request was due to its first byte.
    pub(super) late: Times,
    /// Requests that were due and not sent.
    pub(super) unsent: u64,
}

/// The messages of gRPC, where a response may have several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Messages {
    /// Messages received in each second.
    pub seconds: Vec<u64>,
    /// From when a call was due where the plan has a schedule, else from the first byte of the request, to the last byte of
    /// the first message.
    pub first: Times,
    /// Whether a response had more than one message.
    pub several: bool,
}

impl Messages {
    fn new(seconds: usize) -> Result<Self, LoadError> {
        Ok(Self { seconds: vec![0; seconds], first: Times::new()?, several: false })
    }

    /// Adds those of another worker.
    pub(super) fn merge(&mut self, other: &Self) {
        self.seconds.resize(self.seconds.len().max(other.seconds.len()), 0);
        for (mine, theirs) in self.seconds.iter_mut().zip(&other.seconds) {
            *mine += theirs;
        }
        self.first.add(&other.first);
        self.several |= other.several;
    }
}

/// Everything that one worker measures.
pub(super) struct Record {
    pub(super) latency: Times,
    pub(super) paced: Option<Paced>,
    pub(super) connect: Times,
    /// How long TLS handshakes took, and how many of them resumed a session; `None` without TLS.
    pub(super) handshakes: Option<Handshakes>,
    /// The messages of gRPC, where a response may have several.
    pub(super) messages: Option<Messages>,
    pub(super) seconds: Vec<Second>,
    /// Responses in each tenth of a second, up to the last with any.
    pub(super) tenths: Vec<u32>,
    pub(super) time_bins: BinRecorder,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) in_flight: u64,
    /// Connections opened for the run.
    pub(super) opened: u64,
    /// The most requests that were in flight at the same time on each connection, summed.
    pub(super) streams: u64,
    /// Connections whose responses came from more than one pod.
    pub(super) mixed: u64,
    pub(super) pods: Vec<Pod>,
    /// What is counted for each of several requests; empty for one.
    pub(super) by_request: Vec<RequestCounts>,
    watches: WatchRecord,
    by_name: HashMap<Vec<u8>, PodIndex>,
    faults: BTreeMap<(u32, Fault, Option<PodIndex>), u64>,
}

impl Record {
    /// The same for connections with TLS.
    pub(super) fn with_handshakes(self) -> Result<Self, LoadError> {
        Ok(Self { handshakes: Some(Handshakes { times: Times::new()?, resumed: 0 }), ..self })
    }

    /// The same for so many requests.
    pub(super) fn with_requests(self, requests: usize) -> Self {
        Self { by_request: RequestCounts::for_each(requests), ..self }
    }

    /// The same for calls of gRPC whose responses may have several messages.
    pub(super) fn with_messages(self) -> Result<Self, LoadError> {
        let messages = Messages::new(self.seconds.len())?;
        Ok(Self { messages: Some(messages), ..self })
    }

    /// An empty record for a run of this length; `paced` is whether requests are due by a schedule.
    pub(super) fn new(duration: Duration, paced: bool) -> Result<Self, LoadError> {
        let times = || Ok::<_, LoadError>(Paced { uncorrected: Times::new()?, late: Times::new()?, unsent: 0 });
        let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
        Ok(Self {
            latency: Times::new()?,
            paced: paced.then(times).transpose()?,
            connect: Times::new()?,
            handshakes: None,
            messages: None,
            tenths: Vec::new(),
            time_bins: BinRecorder::new(),
            seconds: vec![Second::default(); usize::try_from(seconds.max(1)).unwrap_or(1)],
            sent: 0,
            answered: 0,
            in_flight: 0,
            opened: 0,
            streams: 0,
            mixed: 0,
            pods: Vec::new(),
            by_request: Vec::new(),
            watches: WatchRecord::default(),
            by_name: HashMap::new(),
            faults: BTreeMap::new(),
        })
    }

    /// Counts a response from `pod` at the time `since` the start of the run.
    #[inline]
    pub(super) fn response(&mut self, pod: PodIndex, since: Duration, latency: Duration, bytes: u64) {
        self.latency.record(latency);
        self.answered += 1;
        let second = usize::try_from(since.as_secs()).unwrap_or(usize::MAX).min(self.seconds.len() - 1);
        if let Some(second) = self.seconds.get_mut(second) {
            second.requests += 1;
            second.bytes += bytes;
        }
        // The last responses may arrive a moment after the end of the run.
        let tenth = tenth(since).min(u32::try_from(10 * self.seconds.len() - 1).unwrap_or(u32::MAX));
        self.count_tenth(tenth as usize);
        self.time_bins.response(tenth, latency, &mut self.pods);
        self.watches.response(pod, since, latency);
        if let Some(pod) = self.pods.get_mut(pod.0 as usize) {
            pod.requests += 1;
            if let Some(times) = &mut pod.latency {
                times.record(latency);
            }
        }
    }

    #[inline]
    fn count_tenth(&mut self, tenth: usize) {
        if tenth >= self.tenths.len() {
            self.tenths.resize(tenth + 1, 0);
        }
        if let Some(count) = self.tenths.get_mut(tenth) {
            *count = count.saturating_add(1);
        }
    }

    /// Begins the watches of `list` that are new, and ends those that have ended, in a run that began at `start`.
    pub(super) fn watch(&mut self, list: &[Watch], start: Instant) {
        for (at, watch) in list.iter().enumerate() {
            if at >= self.watches.len() {
                let pod = self.pod(watch.pod.as_bytes());
                let of_pod = self.pods.get(pod.position()).map_or(0, |pod| pod.requests);
                let answered = RequestsOf { pod: of_pod, all: self.answered };
                self.watches.begin(&watch.pod, pod, watch.began.saturating_duration_since(start), answered);
            }
            if let Some(ended) = watch.ended {
                let answered = || (self.pods.iter().map(|pod| pod.requests).collect(), self.answered);
                self.watches.end(at, ended.saturating_duration_since(start), answered);
            }
        }
    }

    /// What the watches counted.
    pub(super) fn take_watched(&mut self) -> Vec<WatchedPod> {
        std::mem::take(&mut self.watches).into_watched()
    }

    /// Counts a fault at the time `since` the start of the run.
    pub(super) fn fault(&mut self, fault: Fault, since: Duration, pod: Option<PodIndex>) {
        let tenth = tenth(since);
        let key = (tenth, fault, pod);
        let full = self.faults.len() >= MAX_FAULTS && !self.faults.contains_key(&key);
        *self.faults.entry(if full { (tenth / 10 * 10, fault.coarse(), None) } else { key }).or_default() += 1;
    }

    /// Counts that the request with this index was answered.
    #[inline]
    pub(super) fn request_answered(&mut self, index: u32, latency: Duration) {
        if let Some(counts) = self.by_request.get_mut(index as usize) {
            counts.answered(latency);
        }
    }

    /// Counts that the request with this index failed.
    pub(super) fn request_failed(&mut self, index: u32) {
        if let Some(counts) = self.by_request.get_mut(index as usize) {
            counts.failed += 1;
        }
    }

    /// Counts a connection whose first response came from `pod`.
    pub(super) fn connection(&mut self, pod: PodIndex) {
        if let Some(pod) = self.pods.get_mut(pod.0 as usize) {
            pod.connections += 1;
        }
    }

    /// The index of the pod of this name, which is added if it is new.
    pub(super) fn pod(&mut self, name: &[u8]) -> PodIndex {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let full = self.pods.len() >= MAX_PODS;
        let index = PodIndex(u32::try_from(self.pods.len().min(MAX_PODS)).unwrap_or(u32::MAX));
        if !full {
            let latency = if self.pods.len() < MAX_TIMED_PODS { PodTimes::new() } else { None };
            let bins = latency.as_ref().map(|_| Vec::new());
            self.pods.push(Pod { name: readable(name), latency, bins, ..Pod::default() });
            self.by_name.insert(name.to_owned(), index);
        } else if self.pods.len() == MAX_PODS {
            self.pods.push(Pod { name: "(all others)".into(), ..Pod::default() });
        }
        index
    }

    /// The index of the pod that a response names, or of the connection with this end if it names none.
    pub(super) fn pod_or_connection(&mut self, name: &[u8], client: Option<SocketAddr>) -> PodIndex {
        let Some(client) = client.filter(|_| name.is_empty()) else { return self.pod(name) };
        // No header has a NUL, so this is no pod's name.
        let key = format!("\0{client}").into_bytes();
        if self.pods.len() >= MAX_TIMED_PODS && !self.by_name.contains_key(&key) {
            return self.pod(name);
        }
        let index = self.pod(&key);
        if let Some(pod) = self.pods.get_mut(index.position()) {
            (pod.name, pod.client) = (String::new(), Some(client));
        }
        index
    }

    /// How many pods have answered a request; those that named none are one.
    pub(super) fn answering_pods(&self) -> usize {
        let answered = || self.pods.iter().filter(|pod| pod.requests > 0);
        answered().filter(|pod| !pod.name.is_empty()).count() + usize::from(answered().any(|pod| pod.name.is_empty()))
    }

    /// How many faults there were.
    pub(super) fn faults(&self) -> u64 {
        self.faults.values().sum()
    }

    /// The faults with the names of their pods.
    pub(super) fn named_faults(&self) -> BTreeMap<FaultAt, u64> {
        // Responses that name no pod are counted for a pod without a name.
        let name = |pod: PodIndex| {
            let pod = self.pods.get(pod.0 as usize).filter(|pod| !pod.name.is_empty());
            pod.map(|pod| pod.name.clone())
        };
        let mut named = BTreeMap::new();
        for (&(tenth, fault, pod), &count) in &self.faults {
            *named.entry(FaultAt { tenth, fault, pod: pod.and_then(name) }).or_default() += count;
        }
        named
    }
}

/// Tenths of a second.
#[inline]
fn tenth(since: Duration) -> u32 {
    u32::try_from(since.as_secs() * 10).unwrap_or(u32::MAX).saturating_add(since.subsec_millis() / 100)
}

/// The name of a pod without control characters, which a terminal could interpret.
fn readable(name: &[u8]) -> String {
    const LONGEST_NAME: usize = 253;
    String::from_utf8_lossy(name).chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record::new(Duration::from_secs(3), false).unwrap()
    }

    #[test]
    fn a_response_is_counted_once_everywhere() {
        let mut record = record();
        let pod = record.pod(b"a");
        record.response(pod, Duration::from_millis(1500), Duration::from_micros(1234), 100);
        record.response(pod, Duration::from_secs(99), Duration::from_micros(10), 1);
        assert_eq!(record.answered, 2);
        assert_eq!((record.latency.count(), record.latency.max()), (2, 1234));
        assert_eq!(record.seconds[1], Second { requests: 1, bytes: 100 });
        assert_eq!(record.seconds.iter().map(|s| s.requests).sum::<u64>(), 2);
        assert_eq!(record.tenths.len(), 30);
        assert_eq!((record.tenths[15], record.tenths[29], record.tenths.iter().sum::<u32>()), (1, 1, 2));
        assert_eq!(record.pods[0].requests, 2);
    }

    #[test]
    fn connections_stand_for_pods_that_are_not_named() {
        let mut record = record();
        let client = |port| Some(SocketAddr::from(([198, 18, 0, 1], port)));
        let (one, named) = (record.pod_or_connection(b"", client(1)), record.pod_or_connection(b"a", client(2)));
        assert_eq!(record.pod_or_connection(b"", client(1)), one);
        assert_ne!(record.pod_or_connection(b"", client(3)), one);
        let unnamed = record.pod_or_connection(b"", None);
        for pod in [one, one, named, unnamed] {
            record.response(pod, Duration::ZERO, Duration::ZERO, 0);
        }
        let counted: Vec<_> = record.pods.iter().map(|pod| (pod.name.as_str(), pod.client, pod.requests)).collect();
        assert_eq!(counted, [("", client(1), 2), ("a", None, 1), ("", client(3), 0), ("", None, 1)]);
        assert_eq!(record.answering_pods(), 2, "those without a name are one");
    }

    #[test]
    fn only_so_many_connections_are_counted_one_by_one() {
        let mut record = record();
        let pods = (1..=1000).map(|port| {
            let pod = record.pod_or_connection(b"", Some(SocketAddr::from(([198, 18, 0, 1], port))));
            record.response(pod, Duration::ZERO, Duration::ZERO, 0);
            pod
        });
        let pods: std::collections::BTreeSet<_> = pods.collect();
        assert_eq!(pods.len(), MAX_TIMED_PODS + 1);
        assert_eq!(record.pods.iter().map(|pod| pod.requests).sum::<u64>(), 1000);
        assert!(record.pods.iter().all(|pod| pod.name.is_empty() && pod.latency.is_some() == pod.client.is_some()));
    }

    #[test]
    fn pods_are_bounded_and_no_request_is_lost() {
        let mut record = record();
        for number in 0..MAX_PODS + 1000 {
            let pod = record.pod(number.to_string().as_bytes());
            record.response(pod, Duration::ZERO, Duration::ZERO, 0);
        }
        assert_eq!(record.pods.len(), MAX_PODS + 1);
        assert_eq!(record.pods[MAX_PODS].requests, 1000);
        assert_eq!(record.pods.iter().map(|pod| pod.requests).sum::<u64>(), record.answered);
    }

    #[test]
    fn faults_are_bounded_and_none_is_lost() {
        let mut record = record();
        for second in 0..200 {
            for code in 300..999 {
                record.fault(Fault::Status(code), Duration::from_secs(second), None);
            }
        }
        assert!(record.faults.len() < MAX_FAULTS + 200 * 7, "{}", record.faults.len());
        assert_eq!(record.faults(), 200 * 699);
    }

    #[test]
    fn a_fault_names_the_pod_only_if_a_response_did() {
        let mut record = record();
        let (named, unnamed) = (record.pod(b"a"), record.pod(b""));
        for pod in [None, Some(unnamed), Some(named)] {
            record.fault(Fault::TimedOut, Duration::ZERO, pod);
        }
        let faults: Vec<_> = record.named_faults().into_iter().map(|(at, count)| (at.pod, count)).collect();
        assert_eq!(faults, [(None, 2), (Some("a".to_owned()), 1)]);
    }

    #[test]
    fn names_have_no_control_characters() {
        assert_eq!(readable("a\u{9b}31m\u{7}b".as_bytes()), "a31mb");
        assert_eq!(readable(&[b'x'; 1000]).len(), 253);
    }
}
