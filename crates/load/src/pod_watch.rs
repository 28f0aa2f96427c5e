//! Pods that are watched for a part of a run: what they answered meanwhile, compared with all others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::pod_times::PodTimes;
use super::record::PodIndex;

/// How many watches of a run are counted at most. Each takes two histograms in each thread.
const MAX_WATCHES: usize = 64;

/// The watches of a run. All clones share one list. A watch is begun and ended while the run goes on.
#[derive(Clone, Debug, Default)]
pub struct PodWatches(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Grows with each change, so that workers need not lock the list to see that it has not changed.
    version: AtomicU64,
    list: Mutex<Vec<Watch>>,
}

/// A watch of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    /// The name in the pod's responses.
    pub(super) pod: String,
    pub(super) began: Instant,
    pub(super) ended: Option<Instant>,
}

/// The number of a watch, an index into [`RunResult::watches`](super::RunResult::watches).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchId(usize);

impl WatchId {
    /// As an index.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

impl PodWatches {
    /// Watches the pod of this name from now on. `None` when too many pods were watched before.
    #[must_use]
    pub fn begin(&self, pod: &str) -> Option<WatchId> {
        self.change(|list| {
            let id = (list.len() < MAX_WATCHES).then_some(WatchId(list.len()))?;
            list.push(Watch { pod: pod.to_owned(), began: Instant::now(), ended: None });
            Some(id)
        })
    }

    /// Ends a watch.
    pub fn end(&self, id: WatchId) {
        self.change(|list| {
            if let Some(watch) = list.get_mut(id.0) {
                watch.ended.get_or_insert_with(Instant::now);
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Watch>) -> T) -> T {
        let mut list = self.0.list.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut list);
        self.0.version.fetch_add(1, Ordering::Release);
        changed
    }

    /// The list, if its version is not `seen` any more; `seen` becomes the current version.
    #[inline]
    pub(super) fn changed_since(&self, seen: &mut u64) -> Option<Vec<Watch>> {
        let version = self.0.version.load(Ordering::Acquire);
        (version != *seen).then(|| {
            *seen = version;
            self.0.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
        })
    }
}

/// Requests of one pod and of all pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestsOf {
    /// Those that the pod answered.
    pub pod: u64,
    /// Those that any pod answered.
    pub all: u64,
}

/// What a watch counted. A request belongs to it if any part of the time from when it was due or sent to its response
/// was within the watch: a pod that answers nothing meanwhile is seen by the requests that waited for it.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchedPod {
    /// The name of the pod.
    pub pod: String,
    /// The requests before the watch: since the start of the run, or the end of the last watch before.
    pub before: RequestsOf,
    /// The latencies of the pod's responses.
    pub of_pod: PodTimes,
    /// The latencies of the responses of all other pods.
    pub of_others: PodTimes,
}

impl WatchedPod {
    /// The latencies of all responses.
    #[must_use]
    pub fn of_all(&self) -> PodTimes {
        let mut all = self.of_pod.clone();
        all.add(&self.of_others);
        all
    }

    fn add(&mut self, other: &Self) {
        self.before.pod += other.before.pod;
        self.before.all += other.before.all;
        self.of_pod.add(&other.of_pod);
        self.of_others.add(&other.of_others);
    }
}

/// Adds the watches of another worker, which may have ended before the last of them began.
pub(super) fn add(mine: &mut Vec<WatchedPod>, theirs: Vec<WatchedPod>) {
    for (at, watched) in theirs.into_iter().enumerate() {
        match mine.get_mut(at) {
            Some(mine) => mine.add(&watched),
            None => mine.push(watched),
        }
    }
}

/// The watches of one worker.
#[derive(Default)]
pub(super) struct WatchRecord {
    watches: Vec<(Span, WatchedPod)>,
    /// When the last of them ends: a response to a request that was sent later belongs to none.
    until: Duration,
    /// Requests by pod, and all, at the end of the last watch that has ended.
    counted_from: (Vec<u64>, u64),
}

/// The pod and the time of a watch, since the start of the run.
struct Span {
    pod: PodIndex,
    began: Duration,
    ended: Option<Duration>,
}

impl WatchRecord {
    /// How many watches have begun.
    pub(super) fn len(&self) -> usize {
        self.watches.len()
    }

    /// Begins the next watch. `answered` is how many requests `pod` and all pods have answered until now.
    pub(super) fn begin(&mut self, name: &str, pod: PodIndex, began: Duration, answered: RequestsOf) {
        let (Some(of_pod), Some(of_others)) = (PodTimes::new(), PodTimes::new()) else { return };
        let (by_pod, all) = &self.counted_from;
        let earlier = by_pod.get(pod.position()).copied().unwrap_or(0);
        let before = RequestsOf { pod: answered.pod - earlier, all: answered.all - all };
        let watched = WatchedPod { pod: name.to_owned(), before, of_pod, of_others };
        self.watches.push((Span { pod, began, ended: None }, watched));
        self.until = Duration::MAX;
    }

