//! The seconds of all runs, one in each row, for a spreadsheet or a plot.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Exporter, Report};
use crate::report::ReportError;
use evenkeel_measure::{ClientAddress, Configuration, FaultCount, Measurement, Mode, TrafficPolicy};

/// Comma-separated values with a header: run (from 1), replicas (empty where not known), second (from 0), how much of
/// it was measured, requests answered, bytes of the responses, errors, responses with an unexpected status (by default
/// another than 2xx), mode; of the whole run: HTTP/2 streams, TLS handshakes, how many of them resumed a session, and the 50th
/// and 99th percentile of their time in microseconds (each empty where there were none); messages of gRPC received (empty
/// without streams); protocol, Service (empty outside of a cluster), the external traffic policy that was set (empty where the
/// Service had its own), and what happened to the client's address on the way to the pods (empty where that is not known).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Csv;

impl Exporter for Csv {
    fn export(&self, report: &Report) -> Result<String, ReportError> {
        let mut text = HEADER.to_owned();
        for (at, run) in report.runs.iter().enumerate() {
            rows(at + 1, run, &mut text);
        }
        Ok(text)
    }
}

const HEADER: &str = "run,replicas,second,measured_seconds,requests,bytes,errors,non_2xx,mode,streams,tls_handshakes,\
                      tls_resumed,tls_p50_us,tls_p99_us,messages,protocol,service,traffic_policy,client_address\n";

#[derive(Default)]
struct SecondCounts {
    requests: u64,
    bytes: u64,
    errors: u64,
    non_2xx: u64,
}

fn rows(number: usize, run: &Measurement, text: &mut String) {
    let mut rows: BTreeMap<u32, SecondCounts> = BTreeMap::new();
    for (second, of) in (0..).zip(&run.timeline) {
        rows.insert(second, SecondCounts { requests: of.requests, bytes: of.bytes, ..SecondCounts::default() });
    }
    for fault in &run.faults {
        let row = rows.entry(fault.second).or_default();
        let counter = if is_status(fault) { &mut row.non_2xx } else { &mut row.errors };
        *counter = counter.saturating_add(fault.count);
    }
    let replicas = run.replicas.map(|replicas| replicas.to_string()).unwrap_or_default();
    let mode = run.mode.map_or("", Mode::name);
    let transport = transport(run);
    let policy = policy(run);
    let (protocol, service) = (Configuration::of(run).protocol, run.service.as_deref().unwrap_or_default());
    for (second, SecondCounts { requests, bytes, errors, non_2xx }) in rows {
        let measured = ((run.elapsed_seconds - f64::from(second)).clamp(0.0, 1.0) * 1000.0).round() / 1000.0;
        let messages = run.messages.as_ref().map(|messages| messages.timeline.get(second as usize).copied());
        let messages = messages.map(|count| count.unwrap_or(0).to_string()).unwrap_or_default();
        let _ = writeln!(
            text,
            "{number},{replicas},{second},{measured},{requests},{bytes},{errors},{non_2xx},{mode},{transport},{messages},\
             {protocol},{service},{policy}"
        );
    }
}

/// The columns of HTTP/2 and TLS, which are the same in all rows of a run.
fn transport(run: &Measurement) -> String {
    let streams = run.http2.map(|http2| http2.streams.to_string()).unwrap_or_default();
    let tls = run.tls_handshakes.as_ref().map_or_else(
        || ",,,".to_owned(),
        |tls| format!("{},{},{},{}", tls.time_us.count, tls.resumed, tls.time_us.p50, tls.time_us.p99),
    );
    format!("{streams},{tls}")
}

/// The columns of the external traffic policy, which are the same in all rows of a run.
fn policy(run: &Measurement) -> String {
    let policy = run.traffic_policy.map_or("", TrafficPolicy::name);
    format!("{policy},{}", run.client_address.map_or("", ClientAddress::name))
}

/// Whether there was a response, with a bad status.
fn is_status(fault: &FaultCount) -> bool {
    fault.kind.starts_with("status ") || fault.kind.starts_with("grpc-status ")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use evenkeel_measure::{Handshakes, Http2, Latency};

    #[test]
    fn a_row_for_each_second_of_each_run() {
        sample::pinned("report_csv", &Csv.export(&sample::report()).unwrap());
    }

    #[test]
    fn its_sums_are_the_runs() {
        let report = sample::three_runs();
        let text = Csv.export(&report).unwrap();
        let mut sums = vec![[0; 3]; report.runs.len()];
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let sum = &mut sums[cells[0].parse::<usize>().unwrap() - 1];
            for (total, column) in sum.iter_mut().zip([4, 6, 7]) {
                *total += cells[column].parse::<u64>().unwrap();
            }
        }
        let runs = report.runs.iter().map(|run| [run.requests.answered, run.errors, run.requests.non_2xx]);
        assert_eq!(sums, runs.collect::<Vec<_>>());
    }

    #[test]
    fn streams_and_handshakes_are_in_every_row() {
        let mut report = sample::report();
        report.runs.truncate(1);
        report.runs[0].http2 = Some(Http2 { streams_per_connection: 100, streams: 3_000 });
        let time_us = Latency { count: 30, p50: 850, p99: 1_900, ..Latency::default() };
        report.runs[0].tls_handshakes = Some(Handshakes { time_us, resumed: 7 });
        let text = Csv.export(&report).unwrap();
        assert!(
            text.lines().skip(1).all(|line| line.ends_with(",keepalive,3000,30,7,850,1900,,http2,web/server:http,,")),
            "{text}"
        );
        assert!(text.lines().all(|line| line.matches(',').count() == HEADER.matches(',').count()), "{text}");
    }

    #[test]
    fn policies_are_in_every_row() {
        let mut report = sample::report();
        report.runs.truncate(1);
        let run = &mut report.runs[0];
        (run.traffic_policy, run.client_address) = (Some(TrafficPolicy::Local), Some(ClientAddress::Kept));
        let text = Csv.export(&report).unwrap();
        assert!(text.lines().skip(1).all(|line| line.ends_with(",http1,web/server:http,local,kept")), "{text}");
    }

    #[test]
    fn messages_have_their_seconds() {
        let mut report = sample::report();
        report.runs.truncate(1);
        report.runs[0].messages = Some(sample::messages());
        let text = Csv.export(&report).unwrap();
        let last: Vec<&str> = text.lines().map(|line| line.rsplit(',').nth(4).unwrap()).collect();
        assert_eq!(last, ["messages", "900000", "950000"]);
    }

    #[test]
    fn a_fault_far_beyond_the_end_is_one_row() {
        let mut report = sample::report();
        report.runs[0].faults = vec![FaultCount { kind: "reset".into(), second: u32::MAX, pod: None, count: 1 }];
        report.runs.truncate(1);
        assert_eq!(Csv.export(&report).unwrap().lines().count(), 1 + 2 + 1);
    }
}
