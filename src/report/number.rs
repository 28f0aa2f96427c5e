//! Numbers as autocannon formats them.

/// A count with commas.
pub(super) use evenkeel_measure::grouped_count as count;
use evenkeel_measure::grouped_digits;

/// A time in milliseconds with three significant digits, but never finer than a microsecond nor coarser than a
/// millisecond: "0.312 ms", "1.22 ms", "31 ms". Whole milliseconds look as autocannon's do.
pub(super) fn milliseconds(micros: u64) -> String {
    let ms = to_f64(micros) / 1000.0;
    let steps = if ms < 1.0 {
        1000.0
    } else if ms < 10.0 {
        100.0
    } else if ms < 100.0 {
        10.0
    } else {
        1.0
    };
    format!("{} ms", (ms * steps).round() / steps)
}

/// A mean or deviation in milliseconds, rounded up to two decimals as autocannon does, or to three where `fine`.
pub(super) fn mean_milliseconds(micros: f64, fine: bool) -> String {
    format!("{} ms", up(micros / 1000.0, if fine { 1000.0 } else { 100.0 }))
}

/// The maximum in milliseconds, cut to two decimals as autocannon does; below one, to three.
pub(super) fn max_milliseconds(micros: u64) -> String {
    let ms = to_f64(micros) / 1000.0;
    format!("{} ms", if ms < 1.0 { ms } else { (ms * 100.0).floor() / 100.0 })
}

/// Rounded up to two decimals, as autocannon's means are.
pub(super) fn mean(value: f64) -> f64 {
    up(value, 100.0)
}

fn up(value: f64, steps: f64) -> f64 {
    (value * steps).ceil() / steps
}

/// With commas: "12,543", "3,225.04".
pub(super) fn grouped(value: f64) -> String {
    let text = value.to_string();
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let whole = grouped_digits(whole);
    fraction.map_or(whole.clone(), |fraction| format!("{whole}.{fraction}"))
}

/// Thousands as in autocannon's closing lines: "934", "51k".
pub(super) fn thousands(value: u64) -> String {
    if value < 1000 { value.to_string() } else { format!("{}k", (value + 500) / 1000) }
}

/// Bytes with three significant digits: "150 B", "12.4 MB".
pub(super) fn bytes(value: f64) -> String {
    const UNITS: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
    if value < 1.0 {
        return format!("{value} B");
    }
    let mut scaled = value;
    let mut unit = 0;
    while scaled >= 1000.0 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    let steps = if scaled < 10.0 {
        100.0
    } else if scaled < 100.0 {
        10.0
    } else {
        1.0
    };
    format!("{} {}", (scaled * steps).round() / steps, UNITS[unit])
}

#[allow(clippy::cast_precision_loss, reason = "what is shown has at most 53 bits")]
pub(super) fn to_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let cases = [(0, "0 ms"), (45, "0.045 ms"), (312, "0.312 ms"), (1000, "1 ms"), (1223, "1.22 ms")];
        for (micros, text) in cases.into_iter().chain([(31_415, "31.4 ms"), (1_234_567, "1235 ms")]) {
            assert_eq!(milliseconds(micros), text);
        }
        assert_eq!(mean_milliseconds(1211.0, false), "1.22 ms");
        assert_eq!(mean_milliseconds(311.2, true), "0.312 ms");
        assert_eq!(max_milliseconds(71_239), "71.23 ms");
    }

    #[test]
    fn counts() {
        let cases = [(0.0, "0"), (999.0, "999"), (1000.0, "1,000"), (1_234_567.0, "1,234,567"), (3225.04, "3,225.04")];
        for (value, text) in cases {
            assert_eq!(grouped(value), text);
        }
        assert_eq!((thousands(999).as_str(), thousands(1499).as_str(), thousands(1500).as_str()), ("999", "1k", "2k"));
    }

    #[test]
    fn sizes() {
        let cases = [(0.0, "0 B"), (0.5, "0.5 B"), (150.0, "150 B"), (1350.0, "1.35 kB"), (12_436_000.0, "12.4 MB")];
        for (value, text) in cases.into_iter().chain([(1e9, "1 GB"), (999.6, "1000 B")]) {
            assert_eq!(bytes(value), text);
        }
    }
}
