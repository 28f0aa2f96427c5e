//! To how many digits statistics are rounded.

/// The value to nine significant digits: more than any run is worth. The last bits of a logarithm, which differ from
/// machine to machine, do not show, and so short a number survives being written as JSON and read again. A zero is not
/// negative, as the sum of no numbers is.
pub(crate) fn nine_digits(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap_or(value) + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_are_kept() {
        let cases =
            [(1.0 / 3.0, 0.333_333_333), (1e-20 / 3.0, 3.333_333_33e-21), (123_456_789_876.0, 123_456_790_000.0)];
        for (value, kept) in
            cases.into_iter().chain([(0.0, 0.0), (-0.0, 0.0), (1.0, 1.0), (f64::INFINITY, f64::INFINITY)])
        {
            assert_eq!(nine_digits(value).to_bits(), f64::to_bits(kept), "{value}");
        }
        assert!(nine_digits(f64::NAN).is_nan());
    }
}
