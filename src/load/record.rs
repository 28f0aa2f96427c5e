//! What a worker writes down while it runs, and how several workers' records become one.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::fault::Fault;
use super::pod_times::PodTimes;
use super::times::Times;
use crate::error::Error;

/// The most pods told apart, so that a server that names a new one each time cannot fill the memory.
const MAX_PODS: usize = 4096;
/// The most pods whose answers are timed apart.
const MAX_TIMED_PODS: usize = 512;
/// The most kinds of fault (tenth of a second, kind, pod) kept apart before detail is dropped.
const MAX_FAULTS: usize = 65_536;

/// Which pod of [`Record::pods`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PodIndex(u32);

/// One second of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// Requests answered in it.
    pub requests: u64,
    /// Bytes of those answers.
    pub bytes: u64,
}

/// What fell on one pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    /// The name its answers gave; empty when they gave none.
    pub name: String,
    /// Requests it answered.
    pub requests: u64,
    /// Connections whose first answer came from it.
    pub connections: u64,
    /// The times of its answers, counted as the run's; not of the 513th pod and those after.
    pub latency: Option<PodTimes>,
}

/// Where and when a fault happened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultAt {
    /// Tenths of a second since the run began.
    pub tenth: u32,
    /// What went wrong.
    pub fault: Fault,
    /// The pod the connection led to, where an answer had told.
    pub pod: Option<String>,
}

/// What there is besides when requests are due by a schedule.
pub(super) struct Paced {
    /// From the first byte that was sent to the answer's last.
    pub(super) uncorrected: Times,
    /// From when a request was due to its first byte.
    pub(super) late: Times,
    /// Requests that were due, and never sent.
    pub(super) unsent: u64,
}

/// All that one worker measured.
pub(super) struct Record {
    pub(super) latency: Times,
    pub(super) paced: Option<Paced>,
    pub(super) connect: Times,
    pub(super) seconds: Vec<Second>,
    /// Answers in each tenth of a second, as far as there were any.
    pub(super) tenths: Vec<u32>,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) in_flight: u64,
    /// Connections that were opened for the run.
    pub(super) opened: u64,
    pub(super) pods: Vec<Pod>,
    by_name: HashMap<Vec<u8>, PodIndex>,
    faults: BTreeMap<(u32, Fault, Option<PodIndex>), u64>,
}

impl Record {
    /// An empty record for a run of this length, `paced` by a schedule or not.
    pub(super) fn new(duration: Duration, paced: bool) -> Result<Self, Error> {
        let times = || Ok::<_, Error>(Paced { uncorrected: Times::new()?, late: Times::new()?, unsent: 0 });
        let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
        Ok(Self {
            latency: Times::new()?,
            paced: paced.then(times).transpose()?,
            connect: Times::new()?,
            tenths: Vec::new(),
            seconds: vec![Second::default(); usize::try_from(seconds.max(1)).unwrap_or(1)],
            sent: 0,
            answered: 0,
            in_flight: 0,
            opened: 0,
            pods: Vec::new(),
            by_name: HashMap::new(),
            faults: BTreeMap::new(),
        })
    }

    /// A whole answer from `pod`, `since` the run began, `latency` after its request.
    #[inline]
    pub(super) fn answer(&mut self, pod: PodIndex, since: Duration, latency: Duration, bytes: u64) {
        self.latency.record(latency);
        self.answered += 1;
        let second = usize::try_from(since.as_secs()).unwrap_or(usize::MAX).min(self.seconds.len() - 1);
        if let Some(second) = self.seconds.get_mut(second) {
            second.requests += 1;
            second.bytes += bytes;
        }
        self.count_tenth(since);
        if let Some(pod) = self.pods.get_mut(pod.0 as usize) {
            pod.requests += 1;
            if let Some(times) = &mut pod.latency {
                times.record(latency);
            }
        }
    }

    #[inline]
    fn count_tenth(&mut self, since: Duration) {
        // The last answers of a run may come a moment after its end.
        let tenth = (tenth(since) as usize).min(10 * self.seconds.len() - 1);
        if tenth >= self.tenths.len() {
            self.tenths.resize(tenth + 1, 0);
        }
        if let Some(count) = self.tenths.get_mut(tenth) {
            *count = count.saturating_add(1);
        }
    }

