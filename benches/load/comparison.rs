//! The measured cases, their ratios, and the table of 80 columns.

use std::fmt;

use evenkeel::report::{Align, plain_table};
use evenkeel_measure::{Ratio, grouped_digits};
use serde::Serialize;

/// The result of one case in one round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Sample {
    pub(crate) requests_per_second: f64,
    /// CPU seconds of the generator per million requests.
    pub(crate) cpu_per_million: f64,
    pub(crate) p99_ms: f64,
    /// Failed requests, and responses with another status than those of success. They are not in the rate.
    pub(crate) failed: u64,
}

/// One of the compared things.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The condition of the measurement: "2 pods". Ratios are taken between cases of the same group.
    pub(crate) group: String,
    pub(crate) samples: Vec<Sample>,
    /// The memory of a pod or a process, in bytes.
    pub(crate) memory: Option<u64>,
    /// The part of it that no other process shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) private: Option<u64>,
}

impl Case {
    pub(crate) fn new(name: &str, group: impl Into<String>) -> Self {
        Self { name: name.to_owned(), group: group.into(), samples: Vec::new(), memory: None, private: None }
    }

    fn failed(&self) -> u64 {
        self.samples.iter().map(|sample| sample.failed).sum()
    }

    fn values(&self, of: fn(&Sample) -> f64) -> Vec<f64> {
        self.samples.iter().map(of).collect()
    }

    #[allow(clippy::cast_precision_loss, reason = "a handful of rounds")]
    fn mean(&self, of: fn(&Sample) -> f64) -> f64 {
        self.samples.iter().map(of).sum::<f64>() / self.samples.len().max(1) as f64
    }
}

/// A column of a table.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Column {
    Rate,
    /// The ratio of the rate to that of the case with this name.
    RateTo(&'static str),
    Cpu,
    /// The ratio of the CPU time per request to that of the case with this name.
    CpuTo(&'static str),
    P99,
    Memory,
    /// The part of the memory that no other process shares.
    Private,
}

/// Cases that were measured together.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) title: String,
    pub(crate) columns: Vec<Column>,
    /// Whether the cases ran in turn within each round, so that their samples are paired.
    pub(crate) interleaved: bool,
    pub(crate) cases: Vec<Case>,
    pub(crate) ratios: Vec<RatioTo>,
}

/// One ratio of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RatioTo {
    case: String,
    to: String,
    group: String,
    of: &'static str,
    ratio: Ratio,
}

impl Comparison {
    pub(crate) fn new(title: &str, columns: &[Column], interleaved: bool, cases: Vec<Case>) -> Self {
        let mut comparison =
            Self { title: title.to_owned(), columns: columns.to_vec(), interleaved, cases, ratios: Vec::new() };
        comparison.ratios = comparison.all_ratios();
        comparison
    }

    /// How many requests failed in all its cases.
    pub(crate) fn failed(&self) -> u64 {
        self.cases.iter().map(Case::failed).sum()
    }

    fn all_ratios(&self) -> Vec<RatioTo> {
        let of_column = |column: &Column| match *column {
            Column::RateTo(to) => Some(("requests_per_second", to)),
            Column::CpuTo(to) => Some(("cpu_per_million", to)),
            _ => None,
        };
        let of_case = |case: &Case, (of, to): (&'static str, &str)| {
            let (name, group) = (case.name.clone(), case.group.clone());
            Some(RatioTo { ratio: self.ratio(case, of, to)?, case: name, to: to.to_owned(), group, of })
        };
        let wanted: Vec<_> = self.columns.iter().filter_map(of_column).collect();
        self.cases.iter().flat_map(|case| wanted.iter().filter_map(|&wanted| of_case(case, wanted))).collect()
    }

    fn ratio(&self, case: &Case, of: &str, to: &str) -> Option<Ratio> {
        let other = self.cases.iter().find(|other| other.name == to && other.group == case.group)?;
        let value: fn(&Sample) -> f64 = match of {
            "cpu_per_million" => |sample| sample.cpu_per_million,
            _ => |sample| sample.requests_per_second,
        };
        let (ours, theirs) = (case.values(value), other.values(value));
        let ratio = if self.interleaved { Ratio::paired } else { Ratio::unpaired };
        ratio(&ours, &theirs).filter(|_| case.name != to)
    }

    fn cell(&self, case: &Case, column: Column) -> String {
        match column {
            Column::Rate => grouped_digits(&format!("{:.0}", case.mean(|sample| sample.requests_per_second))),
            Column::Cpu => format!("{:.2}", case.mean(|sample| sample.cpu_per_million)),
            Column::P99 => format!("{:.2}", case.mean(|sample| sample.p99_ms)),
            Column::RateTo(to) => {
                self.ratio(case, "requests_per_second", to).map_or("1".into(), |ratio| with_interval(&ratio))
            }
            Column::CpuTo(to) => {
                self.ratio(case, "cpu_per_million", to).map_or("1".into(), |ratio| with_interval(&ratio))
            }
            Column::Memory => case.memory.map_or_else(String::new, megabytes),
            Column::Private => case.private.map_or_else(String::new, megabytes),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = self.columns.iter().map(|column| match column {
            Column::Rate => "req/s".to_owned(),
            Column::RateTo(to) | Column::CpuTo(to) => format!("× {to} (95%)"),
            Column::Cpu => "CPU s/M".to_owned(),
            Column::P99 => "p99 ms".to_owned(),
            Column::Memory => "MB".to_owned(),
            Column::Private => "private MB".to_owned(),
        });
        let heads: Vec<String> = [String::new()].into_iter().chain(heads).collect();
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        let row = |case: &Case| {
            let cells = self.columns.iter().map(|&column| self.cell(case, column));
            [case.name.clone()].into_iter().chain(cells).collect()
        };
        let rows: Vec<Vec<String>> = self.cases.iter().map(row).collect();
        let table = plain_table(Align::Right, &heads, &rows);
        let mut lines = table.lines();
        writeln!(formatter, "{}\n\n{}", self.title, lines.next().unwrap_or_default())?;
        let mut group = "";
        for (case, line) in self.cases.iter().zip(lines) {
            if case.group != group {
                group = &case.group;
                writeln!(formatter, "{group}")?;
            }
            writeln!(formatter, "{line}")?;
        }
        for case in &self.cases {
            let failed = case.failed();
            if failed > 0 {
                writeln!(formatter, "{}, {}: {failed} requests failed", case.group, case.name)?;
            }
        }
        Ok(())
    }
}

/// The ratio with its confidence interval: "1.12 (1.08–1.16)".
fn with_interval(ratio: &Ratio) -> String {
    let bounds = ratio.interval.map(|interval| format!(" ({:.2}–{:.2})", interval.low, interval.high));
    format!("{:.2}{}", ratio.value, bounds.unwrap_or_default())
}

/// Megabytes (1,000,000 bytes) with one digit: "1.7".
#[allow(clippy::cast_precision_loss, reason = "one digit is shown")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}
