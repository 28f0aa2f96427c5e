//! Which pod served how much when, in as many parts of the run as a format has room for.

use super::number::{grouped, to_f64};
use evenkeel_measure::Measurement;

/// A part of the run in which a pod begins or ends counts as the same for all pods in it, when they are sorted.
const PARTS: usize = 20;

/// The pods of a run over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PodRates {
    /// The length of a column in seconds. The last one may be cut off by the end of the run.
    pub(super) length: f64,
    /// How many columns there are.
    pub(super) columns: usize,
    /// When the last column ends, in seconds.
    pub(super) end: f64,
    /// The pods: those that answered first come first, and of those that began together, those that ended first.
    pub(super) rows: Vec<PodRow>,
}

/// One pod over time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PodRow {
    pub(super) name: String,
    /// All its requests.
    pub(super) requests: u64,
    /// The columns of its first and its last response.
    pub(super) first: usize,
    pub(super) last: usize,
    /// Its requests in each column.
    counts: Vec<u64>,
}

impl PodRates {
    /// The pods of `run` in at most `most` columns; `None` if it is not known which pod answered when.
    pub(super) fn of(run: &Measurement, most: usize) -> Option<Self> {
        let over_time = run.over_time.as_ref().filter(|over_time| over_time.bin_seconds > 0.0)?;
        let bins = over_time.pods.iter().map(|pod| pod.requests.len()).max().filter(|bins| *bins > 0)?;
        let group = bins.div_ceil(most.max(1));
        let columns = bins.div_ceil(group);
        let row = |(name, requests): (&String, &[u64])| {
            let counts: Vec<u64> =
                requests.chunks(group).map(|group| group.iter().copied().fold(0, u64::saturating_add)).collect();
            let answered = |count: &u64| *count > 0;
            let (first, last) = (counts.iter().position(answered)?, counts.iter().rposition(answered)?);
            let requests = counts.iter().copied().fold(0, u64::saturating_add);
            Some(PodRow { name: name.clone(), requests, first, last, counts })
        };
        let pods = over_time.pods.iter().map(|pod| (&pod.name, pod.requests.as_slice()));
        let mut rows: Vec<PodRow> = pods.filter_map(row).collect();
        if rows.is_empty() {
            return None;
        }
        let part = |column: usize| column * PARTS / columns;
        rows.sort_by(|a, b| {
            let order = |row: &PodRow| (part(row.first), part(row.last), std::cmp::Reverse(row.requests));
            order(a).cmp(&order(b)).then_with(|| a.name.cmp(&b.name))
        });
        let length = over_time.bin_seconds * to_f64(group as u64);
        let whole = length * to_f64(columns as u64);
        let end = if run.elapsed_seconds > whole - length { whole.min(run.elapsed_seconds) } else { whole };
        Some(Self { length, columns, end, rows })
    }

    /// When a column begins and ends, in seconds.
    pub(super) fn span(&self, column: usize) -> (f64, f64) {
        let from = self.length * to_f64(column as u64);
        (from, (from + self.length).min(self.end))
    }

    /// The requests per second of a pod in a column; `None` before its first response and after its last one.
    pub(super) fn rate(&self, row: &PodRow, column: usize) -> Option<f64> {
        let (from, to) = self.span(column);
        let count = row.counts.get(column).filter(|_| row.is_there(column))?;
        // A column that was hardly begun would have a wild rate.
        Some(to_f64(*count) / (to - from).max(self.length / 10.0))
    }

    /// The header of a table of these columns: a name for the pods, and each column's time.
    pub(super) fn header(&self, pods: &str) -> Vec<String> {
        let seconds = |column| {
            let (from, to) = self.span(column);
            format!("{}–{} s", (from * 10.0).round() / 10.0, (to * 10.0).round() / 10.0)
        };
        std::iter::once(pods.to_owned()).chain((0..self.columns).map(seconds)).collect()
    }

    /// A pod's row of that table, in requests per second; a dash where it was not there.
    pub(super) fn cells(&self, row: &PodRow) -> Vec<String> {
        let cell = |column| self.rate(row, column).map_or_else(|| "-".to_owned(), |rate| grouped(rate.round()));
        std::iter::once(row.name.clone()).chain((0..self.columns).map(cell)).collect()
    }

