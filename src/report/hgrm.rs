//! Latency by percentile as HdrHistogram prints it, for its plotter and everything else that reads `.hgrm`.

use std::fmt::Write;

use super::number::to_f64;
use super::{Exporter, Report, rounds};
use crate::report::ReportError;
use evenkeel_measure::Measurement;

/// `HdrHistogram`'s percentile distribution, in milliseconds. Each of several runs begins with a line that says which.
///
/// The format is of Java's `AbstractHistogram.outputPercentileDistribution`: value, percentile (0 to 1), how many took
/// at most this long, 1/(1-percentile).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hgrm;

impl Exporter for Hgrm {
    fn export(&self, report: &Report) -> Result<String, ReportError> {
        let run = |(run, name)| {
            let name = if report.runs.len() > 1 { format!("# {name}\n") } else { String::new() };
            name + &distribution(run)
        };
        let runs: Vec<String> = report.runs.iter().zip(rounds::names(&report.runs)).map(run).collect();
        Ok(runs.join("\n"))
    }
}

fn distribution(run: &Measurement) -> String {
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    for point in &run.latency_curve {
        let (ms, quantile) = (to_f64(point.us) / 1000.0, point.percentile / 100.0);
        let _ = write!(text, "{ms:12.3} {quantile:2.12} {:10}", point.count);
        // The last one is 100%, for which this is infinite.
        let _ = if quantile < 1.0 { writeln!(text, " {:14.2}", 1.0 / (1.0 - quantile)) } else { writeln!(text) };
    }
    let of = &run.latency_us;
    let (mean, stdev, max) = (of.average / 1000.0, of.stdev / 1000.0, to_f64(of.max) / 1000.0);
    let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {stdev:12.3}]");
    let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {:12}]", of.count);
    text
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn looks_as_hdrhistograms_own() {
        sample::pinned("report_hgrm", &Hgrm.export(&sample::report()).unwrap());
    }

    #[test]
    fn every_line_is_data_or_a_remark() {
        for run in &sample::three_runs().runs {
            let text = distribution(run);
            let data = text.lines().skip(2).filter(|line| !line.starts_with('#'));
            let rows: Vec<Vec<f64>> =
                data.map(|line| line.split_whitespace().map(|cell| cell.parse().unwrap()).collect()).collect();
            assert_eq!(rows.len(), run.latency_curve.len());
            assert!(rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] < b[1] && a[2] <= b[2]), "{text}");
            assert_eq!(rows.last().unwrap()[1..], [1.0, to_f64(run.latency_us.count)]);
        }
    }
}
