//! Notes on the load itself: its rate, its connections, and whether it was the limit.

use super::number::{count, grouped, milliseconds};
use evenkeel_measure::{Handshakes, MachineLimit, Measurement, Messages, Rate};

/// One line for each note; none for a closed loop over persistent connections in which the server was the limit.
pub(super) fn lines(run: &Measurement) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(rate) = &run.rate {
        lines.push(asked(rate));
        let sent = run.uncorrected_latency_us.as_ref().map_or((0, 0), |sent| (sent.p50, sent.p99));
        let (half, most) = (milliseconds(sent.0), milliseconds(sent.1));
        let from = "latency counts from when each request was due; from when it was sent";
        lines.push(format!("{from}: 50% {half}, 99% {most}"));
    }
    if run.connections_opened > u64::from(run.connections) {
        let took = milliseconds(run.connect_us.p50);
        lines.push(format!("{} connections opened, half of them within {took}", count(run.connections_opened)));
    }
    if let Some(handshakes) = &run.tls_handshakes {
        lines.push(tls(handshakes));
    }
    if let Some(messages) = &run.messages {
        lines.push(received(messages));
    }
    if run.generator_bound {
        let busy = (run.generator_busiest * 100.0).round();
        lines.push(format!("the load generator was the limit: its busiest thread used {busy}% of a processor"));
    }
    lines.extend(run.machine_limit.as_ref().map(slowed));
    lines
}

/// "throughput fell to 12% of its median, for 1.5 s in all, while the cluster's components used 1.6 of 2 processors: …".
fn slowed(limit: &MachineLimit) -> String {
    let MachineLimit { seconds, lowest_share, components_processors: used, processors } = limit;
    let fell = format!("throughput fell to {:.0}% of its median, for {seconds:.1} s in all", lowest_share * 100.0);
    let used = format!("the cluster's components used {used:.1} of {processors} processors");
    format!("{fell}, while {used}: the machine was the limit, not the service")
}

/// "12,000 messages received, the first of a stream after 0.4 ms (50%) and 1.2 ms (99%)".
fn received(messages: &Messages) -> String {
    let many =
        if messages.received == 1 { "1 message".into() } else { format!("{} messages", count(messages.received)) };
    let first = &messages.first_us;
    if first.count == 0 {
        return format!("{many} received");
    }
    let (half, most) = (milliseconds(first.p50), milliseconds(first.p99));
    format!("{many} received, the first one of half of the calls within {half}, of 99% within {most}")
}

/// "30 TLS handshakes, half of them within 1.2 ms, 99% within 3.4 ms; 12 resumed a session".
fn tls(handshakes: &Handshakes) -> String {
    let of = &handshakes.time_us;
    let many = if of.count == 1 { "1 TLS handshake".to_owned() } else { format!("{} TLS handshakes", count(of.count)) };
    let resumed = match handshakes.resumed {
        0 => String::new(),
        resumed => format!("; {} resumed a session", count(resumed)),
    };
    format!("{many}, half of them within {}, 99% within {}{resumed}", milliseconds(of.p50), milliseconds(of.p99))
}

/// "asked 200,000 req/s, reached 91,000: 109,000 requests were due and never sent".
fn asked(rate: &Rate) -> String {
    let whole = |rate: f64| grouped(if rate < 100.0 { (rate * 100.0).round() / 100.0 } else { rate.round() });
    let reached = format!("asked {} req/s, reached {}", whole(rate.target), whole(rate.achieved));
    match rate.unsent {
        0 => reached,
        1 => format!("{reached}: 1 request was due and never sent"),
        unsent => format!("{reached}: {} requests were due and never sent", count(unsent)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use evenkeel_measure::Latency;

    #[test]
    fn a_closed_loop_over_persistent_connections_has_no_note() {
        assert_eq!(lines(&sample::measurement()), Vec::<String>::new());
    }

    #[test]
    fn a_machine_that_was_the_limit_is_named() {
        let mut run = sample::measurement();
        let (seconds, lowest_share, components_processors) = (1.5, 0.118, 1.62);
        run.machine_limit = Some(MachineLimit { seconds, lowest_share, components_processors, processors: 2 });
        let said = "throughput fell to 12% of its median, for 1.5 s in all, while the cluster's components used 1.6 of 2 \
                    processors: the machine was the limit, not the service";
        assert_eq!(lines(&run), [said]);
    }

    #[test]
    fn messages_are_told_with_the_first_ones() {
        let mut run = sample::measurement();
        run.messages = Some(sample::messages());
        let said =
            "1,850,000 messages received, the first one of half of the calls within 0.41 ms, of 99% within 2.1 ms";
        assert_eq!(lines(&run), [said]);
    }

    #[test]
    fn a_missed_rate_is_reported() {
        let mut run = sample::measurement();
        let rate = Rate { target: 200_000.0, achieved: 91_000.4, unsent: 1_090_000, missed: true, ..Rate::default() };
        run.rate = Some(rate);
        run.uncorrected_latency_us = Some(Latency { p50: 310, p99: 2_040, ..Latency::default() });
        (run.generator_bound, run.generator_busiest) = (true, 0.973);
        run.connections_opened = 40_000;
        assert_eq!(
            lines(&run),
            [
                "asked 200,000 req/s, reached 91,000: 1,090,000 requests were due and never sent",
                "latency counts from when each request was due; from when it was sent: 50% 0.31 ms, 99% 2.04 ms",
                "40,000 connections opened, half of them within 0.21 ms",
                "the load generator was the limit: its busiest thread used 97% of a processor",
            ]
        );
    }

    #[test]
    fn slow_rates_keep_their_decimals() {
        let rate = Rate { target: 0.5, achieved: 0.466_6, unsent: 1, ..Rate::default() };
        assert_eq!(asked(&rate), "asked 0.5 req/s, reached 0.47: 1 request was due and never sent");
    }
}
