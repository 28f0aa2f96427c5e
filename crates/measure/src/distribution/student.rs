//! Student's t distribution.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Degrees of freedom above which the quantile is taken for this many. The true one differs by less than 0.0003, and
/// `statrs` 0.19 loses digits there: at 10⁶ degrees it is 0.0001 off, and at 10⁹ its search does not end.
const MOST_DEGREES: f64 = 1e4;

/// The t that |T| exceeds with probability 5%, for `degrees` of freedom (at least 1, whole or not): half of a 95%
/// interval in standard errors.
pub(crate) fn student_critical(degrees: f64) -> f64 {
    // Without a degree of freedom the interval has no bounds.
    StudentsT::new(0.0, 1.0, degrees.min(MOST_DEGREES)).map_or(f64::INFINITY, |t| t.inverse_cdf(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_table() {
        // NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2: the column of 0.975.
        let table = [(1.0, 12.706), (2.0, 4.303), (3.0, 3.182), (4.0, 2.776), (9.0, 2.262), (10.0, 2.228)];
        for (degrees, critical) in table.into_iter().chain([(30.0, 2.042), (100.0, 1.984)]) {
            let found = student_critical(degrees);
            assert!((found - critical).abs() < 5e-4, "{degrees}: {found}");
        }
    }

    #[test]
    fn one_and_two_degrees_have_closed_forms() {
        // One degree is Cauchy's distribution; with two, t = √(2 (2p − 1)² / (1 − (2p − 1)²)).
        let cauchy = (std::f64::consts::PI * 0.475).tan();
        assert!((student_critical(1.0) - cauchy).abs() < 1e-10 * cauchy);
        assert!((student_critical(2.0) - (2.0 * 0.95_f64.powi(2) / (1.0 - 0.95_f64.powi(2))).sqrt()).abs() < 1e-10);
    }

    #[test]
    fn fractions_of_a_degree_lie_between() {
        assert!(student_critical(4.0) > student_critical(4.7) && student_critical(4.7) > student_critical(5.0));
    }

    #[test]
    fn any_number_of_degrees_ends() {
        for degrees in [1e6, 1e9, f64::MAX, f64::INFINITY] {
            assert!((student_critical(degrees) - 1.960).abs() < 5e-4, "{degrees}: {}", student_critical(degrees));
        }
        assert!(student_critical(0.0).is_infinite());
    }
}