    /// Something went wrong, `since` the run began.
    pub(super) fn fault(&mut self, fault: Fault, since: Duration, pod: Option<PodIndex>) {
        let tenth = tenth(since);
        let key = (tenth, fault, pod);
        let full = self.faults.len() >= MAX_FAULTS && !self.faults.contains_key(&key);
        *self.faults.entry(if full { (tenth / 10 * 10, fault.coarse(), None) } else { key }).or_default() += 1;
    }

    /// A connection's first answer came from `pod`.
    pub(super) fn landed(&mut self, pod: PodIndex) {
        if let Some(pod) = self.pods.get_mut(pod.0 as usize) {
            pod.connections += 1;
        }
    }

    /// The pod of this name.
    pub(super) fn pod(&mut self, name: &[u8]) -> PodIndex {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let full = self.pods.len() >= MAX_PODS;
        let index = PodIndex(u32::try_from(self.pods.len().min(MAX_PODS)).unwrap_or(u32::MAX));
        if !full {
            let latency = if self.pods.len() < MAX_TIMED_PODS { PodTimes::new() } else { None };
            self.pods.push(Pod { name: readable(name), latency, ..Pod::default() });
            self.by_name.insert(name.to_owned(), index);
        } else if self.pods.len() == MAX_PODS {
            self.pods.push(Pod { name: "(all others)".into(), ..Pod::default() });
        }
        index
    }

    /// How many pods answered.
    pub(super) fn pods_hit(&self) -> usize {
        self.pods.iter().filter(|pod| pod.requests > 0).count()
    }

    /// How many requests failed or were answered badly.
    pub(super) fn faults(&self) -> u64 {
        self.faults.values().sum()
    }

    /// The faults with their pods' names.
    pub(super) fn named_faults(&self) -> BTreeMap<FaultAt, u64> {
        let name = |pod: PodIndex| self.pods.get(pod.0 as usize).map(|pod| pod.name.clone());
        let named = |(&(tenth, fault, pod), &count): (&(u32, Fault, Option<PodIndex>), &u64)| {
            (FaultAt { tenth, fault, pod: pod.and_then(name) }, count)
        };
        self.faults.iter().map(named).collect()
    }
}

/// Tenths of a second.
#[inline]
fn tenth(since: Duration) -> u32 {
    u32::try_from(since.as_secs() * 10).unwrap_or(u32::MAX).saturating_add(since.subsec_millis() / 100)
}

/// A pod's name as text that can do nothing to a terminal.
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
    fn an_answer_counts_everywhere_once() {
        let mut record = record();
        let pod = record.pod(b"a");
        record.answer(pod, Duration::from_millis(1500), Duration::from_micros(1234), 100);
        record.answer(pod, Duration::from_secs(99), Duration::from_micros(10), 1);
        assert_eq!(record.answered, 2);
        assert_eq!((record.latency.count(), record.latency.max()), (2, 1234));
        assert_eq!(record.seconds[1], Second { requests: 1, bytes: 100 });
        assert_eq!(record.seconds.iter().map(|s| s.requests).sum::<u64>(), 2);
        assert_eq!(record.tenths.len(), 30);
        assert_eq!((record.tenths[15], record.tenths[29], record.tenths.iter().sum::<u32>()), (1, 1, 2));
        assert_eq!(record.pods[0].requests, 2);
    }

    #[test]
    fn pods_are_bounded_and_none_is_lost() {
        let mut record = record();
        for number in 0..MAX_PODS + 1000 {
            let pod = record.pod(number.to_string().as_bytes());
            record.answer(pod, Duration::ZERO, Duration::ZERO, 0);
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
    fn names_cannot_speak_to_the_terminal() {
        assert_eq!(readable("a\u{9b}31m\u{7}b".as_bytes()), "a31mb");
        assert_eq!(readable(&[b'x'; 1000]).len(), 253);
    }
}
