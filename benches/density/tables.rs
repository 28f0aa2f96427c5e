//! The tables. Each value is the median of the rounds.

use std::collections::BTreeSet;
use std::time::Duration;

use evenkeel::report::{Align, plain_table};

use super::sample::{Round, Spent, Step};

/// Seconds of the boot's steps, and the processor time of its programs.
pub(crate) fn boot(rounds: &[Round]) -> String {
    let steps: Vec<&String> = rounds.iter().take(1).flat_map(|round| &round.boot.steps).map(|(step, _)| step).collect();
    let rows: Vec<Vec<String>> = steps
        .into_iter()
        .map(|step| {
            let of = |round: &Round| round.boot.steps.iter().find(|(name, _)| name == step).map_or(0.0, |(_, s)| *s);
            vec![step.clone(), seconds(rounds, of)]
        })
        .collect();
    let steps = plain_table(Align::Left, &["STEP OF UP", "SECONDS"], &rows);
    let names: BTreeSet<&String> = rounds.iter().flat_map(|round| round.boot.programs.keys()).collect();
    let used = |name: &String| {
        median(rounds, |round| round.boot.programs.get(name).map_or(0.0, |used| milliseconds(used.own + used.children)))
    };
    let mut used: Vec<(&String, f64)> = names.into_iter().map(|name| (name, used(name))).collect();
    used.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let rows: Vec<Vec<String>> = used.iter().map(|(name, ms)| vec![(*name).clone(), format!("{ms:.0}")]).collect();
    let programs = plain_table(Align::Right, &["", "ms of processor time"], &rows);
    format!("{steps}\nProcessor time by program when `up` ended, with children that ended\n\n{programs}")
}

/// Seconds of each step, and the processor time for a pod.
pub(crate) fn steps(rounds: &[Round]) -> String {
    let mut rows = vec![vec!["up".into(), seconds(rounds, |round| round.boot.seconds)]];
    let count = rounds.first().map_or(0, |round| round.steps.len());
    for index in 0..count {
        let of_step = |of: fn(&Step) -> f64| median(rounds, |round| round.steps.get(index).map_or(0.0, of));
        let name = rounds.first().and_then(|round| round.steps.get(index));
        let name = name.map_or_else(String::new, |step| format!("{} → {}", step.from, step.to));
        rows.push(vec![
            name,
            format!("{:.2}", of_step(|step| step.programmed)),
            format!("{:.2}", of_step(|step| step.ready)),
            format!("{:.1}", of_step(|step| pods(step) / step.ready)),
            format!("{:.3}", of_step(|step| step.used.all.as_secs_f64() / pods(step))),
        ]);
    }
    rows.push(vec!["down".into(), seconds(rounds, |round| round.down)]);
    let table = plain_table(Align::Right, &["", "s", "s until ready", "pods/s", "CPU s/pod"], &rows);
    format!("Seconds, medians of {} rounds\n\n{table}", rounds.len())
}

/// Processor time by program: for a pod that starts in the last step, and when nothing happens.
pub(crate) fn programs(rounds: &[Round]) -> String {
    let names: BTreeSet<&String> = rounds.iter().flat_map(|round| round.programs.keys()).collect();
    let mut rows: Vec<(f64, Vec<String>)> = Vec::new();
    for name in names {
        let of = |spent: &Spent| spent.programs.get(name).copied().unwrap_or_default();
        let started = |part: fn((Duration, Duration)) -> Duration| {
            median(rounds, |round| last(round).map_or(0.0, |(pods, spent)| milliseconds(part(of(spent))) / pods))
        };
        let (own, children) = (started(|(own, _)| own), started(|(_, children)| children));
        let idle = median(rounds, |round| {
            let (own, children) = of(&round.idle.used);
            percent(own + children, round.idle.seconds)
        });
        rows.push((
            own + children,
            vec![name.clone(), format!("{own:.1}"), format!("{children:.1}"), format!("{idle:.2}")],
        ));
    }
    rows.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let whole = median(rounds, |round| last(round).map_or(0.0, |(pods, spent)| milliseconds(spent.all) / pods));
    let known: f64 = rows.iter().map(|(sum, _)| sum).sum();
    let idle = median(rounds, |round| percent(round.idle.used.all, round.idle.seconds));
    let mut rows: Vec<Vec<String>> = rows.into_iter().map(|(_, row)| row).collect();
    rows.push(vec!["others, ended".into(), format!("{:.1}", whole - known)]);
    rows.push(vec!["all (cgroups)".into(), format!("{whole:.1}"), String::new(), format!("{idle:.2}")]);
    let table = plain_table(Align::Right, &["", "ms/pod", "children's ms/pod", "idle, % of a core"], &rows);
    let pods = rounds.first().map_or(0, |round| round.idle.pods);
    format!(
        "Processor time by program: for each pod that starts in the last step, and idle with {pods} pods\n\n{table}"
    )
}

/// The number of pods of the last step, and the processor time of it.
fn last(round: &Round) -> Option<(f64, &Spent)> {
    round.steps.last().map(|step| (pods(step), &step.used))
}

/// Memory by program, at the end.
pub(crate) fn memory(rounds: &[Round]) -> String {
    let names: BTreeSet<&String> = rounds.iter().flat_map(|round| round.programs.keys()).collect();
    let row = |name: &String| {
        let of = |round: &Round| round.programs.get(name).copied().unwrap_or_default();
        #[allow(clippy::cast_precision_loss, reason = "one digit is shown")]
        let mean = |bytes: u64, processes: u64| bytes as f64 / 1e6 / processes.max(1) as f64;
        vec![
            name.clone(),
            rounds.first().map_or(0, |round| of(round).processes).to_string(),
            format!("{:.1}", median(rounds, |round| mean(of(round).resident, of(round).processes))),
            format!("{:.1}", median(rounds, |round| mean(of(round).private, of(round).processes))),
        ]
    };
    let rows: Vec<Vec<String>> = names.into_iter().map(row).collect();
    let table = plain_table(Align::Right, &["", "processes", "MB each", "private MB each"], &rows);
    format!("Resident memory\n\n{table}")
}

fn pods(step: &Step) -> f64 {
    f64::from(step.to.abs_diff(step.from).max(1))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn percent(time: Duration, of_seconds: f64) -> f64 {
    time.as_secs_f64() / of_seconds * 100.0
}

fn seconds(rounds: &[Round], of: impl Fn(&Round) -> f64) -> String {
    format!("{:.2}", median(rounds, of))
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.as_slice() {
        [] => 0.0,
        all if all.len() % 2 == 1 => all[middle],
        all => f64::midpoint(all[middle - 1], all[middle]),
    }
}
