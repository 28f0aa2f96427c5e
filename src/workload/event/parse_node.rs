//! Parses events that act on a node: `drain:lab-1=10s`.

use std::time::Duration;

use super::{Action, NodeAction};
use crate::config::{InvalidValue, parse_duration};

/// The event of this name, if it is one of a node; `rest` is what follows the colon.
pub(super) fn parse(name: &str, rest: Option<&str>) -> Option<Result<Action, InvalidValue>> {
    let rest = rest.unwrap_or_default();
    let parsed = match name {
        "drain" => with_optional_time(rest).map(|(node, time)| (node, NodeAction::Drain(time))),
        "cordon" => with_optional_time(rest).map(|(node, time)| (node, NodeAction::Cordon(time))),
        "uncordon" => node(rest).map(|node| (node, NodeAction::Uncordon)),
        _ => return None,
    };
    let expected = || InvalidValue::expected(example(name));
    Some(parsed.ok_or_else(expected).map(|(node, action)| Action::Node(node, action)))
}

fn example(name: &str) -> String {
    match name {
        "uncordon" => "a node, by its name or its index, such as uncordon:lab-1 or uncordon:1".into(),
        _ => format!(
            "a node, by its name or its index, and optionally the time after which it is uncordoned, such as {name}:lab-1, \
             {name}:1 or {name}:1=10s"
        ),
    }
}

/// `lab-1` and `lab-1=10s`.
fn with_optional_time(text: &str) -> Option<(String, Option<Duration>)> {
    match text.split_once('=') {
        None => Some((node(text)?, None)),
        Some((name, time)) => Some((node(name)?, Some(parse_duration(time.trim()).ok()?))),
    }
}

/// The name of a node, or its index. Names are those of DNS.
fn node(text: &str) -> Option<String> {
    let text = text.trim();
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    (!text.is_empty() && text.bytes().all(is_name)).then(|| text.to_owned())
}