    /// The even share of each column: its requests per second, divided by the pods that were there.
    pub(super) fn even_shares(&self) -> Vec<f64> {
        let share = |column| {
            let rates: Vec<f64> = self.rows.iter().filter_map(|row| self.rate(row, column)).collect();
            rates.iter().sum::<f64>() / to_f64(rates.len().max(1) as u64)
        };
        (0..self.columns).map(share).collect()
    }

    /// Only the busiest and as many of the least busy pods, if there are more than `most`; and how many are left out.
    pub(super) fn keep(&mut self, most: usize) -> usize {
        let left_out = self.rows.len().saturating_sub(most);
        if left_out > 0 {
            let mut requests: Vec<u64> = self.rows.iter().map(|row| row.requests).collect();
            requests.sort_unstable();
            let (low, high) = (requests[most / 2], requests[requests.len() - most.div_ceil(2)]);
            self.rows.retain(|row| row.requests < low || row.requests >= high);
            self.rows.truncate(most);
        }
        left_out
    }
}

impl PodRow {
    /// Whether the pod had answered by this column, and still does.
    pub(super) fn is_there(&self, column: usize) -> bool {
        (self.first..=self.last).contains(&column)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use evenkeel_measure::{OverTime, PodOverTime};

    fn run(pods: &[(&str, &[u64])], elapsed: f64) -> Measurement {
        let pod =
            |(name, requests): &(&str, &[u64])| PodOverTime { name: (*name).to_owned(), requests: requests.to_vec() };
        let pods = pods.iter().map(pod).collect();
        let over_time = Some(OverTime { bin_seconds: 0.5, latency_us: Vec::new(), pods });
        Measurement { over_time, elapsed_seconds: elapsed, ..sample::measurement() }
    }

    fn rates(pods: &PodRates) -> Vec<Vec<Option<f64>>> {
        pods.rows.iter().map(|row| (0..pods.columns).map(|column| pods.rate(row, column)).collect()).collect()
    }

    #[test]
    fn a_pod_is_there_from_its_first_response_to_its_last() {
        let of = PodRates::of(&run(&[("late", &[0, 4, 0, 2]), ("early", &[6, 3, 0, 0]), ("never", &[0; 4])], 2.0), 9);
        let of = of.unwrap();
        assert_eq!(of.rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["early", "late"]);
        assert_eq!(rates(&of), [[Some(12.0), Some(6.0), None, None], [None, Some(8.0), Some(0.0), Some(4.0)]]);
        assert_eq!(of.even_shares(), [12.0, 7.0, 0.0, 4.0]);
    }

    #[test]
    fn bins_are_combined_and_the_last_column_is_as_long_as_it_was_measured() {
        let of = PodRates::of(&run(&[("a", &[1, 2, 3])], 1.25), 2).unwrap();
        assert_eq!((of.columns, of.length, of.end, of.span(1)), (2, 1.0, 1.25, (1.0, 1.25)));
        assert_eq!(rates(&of), [[Some(3.0), Some(12.0)]]);
    }

    #[test]
    fn the_busiest_and_the_least_busy_are_kept() {
        let pods: Vec<(String, Vec<u64>)> = (1..=9).map(|n| (format!("p{n}"), vec![n])).collect();
        let pods: Vec<(&str, &[u64])> = pods.iter().map(|(name, counts)| (name.as_str(), counts.as_slice())).collect();
        let mut of = PodRates::of(&run(&pods, 0.5), 9).unwrap();
        assert_eq!(of.keep(5), 4);
        assert_eq!(of.rows.iter().map(|row| row.requests).collect::<Vec<_>>(), [9, 8, 7, 2, 1]);
        assert_eq!(of.keep(5), 0);
    }

    #[test]
    fn without_names_or_bins_nothing_is_known() {
        assert_eq!(PodRates::of(&run(&[], 1.0), 9), None);
        assert_eq!(PodRates::of(&run(&[("a", &[0, 0])], 1.0), 9), None);
        assert_eq!(PodRates::of(&Measurement { over_time: None, ..run(&[("a", &[1])], 1.0) }, 9), None);
    }
}
