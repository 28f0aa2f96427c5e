//! Whether connections are distributed as a random choice would distribute them, corrected for the number of tests.

use serde::{Deserialize, Serialize};

use super::choice::Choice;
use super::evenness::sums;
use super::pairs::Pairs;
use super::squares::Squares;
use crate::distribution::{chi_square_tails, nine_digits};
use crate::some;

/// Pearson's chi-square test (Philosophical Magazine 50, 1900) of connections against a choice of pod that is uniform
/// and independent for each, as kube-proxy's is in its nftables and iptables modes. Where pods are not equally likely, it
/// is the test against a choice with the probability p of each, and n p takes the place of n/k.
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

    /// The test of the connections of all pods against a choice with the probability of each; `None` if there was no
    /// choice.
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub(super) fn of_choice(pods: &[(u64, f64)]) -> Option<Self> {
        let probabilities: Vec<f64> = pods.iter().map(|(_, probability)| *probability).collect();
        let counts: Vec<u64> = pods.iter().map(|(count, _)| *count).collect();
        let choice = Choice::of(&probabilities)?;
        if choice.is_uniform() {
            return Self::of(&counts, choice.pods());
        }
        let connections: u64 = counts.iter().sum();
        let n = connections as f64;
        if connections == 0 {
            return None;
        }
        let squares = pods.iter().map(|(count, probability)| (*count as f64).powi(2) / probability).sum::<f64>();
        let chi_square = (squares / n - n).max(0.0);
        let exact = exact_tails(connections, &choice, squares);
        let (p_of_evenness, p) = exact.unwrap_or_else(|| moment_tails(chi_square, n, &choice));
        Some(Self {
            chi_square: nine_digits(chi_square),
            degrees_of_freedom: choice.pods() - 1,
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

/// The probabilities that Σ x²/p is at most, and at least, this: Σ w x² with whole numbers w in the ratios of 1/p.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number above 0")]
fn exact_tails(connections: u64, choice: &Choice, squares: f64) -> Option<(f64, f64)> {
    let (weights, unit) = choice.inverse_ratios()?;
    let distribution = Squares::new(connections, choice, &weights)?;
    Some(distribution.tails((squares / unit).round() as u128))
}

/// The same from a gamma distribution with the mean and the variance of chi-square, which is larger than that of the
/// chi-square distribution where pods are seldom chosen (Haldane, Biometrika 29, 1937).
fn moment_tails(chi_square: f64, n: f64, choice: &Choice) -> (f64, f64) {
    let k = f64::from(choice.pods());
    let mean = k - 1.0;
    let variance = 2.0 * mean + (choice.sum(|probability| 1.0 / probability) - k * k - 2.0 * k + 2.0) / n;
    let scale = variance / mean;
    // Twice a gamma variable of scale 1 is a chi-square with twice its shape.
    chi_square_tails(2.0 * chi_square / scale, 2.0 * mean / scale)
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

    /// Two nodes with 1 and 9 pods, whose connections are divided evenly over the nodes.
    fn one_and_nine(alone: u64, others: [u64; 9]) -> Vec<(u64, f64)> {
        [(alone, 0.5)].into_iter().chain(others.map(|count| (count, 0.5 / 9.0))).collect()
    }

    #[test]
    fn pods_have_the_share_of_their_node() {
        let expected = Uniformity::of_choice(&one_and_nine(15, [2, 2, 2, 2, 2, 2, 1, 1, 1])).unwrap();
        // n p is 15 and 5/3: 6 (1/3)² / (5/3) + 3 (2/3)² / (5/3).
        assert!((expected.chi_square - 1.2).abs() < 1e-9 && expected.degrees_of_freedom == 9, "{expected:?}");
        assert!(expected.exact && !expected.is_too_uneven());
        // With equal probabilities this would be a clear sign of something wrong, and an even spread would be none.
        let counts = [15, 2, 2, 2, 2, 2, 2, 1, 1, 1];
        assert!(Uniformity::of(&counts, 10).unwrap().is_too_uneven());
        assert!(Uniformity::of_choice(&one_and_nine(6, [6; 9])).unwrap().is_too_uneven());
        assert_eq!(
            Uniformity::of_choice(&[(20, 0.5), (10, 0.5)]),
            Uniformity::of(&[20, 10], 2),
            "equal probabilities are the uniform choice"
        );
        assert_eq!(Uniformity::of_choice(&[(3, 0.5), (2, 0.5), (1, 0.0)]), None, "a pod that cannot be chosen");
    }

    #[test]
    fn two_unequal_pods_are_a_binomial() {
        // Of 3 connections with probabilities 3/4 and 1/4, none is on the first with 1/64, which is the most uneven.
        let test = Uniformity::of_choice(&[(0, 0.75), (3, 0.25)]).unwrap();
        assert!((test.p - 1.0 / 64.0).abs() < 1e-9 && (test.chi_square - 9.0).abs() < 1e-9, "{test:?}");
    }

    #[test]
    fn uneven_nodes_give_no_false_alarms() {
        let pods = one_and_nine(0, [0; 9]);
        let choice = Choice::of(&pods.iter().map(|(_, probability)| *probability).collect::<Vec<_>>()).unwrap();
        let (weights, _) = choice.inverse_ratios().unwrap();
        let squares = Squares::new(30, &choice, &weights).unwrap();
        let test = Uniformity::of_choice(&one_and_nine(15, [2, 2, 2, 2, 2, 2, 1, 1, 1])).unwrap();
        let alarm = |sum: f64| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
            let (p_of_evenness, p) = squares.tails(sum as u128);
            let test = Uniformity { p, p_of_evenness, ..test };
            f64::from(u8::from(test.is_too_uneven() || test.is_too_even()))
        };
        let rate = squares.mean(alarm);
        assert!(rate <= 0.01, "{rate}");
    }

    #[test]
    fn many_connections_on_uneven_nodes_give_few_false_alarms() {
        const RUNS: u32 = 2_000;
        let mut random = fastrand::Rng::with_seed(7);
        let mut alarms = 0;
        for _ in 0..RUNS {
            let (mut alone, mut others) = (0, [0; 9]);
            for _ in 0..300 {
                if random.bool() { alone += 1 } else { others[random.usize(0..9)] += 1 }
            }
            let test = Uniformity::of_choice(&one_and_nine(alone, others)).unwrap();
            assert!(!test.exact);
            alarms += u32::from(test.is_too_uneven() || test.is_too_even());
        }
        // 20 are promised at most on average; three standard errors above that.
        assert!(alarms <= 33, "{alarms} of {RUNS}");
    }
}
