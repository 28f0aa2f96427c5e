//! The latency histogram, as `HdrHistogram` logs it: no percentile is lost, and its own tools can add up several logs.

use std::io;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};

use super::{Exporter, Report, rounds};
use crate::io_error::IoError;
use crate::report::ReportError;
use evenkeel_measure::Measurement;

/// The first line of a log.
const VERSION: &str = "[Histogram log format version 1.3]";
/// Values are in microseconds; the maximum in a log is in milliseconds.
const DIVISOR: f64 = 1000.0;

/// `HdrHistogram`'s interval log: each run is an interval, one after the other, with its name as a tag if there are
/// several. The histograms are encoded as V2, deflated; their values are microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hlog;

impl Exporter for Hlog {
    fn export(&self, report: &Report) -> Result<String, ReportError> {
        let failed = |why: String| IoError::new("write the report as an HDR log", io::Error::other(why));
        let mut log = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder.with_max_value_divisor(DIVISOR);
        builder.add_comment(VERSION);
        builder
            .add_comment(&format!("evenkeel {}: latency in microseconds, {}", report.evenkeel_version, report.target));
        let mut writer = builder.begin_log_with(&mut log, &mut serializer).map_err(|why| failed(why.to_string()))?;
        let mut start = Duration::ZERO;
        for (run, name) in report.runs.iter().zip(rounds::names(&report.runs)) {
            let histogram = histogram(run).map_err(|why| failed(format!("{name}: {why}")))?;
            let length = Duration::try_from_secs_f64(run.elapsed_seconds).unwrap_or_default();
            let tag = name.replace(|c: char| c == ',' || c.is_whitespace(), "-");
            let tag = Tag::new(&tag).filter(|_| report.runs.len() > 1);
            let written = writer.write_histogram(&histogram, start, length, tag);
            written.map_err(|why| match why {
                IntervalLogWriterError::SerializeError(why) => failed(format!("{name}: {why}")),
                IntervalLogWriterError::IoError(why) => failed(why.to_string()),
            })?;
            start += length;
        }
        Ok(String::from_utf8(log).map_err(|why| failed(why.to_string()))?)
    }
}

/// The histogram of the run, from the report.
fn histogram(run: &Measurement) -> Result<Histogram<u64>, String> {
    let encoded =
        run.latency_histogram.as_ref().ok_or("its report has no histogram, because an older version wrote it")?;
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|why| format!("its histogram is damaged ({why})"))?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|why| format!("its histogram is damaged ({why})"))
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::super::{Json, file, sample};
    use super::*;

    /// Tag, start in seconds and histogram of each interval of a log.
    fn intervals(log: &str) -> Vec<(Option<String>, f64, Histogram<u64>)> {
        let entries = IntervalLogIterator::new(log.as_bytes()).map(Result::unwrap);
        let interval = |entry| match entry {
            LogEntry::Interval(interval) => {
                let bytes = BASE64_STANDARD.decode(interval.encoded_histogram()).unwrap();
                let histogram = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
                let tag = interval.tag().map(|tag| tag.as_str().to_owned());
                Some((tag, interval.start_timestamp().as_secs_f64(), histogram))
            }
            _ => None,
        };
        entries.filter_map(interval).collect()
    }

    #[test]
    fn every_figure_comes_back_from_the_log_of_a_report_in_a_file() {
        let report = sample::three_runs();
        let read = file::read(&Json.export(&report).unwrap(), "report.json").unwrap();
        let log = Hlog.export(&read).unwrap();
        let intervals = intervals(&log);
        assert_eq!(intervals.len(), 3);
        for (run, (_, _, histogram)) in report.runs.iter().zip(&intervals) {
            let of = &run.latency_us;
            // The figures of the run are limited to its maximum, which the upper end of a bucket may exceed.
            let quantile = |quantile| histogram.value_at_quantile(quantile).min(of.max);
            assert_eq!(
                (histogram.len(), quantile(0.5), quantile(0.99), quantile(0.999), histogram.max()),
                (of.count, of.p50, of.p99, of.p99_9, histogram.highest_equivalent(of.max))
            );
        }
        let told: Vec<(Option<&str>, f64)> = intervals.iter().map(|(tag, at, _)| (tag.as_deref(), *at)).collect();
        assert_eq!(told, [(Some("2-pods"), 0.0), (Some("5-pods"), 30.0), (Some("10-pods"), 60.0)]);
    }

    #[test]
    fn looks_as_hdrhistograms_own() {
        let mut report = sample::three_runs();
        report.runs.truncate(1);
        let log = Hlog.export(&report).unwrap();
        let mut lines = log.lines();
        let wanted = ["#[Histogram log format version 1.3]\n", "#[MaxValueDivisor: 1000.000]\n"];
        assert!(wanted.iter().all(|wanted| log.contains(wanted)), "{log}");
        let interval = lines.next_back().unwrap();
        assert!(interval.starts_with("0.000,30.000,") && interval.contains(",HISTFAAA"), "{log}");
    }

    #[test]
    fn without_a_histogram_nothing_is_made_up() {
        let mut report = sample::three_runs();
        report.runs[1].latency_histogram = None;
        let error = Hlog.export(&report).unwrap_err().to_string();
        assert!(error.contains("5 pods: its report has no histogram"), "{error}");
        report.runs[1].latency_histogram = Some("HISTFAAA".into());
        assert!(Hlog.export(&report).unwrap_err().to_string().contains("damaged"));
    }
}
