//! Parses events that act on a node: `drain:lab-1=10s`.

use std::time::Duration;

use super::parse::delay;
use super::{Action, NodeAction};
use crate::cluster::NodeFault;
use crate::config::{InvalidValue, parse_duration};

/// The event of this name, if it is one of a node; `rest` is what follows the colon.
pub(super) fn parse(name: &str, rest: Option<&str>) -> Option<Result<Action, InvalidValue>> {
    let rest = rest.unwrap_or_default();
    let fault = |(node, time), fault| (node, NodeAction::Fault(fault, time));
    let parsed = match name {
        "drain" => with_optional_time(rest).map(|(node, time)| (node, NodeAction::Drain(time))),
        "cordon" => with_optional_time(rest).map(|(node, time)| (node, NodeAction::Cordon(time))),
        "remove-node" => node(rest).map(|node| (node, NodeAction::Remove)),
        "uncordon" => node(rest).map(|node| (node, NodeAction::Uncordon)),
        "kill-node" => with_optional_time(rest).map(|(node, time)| (node, NodeAction::Kill(time))),
        "restart-node" => node(rest).map(|node| (node, NodeAction::Restart)),
        "pause-node" => with_time(rest).map(|parts| fault(parts, NodeFault::Paused)),
        "partition" => with_time(rest).map(|parts| fault(parts, NodeFault::Partitioned)),
        "lose" => lose(rest),
        "delay" => delayed(rest),
        _ => return None,
    };
    let expected = || InvalidValue::expected(example(name));
    Some(parsed.ok_or_else(expected).map(|(node, action)| Action::Node(node, action)))
}

fn example(name: &str) -> String {
    let node = "a node, by its name or its index";
    match name {
        "uncordon" | "remove-node" | "restart-node" => format!("{node}, such as {name}:lab-1 or {name}:1"),
        "pause-node" | "partition" => format!("{node}, and a time, such as {name}:lab-1=10s or {name}:1=10s"),
        "lose" => {
            format!("{node}, from 0.1% to 100% of its packets, and a time, such as lose:lab-1:5%=10s or lose:1:5%=10s")
        }
        "delay" => {
            format!("{node}, a delay from 1ms to 10s, and a time, such as delay:lab-1:20ms=10s or delay:1:20ms=10s")
        }
        _ => {
            let after = if name == "kill-node" { "started again" } else { "uncordoned" };
            format!(
                "{node}, and optionally the time after which it is {after}, such as {name}:lab-1, {name}:1 or {name}:1=10s"
            )
        }
    }
}

/// `lab-1` and `lab-1=10s`.
fn with_optional_time(text: &str) -> Option<(String, Option<Duration>)> {
    if text.contains('=') {
        return with_time(text).map(|(node, time)| (node, Some(time)));
    }
    Some((node(text)?, None))
}

/// `lab-1=10s`.
fn with_time(text: &str) -> Option<(String, Duration)> {
    let (name, time) = text.split_once('=')?;
    Some((node(name)?, parse_duration(time.trim()).ok()?))
}

/// `lab-1:5%=10s`.
fn lose(text: &str) -> Option<(String, NodeAction)> {
    let (name, rest) = text.split_once(':')?;
    let (percent, time) = rest.split_once('=')?;
    let percent = percent.trim().strip_suffix('%')?.trim();
    let is_plain = percent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percent: f64 = percent.parse().ok().filter(|_| is_plain)?;
    let per_mille = (1..=1000).find(|per_mille| (f64::from(*per_mille) / 10.0 - percent).abs() < 1e-6)?;
    Some((node(name)?, NodeAction::Fault(NodeFault::Lossy(per_mille), parse_duration(time.trim()).ok()?)))
}

/// `lab-1:20ms=10s`.
fn delayed(text: &str) -> Option<(String, NodeAction)> {
    let (name, rest) = text.split_once(':')?;
    let (length, time) = rest.split_once('=')?;
    Some((node(name)?, NodeAction::Delay(delay(length.trim())?, parse_duration(time.trim()).ok()?)))
}

/// The name of a node, or its index. Names are those of DNS.
fn node(text: &str) -> Option<String> {
    let text = text.trim();
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    (!text.is_empty() && text.bytes().all(is_name)).then(|| text.to_owned())
}