    /// Ends a watch, unless it has ended. `answered` has the requests by pod until now, and all.
    pub(super) fn end(&mut self, at: usize, ended: Duration, answered: impl FnOnce() -> (Vec<u64>, u64)) {
        match self.watches.get_mut(at) {
            Some((span, _)) if span.ended.is_none() => span.ended = Some(ended),
            _ => return,
        }
        self.counted_from = answered();
        let ends = self.watches.iter().map(|(span, _)| span.ended.unwrap_or(Duration::MAX));
        self.until = ends.max().unwrap_or_default();
    }

    /// Counts a response from `pod` at the time `since` the start of the run.
    #[inline]
    pub(super) fn response(&mut self, pod: PodIndex, since: Duration, latency: Duration) {
        let due = since.saturating_sub(latency);
        if due < self.until {
            self.count(pod, (due, since), latency);
        }
    }

    fn count(&mut self, pod: PodIndex, (due, since): (Duration, Duration), latency: Duration) {
        let within = |span: &Span| since >= span.began && span.ended.is_none_or(|ended| due < ended);
        for (span, watched) in self.watches.iter_mut().filter(|(span, _)| within(span)) {
            if span.pod == pod { &mut watched.of_pod } else { &mut watched.of_others }.record(latency);
        }
    }

    /// What was counted.
    pub(super) fn into_watched(self) -> Vec<WatchedPod> {
        self.watches.into_iter().map(|(_, watched)| watched).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_change_is_seen_once_and_watches_are_bounded() {
        let watches = PodWatches::default();
        let mut seen = 0;
        assert_eq!(watches.changed_since(&mut seen), None);
        let id = watches.begin("a").unwrap();
        watches.end(id);
        let list = watches.changed_since(&mut seen).unwrap();
        assert!(list.len() == 1 && list[0].pod == "a" && list[0].ended.unwrap() >= list[0].began, "{list:?}");
        let ended = list[0].ended;
        watches.end(id);
        assert_eq!(watches.changed_since(&mut seen).unwrap()[0].ended, ended, "a watch ends once");
        assert_eq!(watches.changed_since(&mut seen), None);
        let begun = (0..1000).filter(|_| watches.begin("a").is_some()).count();
        assert_eq!(begun, MAX_WATCHES - 1);
    }

    /// The requests of the pod and of the others within each watch, and before it.
    fn counted(mut record: Record) -> Vec<(u64, u64, RequestsOf)> {
        let watched = record.take_watched();
        watched.iter().map(|watched| (watched.of_pod.count(), watched.of_others.count(), watched.before)).collect()
    }

    #[test]
    fn requests_are_counted_that_were_open_during_a_watch() {
        let mut record = Record::new(Duration::from_secs(100), false).unwrap();
        let start = Instant::now();
        let (slow, other) = (record.pod(b"slow"), record.pod(b"other"));
        let mut list = vec![Watch { pod: "slow".into(), began: start + 1000 * MS, ended: None }];
        for at in [100, 200, 300] {
            record.response(slow, at * MS, MS, 1);
            record.response(other, at * MS, MS, 1);
        }
        record.watch(&list, start);
        record.response(other, 1000 * MS, 5 * MS, 1); // Sent before, answered within.
        record.response(slow, 1500 * MS, MS, 1);
        list[0].ended = Some(start + 2000 * MS);
        record.watch(&list, start);
        record.response(slow, 5000 * MS, 3500 * MS, 1); // Sent within, answered after it.
        record.response(slow, 5001 * MS, 3000 * MS, 1); // Sent after it.
        record.response(other, 2001 * MS, MS, 1);
        // The next watch is compared with the time since the end of the first one.
        list.push(Watch { pod: "other".into(), began: start + 6000 * MS, ended: None });
        record.watch(&list, start);
        record.response(other, 6000 * MS, MS, 1);
        let expected = [(2, 1, RequestsOf { pod: 3, all: 6 }), (1, 0, RequestsOf { pod: 1, all: 3 })];
        assert_eq!(counted(record), expected);
    }

    #[test]
    fn a_pod_that_has_not_answered_before_can_be_watched() {
        let mut record = Record::new(Duration::from_secs(10), false).unwrap();
        let start = Instant::now();
        let other = record.pod(b"other");
        record.watch(&[Watch { pod: "new".into(), began: start, ended: None }], start);
        record.response(other, MS, MS, 1);
        let new = record.pod(b"new");
        record.response(new, 2 * MS, MS, 1);
        assert_eq!(counted(record), [(1, 1, RequestsOf::default())]);
    }

    #[test]
    fn the_watches_of_workers_add_up_even_if_one_ended_early() {
        let watched = |pod: u64, all: u64| {
            let mut watched = WatchedPod {
                pod: "a".into(),
                before: RequestsOf { pod, all },
                of_pod: PodTimes::new().unwrap(),
                of_others: PodTimes::new().unwrap(),
            };
            watched.of_pod.record(MS);
            watched.of_others.record(2 * MS);
            watched
        };
        let mut mine = vec![watched(1, 2)];
        add(&mut mine, vec![watched(10, 20), watched(3, 4)]);
        let sums: Vec<_> = mine.iter().map(|w| (w.before.pod, w.before.all, w.of_all().count())).collect();
        assert_eq!(sums, [(11, 22, 4), (3, 4, 2)]);
    }
}
