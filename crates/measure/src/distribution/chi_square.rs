//! The chi-square distribution.

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// P(C ≤ `statistic`) and P(C ≥ `statistic`) for a chi-square C with `degrees` of freedom (at least 1). Each has its
/// full relative precision where it is small: neither is computed as one minus the other.
pub(crate) fn chi_square_tails(statistic: f64, degrees: f64) -> (f64, f64) {
    // Degrees are a number of pods less one, so the distribution exists.
    ChiSquared::new(degrees).map_or((1.0, 1.0), |chi_square| (chi_square.cdf(statistic), chi_square.sf(statistic)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_table() {
        // NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.4: upper critical values.
        let table = [
            (1.0, 3.841, 0.05),
            (1.0, 6.635, 0.01),
            (4.0, 9.488, 0.05),
            (9.0, 14.684, 0.10),
            (9.0, 16.919, 0.05),
            (9.0, 21.666, 0.01),
            (30.0, 43.773, 0.05),
            (100.0, 124.342, 0.05),
            (100.0, 149.449, 0.001),
        ];
        for (degrees, critical, probability) in table {
            let (lower, upper) = chi_square_tails(critical, degrees);
            assert!((upper - probability).abs() < 1e-4 * 0.5, "{degrees} {critical}: {upper}");
            assert!((lower + upper - 1.0).abs() < 1e-12);
        }
        // The same table, lower critical values.
        for (degrees, critical, probability) in [(9.0, 3.325, 0.05), (9.0, 2.088, 0.01), (50.0, 34.764, 0.05)] {
            assert!((chi_square_tails(critical, degrees).0 - probability).abs() < 1e-4, "{degrees} {critical}");
        }
    }

    #[test]
    fn two_degrees_of_freedom_are_an_exponential() {
        for statistic in [0.001, 0.5, 1.9, 2.1, 10.0, 60.0, 700.0, 1400.0] {
            let (_, upper) = chi_square_tails(statistic, 2.0);
            let exact = (-statistic / 2.0_f64).exp();
            assert!((upper - exact).abs() <= 1e-12 * exact, "{statistic}: expected {exact}, found {upper}");
        }
        assert_eq!(chi_square_tails(0.0, 9.0), (0.0, 1.0));
    }

    #[test]
    fn a_small_lower_tail_keeps_its_digits() {
        // The series of the lower incomplete gamma function (DLMF 8.11.4), added up in fractions of 50 digits.
        let (lower, _) = chi_square_tails(29.7, 99.0);
        assert!((lower / 1.170_861_980_308_471_6e-12 - 1.0).abs() < 1e-11, "{lower:e}");
    }
}
