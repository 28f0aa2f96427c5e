//! Whether connections are distributed as a uniform choice would distribute them, corrected for the number of tests.

use serde::{Deserialize, Serialize};

use super::evenness::sums;
use super::pairs::Pairs;
use crate::distribution::{chi_square_tails, nine_digits};
use crate::some;

/// Pearson's chi-square test (Philosophical Magazine 50, 1900) of connections against a choice of pod that is uniform
/// and independent for each, as kube-proxy's is in its nftables and iptables modes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Uniformity {
    /// Σ (x − n/k)² / (n/k), over all k pods.
    pub chi_square: f64,
    /// k − 1.
    pub degrees_of_freedom: u32,
    /// The probability that a uniform choice is as uneven as this or more. It is of this run alone, without a
    /// correction.
    pub p: f64,
    /// The probability that a uniform choice is as even as this or more. It is of this run alone, without a correction.
    pub p_of_evenness: f64,
    /// Whether these probabilities are the multinomial's own (to 72 connections), not the chi-square distribution's.
    pub exact: bool,
    /// How many runs of the same invocation are tested like this, this one included; 0 where that is not known.
    #[serde(default)]
    pub tests: u32,
}

impl Uniformity {
    /// The probability that at least one of all tests of an invocation is a false alarm, at most.
    const FAMILY_WISE_ERROR: f64 = 0.01;

    /// The test of these counts, filled up with zeros to `pods` counts; `None` if there was no choice.
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
            tests: 0,
        })
    }

    /// The probability below which `p` or `p_of_evenness` is significant.
    ///
    /// Runs are independent, so of m tests at the level 1 − (1 − α)^(1/m) at least one is a false alarm with
    /// probability α (Šidák, JASA 62, 1967). Each test has two tails, of which one at most can be below half of that.
    #[must_use]
    pub fn significance_level(&self) -> f64 {
        let each = (-Self::FAMILY_WISE_ERROR).ln_1p() / f64::from(self.tests.max(1));
        -each.exp_m1() / 2.0
    }

    /// `p` as it is read: "0.41", "< 0.000001".
    #[must_use]
    pub fn p_text(&self) -> String {
        without_sign(self.p)
    }

    /// The significance level, and how many runs it is corrected for: "0.005 (1 run)".
    #[must_use]
    pub fn significance_text(&self) -> String {
        format!("{} ({})", without_sign(self.significance_level()), some(self.tests.max(1), "run"))
    }

    /// Significantly more uneven than a uniform choice.
    #[must_use]
    pub fn is_too_uneven(&self) -> bool {
        self.p < self.significance_level()
    }

    /// Significantly more even than a uniform choice.
    #[must_use]
    pub fn is_too_even(&self) -> bool {
        self.p_of_evenness < self.significance_level()
    }
}

fn without_sign(p: f64) -> String {
    probability(p).trim_start_matches("= ").to_owned()
}

/// A probability with what stands before it: "= 0.41", "= 0.0032", "< 0.000001", "> 0.99". Two digits, so that it can
/// be compared with a level that is corrected for many tests.
pub(super) fn probability(p: f64) -> String {
    match p {
        p if p < 1e-6 => "< 0.000001".to_owned(),
        p if p > 0.99 => "> 0.99".to_owned(),
        p if p >= 0.1 => format!("= {p:.2}"),
        p => {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 2 to 7")]
            let decimals = (1.0 - p.log10().floor()) as usize;
            format!("= {p:.decimals$}")
        }
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

    /// The probability that at least one of `runs` independent runs with a uniform choice of `pods` for each of
    /// `connections` is called too uneven or too even, where `tests` are corrected for; from the exact distribution.
    fn false_alarm(connections: u64, pods: u32, runs: i32, tests: u32) -> f64 {
        let pairs = Pairs::new(connections, pods).unwrap();
        let alarm = |squares: f64| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
            let met = (squares as u128 - u128::from(connections)) / 2;
            let (p_of_evenness, p) = pairs.tails(met);
            let test =
                Uniformity { chi_square: 0.0, degrees_of_freedom: pods - 1, p, p_of_evenness, exact: true, tests };
            if test.is_too_uneven() || test.is_too_even() { 1.0 } else { 0.0 }
        };
        1.0 - (1.0 - pairs.mean(connections, alarm)).powi(runs)
    }

    #[test]
    fn false_alarms_do_not_add_up_over_the_runs_of_an_invocation() {
        for pods in [2, 5, 10, 50] {
            for (runs, tests) in [(1, 1), (5, 5), (15, 15), (100, 100)] {
                let rate = false_alarm(30, pods, runs, tests);
                assert!(rate <= 0.01, "{pods} pods, {runs} runs: {rate}");
            }
        }
        let uncorrected = false_alarm(30, 10, 15, 1);
        assert!(uncorrected > 0.05, "without the correction there are more: {uncorrected}");
    }

    #[test]
    fn the_level_is_sidaks() {
        let level = |tests| Uniformity { tests, ..Uniformity::of(&[2, 1], 2).unwrap() }.significance_level();
        assert!((level(1) - 0.005).abs() < 1e-15 && (level(0) - level(1)).abs() < 1e-15);
        assert!((level(15) - (1.0 - 0.99_f64.powf(1.0 / 15.0)) / 2.0).abs() < 1e-15);
        assert!(level(u32::MAX) > 0.0);
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
    fn probabilities_have_two_digits() {
        let cases = [
            (0.412, "= 0.41"),
            (0.99, "= 0.99"),
            (0.9999, "> 0.99"),
            (0.0123, "= 0.012"),
            (0.0032, "= 0.0032"),
            (0.000_334_9, "= 0.00033"),
            (0.000_001_5, "= 0.0000015"),
            (0.0, "< 0.000001"),
        ];
        assert_eq!(cases.map(|(p, _)| probability(p)), cases.map(|(_, text)| text));
    }

    #[test]
    fn without_a_choice_there_is_no_test() {
        assert_eq!(Uniformity::of(&[30], 1), None);
        assert_eq!(Uniformity::of(&[], 10), None);
    }
}
