//! Which pod served how many requests when, one pod and bin of time in each row, for a spreadsheet or a plot.

use std::fmt::Write;

use super::{Exporter, Report};
use crate::report::ReportError;
use evenkeel_measure::{Measurement, Mode, PodShare};

/// Comma-separated values with a header: run (from 1), replicas (empty where not known), mode, pod, when the bin begins and
/// how much of it was measured in seconds, requests answered in it, the pod's node and zone (empty with one node, and where
/// they are not known). A run without named pods has no rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodsCsv;

impl Exporter for PodsCsv {
    fn export(&self, report: &Report) -> Result<String, ReportError> {
        let mut text = "run,replicas,mode,pod,from_second,measured_seconds,requests,node,zone\n".to_owned();
        for (at, run) in report.runs.iter().enumerate() {
            rows(at + 1, run, &mut text);
        }
        Ok(text)
    }
}

fn rows(number: usize, run: &Measurement, text: &mut String) {
    let Some(over_time) = &run.over_time else { return };
    let replicas = run.replicas.map(|replicas| replicas.to_string()).unwrap_or_default();
    let mode = run.mode.map_or("", Mode::name);
    let thousandths = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
    for pod in &over_time.pods {
        let name = quoted(&pod.name);
        let share = run.spread.pods.iter().find(|share| share.name == pod.name);
        let place =
            |of: fn(&PodShare) -> Option<&String>| share.and_then(of).map(|name| quoted(name)).unwrap_or_default();
        let (node, zone) = (place(|pod| pod.node.as_ref()), place(|pod| pod.zone.as_ref()));
        for (bin, requests) in (0_u32..).zip(&pod.requests) {
            let from = f64::from(bin) * over_time.bin_seconds;
            let measured = thousandths((run.elapsed_seconds - from).clamp(0.0, over_time.bin_seconds.max(0.0)));
            let from = thousandths(from);
            let _ = writeln!(text, "{number},{replicas},{mode},{name},{from},{measured},{requests},{node},{zone}");
        }
    }
}

/// A name from a response may contain anything but control characters.
fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n', '\r']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_row_for_each_bin_of_each_pod() {
        let text = PodsCsv.export(&sample::report()).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 1 + 2 * 4, "the second run has nothing over time:\n{text}");
        assert_eq!(rows[1], "1,2,keepalive,server-6c9f5d7b8-4xkzq,0,0.5,27000,,");
        assert_eq!(rows[8], "1,2,keepalive,server-6c9f5d7b8-w8n2j,1.5,0.5,23500,,");
    }

    #[test]
    fn pods_have_their_node_and_zone_where_there_are_several() {
        let text = PodsCsv.export(&sample::three_nodes()).unwrap();
        assert!(text.contains("1,5,keepalive,server-6c9f5d7b8-a1zzq,0,0.3,"), "{text}");
        assert!(text.lines().nth(1).unwrap().ends_with(",evenkeel-0,zone-a"), "{text}");
        assert_eq!(text.lines().filter(|line| line.ends_with(",evenkeel-2,zone-b")).count(), 2 * 100);
    }

    #[test]
    fn a_name_from_outside_is_one_cell() {
        let mut report = sample::report();
        let run = &mut report.runs[0];
        run.elapsed_seconds = 1.75;
        run.over_time.as_mut().unwrap().pods[1].name = "a,\"b\"".into();
        let text = PodsCsv.export(&report).unwrap();
        assert!(text.ends_with("1,2,keepalive,\"a,\"\"b\"\"\",1.5,0.25,23500,,\n"), "{text}");
    }
}
