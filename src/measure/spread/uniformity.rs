//! Whether connections fell as a uniform choice lets them fall.

use serde::{Deserialize, Serialize};

use super::evenness::sums;
use super::pairs::Pairs;
use crate::measure::distribution::{chi_square_tails, nine_digits};

/// Pearson's chi-square test (Philosophical Magazine 50, 1900) of connections against a choice of pod that is uniform
/// and independent for each, as kube-proxy's is in its nftables and iptables modes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Uniformity {
    /// Σ (x − n/k)² / (n/k), over all k pods.
    pub chi_square: f64,
    /// k − 1.
    pub degrees_of_freedom: u32,
    /// How often a uniform choice falls as unevenly as this or more.
    pub p: f64,
    /// How often a uniform choice falls as evenly as this or more.
    pub p_of_evenness: f64,
    /// Whether these probabilities are the multinomial's own (to 72 connections), not the chi-square distribution's.
    pub exact: bool,
}

impl Uniformity {
    /// A probability below this is called no accident.
    pub const SIGNIFICANT: f64 = 0.01;

    /// The test of these counts and as many zeros as make them `pods`; `None` where there was no choice.
    #[allow(clippy::cast_precision_loss, reason = "the sums are exact")]
    pub(super) fn of(counts: &[u64], pods: u32) -> Option<Self> {
        let (sum, squares) = sums(counts);
        if pods < 2 || sum == 0 {
            return None;
        }
        let chi_square = (u128::from(pods) * squares).saturating_sub(sum * sum) as f64 / sum as f64;
        let degrees_of_freedom = pods - 1;
        let exact = u64::try_from(sum).ok().and_then(|connections| Pairs::new(connections, pods));
        let (p_of_evenness, p) = match &exact {
            Some(pairs) => pairs.tails((squares - sum) / 2),
            None => chi_square_tails(chi_square, f64::from(degrees_of_freedom)),
        };
        Some(Self {
            chi_square: nine_digits(chi_square),
            degrees_of_freedom,
            p: nine_digits(p),
            p_of_evenness: nine_digits(p_of_evenness),
            exact: exact.is_some(),
        })
    }

    /// More uneven than a uniform choice would be by accident.
    #[must_use]
    pub fn is_too_uneven(&self) -> bool {
        self.p < Self::SIGNIFICANT
    }

    /// More even than a uniform choice would be by accident.
    #[must_use]
    pub fn is_too_even(&self) -> bool {
        self.p_of_evenness < Self::SIGNIFICANT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistic_by_hand() {
        // 60 throws of a die: 5, 8, 9, 8, 10, 20; chi-square is 13.4, and 5 degrees of freedom give p = 0.020.
        let test = Uniformity::of(&[5, 8, 9, 8, 10, 20], 6).unwrap();
        assert!((test.chi_square - 13.4).abs() < 1e-9 && test.degrees_of_freedom == 5);
        let (_, asymptotic) = chi_square_tails(test.chi_square, 5.0);
        assert!((asymptotic - 0.0199).abs() < 1e-4, "{asymptotic}");
        assert!(test.exact && (test.p - asymptotic).abs() < 0.003, "{test:?}");
    }

    #[test]
    fn two_pods_are_a_binomial() {
        // 8 heads of 10: 2 (45 + 10 + 1) / 1024 are as uneven or more.
        let test = Uniformity::of(&[8, 2], 2).unwrap();
        assert!((test.p - 112.0 / 1024.0).abs() < 1e-9, "{test:?}");
        assert!((test.p_of_evenness - (1.0 - 22.0 / 1024.0)).abs() < 1e-9);
    }

    #[test]
    fn idle_pods_count() {
        let test = Uniformity::of(&[30], 10).unwrap();
        assert!((test.chi_square - 270.0).abs() < 1e-9 && test.is_too_uneven() && !test.is_too_even());
        assert_eq!(test, Uniformity::of(&[30, 0, 0], 10).unwrap());
    }

    #[test]
    fn perfectly_even_is_suspicious_only_where_chance_is_rarely_so() {
        let ten = Uniformity::of(&[3; 10], 10).unwrap();
        assert!(ten.is_too_even() && !ten.is_too_uneven() && (ten.p - 1.0).abs() < 1e-9, "{ten:?}");
        let two = Uniformity::of(&[1, 1], 2).unwrap();
        assert!(!two.is_too_even() && (two.p_of_evenness - 0.5).abs() < 1e-9);
    }

    #[test]
    fn many_connections_take_the_chi_square_distribution() {
        let test = Uniformity::of(&[1_050, 950], 2).unwrap();
        assert!(!test.exact && (test.chi_square - 5.0).abs() < 1e-9 && (test.p - 0.0253).abs() < 1e-4, "{test:?}");
    }

    #[test]
    fn without_a_choice_there_is_no_test() {
        assert_eq!(Uniformity::of(&[30], 1), None);
        assert_eq!(Uniformity::of(&[], 10), None);
    }
}
