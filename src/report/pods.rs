//! How requests were distributed over pods.

use super::number::{count, milliseconds};
use super::text_table::{Align, Borders, Look, TextTable};
use evenkeel_load::POD_HEADER;
pub(super) use evenkeel_measure::some;
use evenkeel_measure::{PodShare, Spread, sentence};

/// Pods shown by name before the middle is left out.
const MOST_ROWS: usize = 20;
/// How many of them are the least busy pods.
const LEAST_BUSY: usize = 5;
/// The longest name that is not shortened.
const LONGEST_NAME: usize = 24;
/// The usual width of a terminal.
pub(super) const WIDTH: usize = 80;
/// The length of the bar of the busiest pod.
const BAR: usize = 6;

/// The columns of a pod where the width is not limited. Its node is only there if there are several.
pub(super) fn columns(spread: &Spread) -> Vec<&'static str> {
    let node = (!spread.nodes.is_empty()).then_some("Node");
    ["Pod", "Requests", "Share", "Connections", "50%", "99%"].into_iter().chain(node).collect()
}

/// The 50th and the 99th percentile of the latency of a pod.
fn latencies(pod: &PodShare) -> [String; 2] {
    pod.latency_us.map_or_else(|| ["-".into(), "-".into()], |latency| [latency.p50, latency.p99].map(milliseconds))
}

/// A pod in the columns above. What is not known is a dash.
pub(super) fn cells(pod: &PodShare, spread: &Spread) -> Vec<String> {
    let [half, most] = latencies(pod);
    let [requests, share] = requests(pod, spread);
    let node = (!spread.nodes.is_empty()).then(|| pod.node.clone().unwrap_or_else(|| "-".into()));
    [pod.name.clone(), requests, share, count(pod.connections), half, most].into_iter().chain(node).collect()
}

/// The number of requests that a pod answered, and its share.
fn requests(pod: &PodShare, spread: &Spread) -> [String; 2] {
    if spread.knows_requests() {
        [count(pod.requests), format!("{:.1}%", pod.share * 100.0)]
    } else {
        ["-".into(), "-".into()]
    }
}

/// The table of pods with the spread in one sentence below it; only the sentence if no pod is known.
pub(super) fn spread(spread: &Spread, look: Look) -> String {
    let said = sentence(spread);
    if spread.pods.is_empty() {
        let how = format!("{said} A server names its pod in the header {POD_HEADER}.");
        return if said.is_empty() { said } else { wrapped(&how) + "\n" };
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    let (first, last) = shown(&spread.pods);
    rows.extend(first.iter().map(|pod| row(pod, spread)));
    if !last.is_empty() {
        let left_out = spread.pods.len() - first.len() - last.len();
        rows.push(vec![format!("… {} more …", left_out)]);
        rows.extend(last.iter().map(|pod| row(pod, spread)));
    }
    if spread.unnamed > 0 && spread.knows_requests() {
        rows.push(vec!["(not named)".into(), count(spread.unnamed)]);
    }
    let right = ["Requests", "Share", "Conns", "99%"].map(|name| (name, Align::Right));
    let columns = [("Pod", Align::Left)].into_iter().chain(right).chain([("", Align::Left)]).collect();
    format!("{}{}\n", TextTable { columns, rows, borders: Borders::Frame }.draw(look), wrapped(&said))
}

/// Sentences, each one starting on a new line.
pub(super) fn sentences(sentences: &[String]) -> String {
    let lines: Vec<String> = sentences.iter().map(|sentence| wrapped(sentence) + "\n").collect();
    lines.concat()
}

/// Lines of at most 80 characters.
fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// The busiest pods, and the least busy ones if not all are shown.
pub(super) fn shown(pods: &[PodShare]) -> (&[PodShare], &[PodShare]) {
    if pods.len() <= MOST_ROWS {
        (pods, &[])
    } else {
        (&pods[..MOST_ROWS - LEAST_BUSY], &pods[pods.len() - LEAST_BUSY..])
    }
}

fn row(pod: &PodShare, spread: &Spread) -> Vec<String> {
    let [_, most] = latencies(pod);
    let [requests, share] = requests(pod, spread);
    let load = |pod: &PodShare| if spread.knows_requests() { pod.requests } else { pod.connections };
    let busiest = spread.pods.iter().map(load).max().unwrap_or(0);
    vec![shortened(&pod.name), requests, share, pod.connections.to_string(), most, bar(load(pod), busiest)]
}

/// Shortens a name at its start: the names of pods of one Deployment differ at the end.
pub(super) fn shortened(name: &str) -> String {
    let length = name.chars().count();
    if length <= LONGEST_NAME {
        return name.to_owned();
    }
    std::iter::once('…').chain(name.chars().skip(length - LONGEST_NAME + 1)).collect()
}

fn bar(load: u64, busiest: u64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = usize::try_from(u128::from(load) * 8 * BAR as u128 / u128::from(busiest.max(1))).unwrap_or(0);
    format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8])
}

/// A rate against the first: "0.95 ×".
pub(super) fn ratio(rate: f64, first: f64) -> String {
    if first > 0.0 { format!("{:.2} ×", rate / first) } else { "-".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use console::measure_text_width;
    use evenkeel_measure::PodLoad;

    fn of(requests: &[u64], replicas: u32) -> Spread {
        let pod = |(at, requests): (usize, &u64)| {
            let name = format!("server-6c9f5d7b8-abcd{at}");
            PodLoad { name, requests: *requests, connections: requests / 100, ..PodLoad::default() }
        };
        Spread::new(&requests.iter().enumerate().map(pod).collect::<Vec<_>>(), Some(replicas))
    }

    #[test]
    fn pods_with_bars() {
        super::super::sample::pinned("report_pods", &spread(&of(&[1_200_345, 600_000, 123], 4), Look::default()));
    }

    #[test]
    fn many_pods_are_cut_in_the_middle() {
        let text = spread(&of(&(1..=100).map(|n| n * 100).collect::<Vec<_>>(), 100), Look::default());
        assert_eq!(text.lines().filter(|line| line.contains("server-")).count(), MOST_ROWS);
        assert!(text.contains("… 80 more …") && text.contains("on all 100 pods"), "{text}");
    }

    #[test]
    fn fits_80_columns_at_its_widest() {
        let pod = |letter: &str| PodLoad {
            name: letter.repeat(253),
            requests: 99_999_999,
            connections: 99_999,
            ..PodLoad::default()
        };
        let text = spread(&Spread::new(&[pod("a"), pod("b")], Some(10)), Look::default());
        let widest = text.lines().map(measure_text_width).max().unwrap();
        assert!(widest <= 80, "{widest} columns:\n{text}");
    }

    #[test]
    fn without_names_it_says_so() {
        let unnamed = PodLoad { name: String::new(), requests: 5, connections: 1, ..PodLoad::default() };
        assert!(spread(&Spread::new(&[unnamed], Some(2)), Look::default()).contains("x-evenkeel-pod"));
        assert_eq!(spread(&Spread::new(&[], Some(2)), Look::default()), "");
    }

    #[test]
    fn bars_are_in_proportion() {
        assert_eq!(bar(10, 10).chars().count(), BAR);
        assert_eq!(bar(0, 10), "");
        assert_eq!(bar(0, 0), "");
        assert_eq!(bar(1, 12), "▌");
    }
}
