//! A ratio of two rates with its confidence interval.
//!
//! Rates are compared by their logarithms: a ratio is then a difference, and noise that is proportional to the rate,
//! such as other work on the machine, is the same for both.

use serde::{Deserialize, Serialize};

use crate::distribution::{nine_digits, student_critical};

/// A significant ratio that is closer to 1 than this is a slight difference.
const SLIGHT: f64 = 0.05;

/// From here on the exact number does not matter: so wide an interval says nothing.
const VAST: f64 = 100.0;

/// A 95% confidence interval: in 95 of 100 tests it contains the true ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

/// A ratio of two rates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The estimate: the geometric mean of the ratios of the rounds.
    pub value: f64,
    /// The 95% interval, by itself: several of them are not simultaneous. `None` if there are too few rounds.
    pub interval: Option<Interval>,
}

/// What a ratio shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// There are too few rounds to know the noise.
    Unknown,
    /// The interval contains 1.
    Noise,
    /// The interval is below 1.
    Less,
    /// The interval is above 1.
    More,
}

impl Ratio {
    /// For rounds that took turns: the first of `ours` is paired with the first of `theirs`, and so on. It is the mean
    /// of the logarithms of their ratios, with Student's t for one degree of freedom less than rounds (the paired t
    /// test). Pairing removes what slows down both runs of a round. `None` if there is no pair, or a rate is 0, which
    /// has no logarithm.
    #[must_use]
    pub fn paired(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let logs = logs(&ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())?;
        let Sample { mean, error, degrees } = Sample::of(&logs);
        Some(Self::around(mean, error.zip(degrees)))
    }

    /// For rounds that did not take turns: the difference of the means of the logarithms, with Student's t for the
    /// degrees of freedom of Welch and Satterthwaite (Welch, Biometrika 34, 1947), which requires neither equal
    /// variances nor equal numbers of rounds. `None` if a side is empty or has a rate of 0.
    #[must_use]
    pub fn unpaired(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let (ours, theirs) = (Sample::of(&logs(ours)?), Sample::of(&logs(theirs)?));
        let spread = match (ours.error, ours.degrees, theirs.error, theirs.degrees) {
            (Some(a), Some(m), Some(b), Some(n)) => {
                let (a, b) = (a * a, b * b);
                let degrees = (a + b).powi(2) / (a * a / m + b * b / n);
                // Rounds that are all equal give 0 / 0. The interval then has no width, for any degrees of
                // freedom.
                Some(((a + b).sqrt(), if degrees.is_nan() { 1.0 } else { degrees }))
            }
            _ => None,
        };
        Some(Self::around(ours.mean - theirs.mean, spread))
    }

    /// From a mean of logarithms, and its standard error with the degrees of freedom.
    fn around(mean: f64, spread: Option<(f64, f64)>) -> Self {
        let at = |log: f64| nine_digits(log.exp());
        let interval = spread.map(|(error, degrees)| {
            let half = error * student_critical(degrees);
            Interval { low: at(mean - half), high: at(mean + half) }
        });
        Self { value: at(mean), interval }
    }

    /// Whether the difference is more than noise.
    #[must_use]
    pub fn difference(&self) -> Difference {
        match self.interval {
            None => Difference::Unknown,
            Some(Interval { high, .. }) if high < 1.0 => Difference::Less,
            Some(Interval { low, .. }) if low > 1.0 => Difference::More,
            Some(_) => Difference::Noise,
        }
    }

    /// The same in words: "no difference beyond noise", "clearly less".
    #[must_use]
    pub fn words(&self) -> &'static str {
        let slight = (self.value - 1.0).abs() < SLIGHT;
        match self.difference() {
            Difference::Unknown => "too few rounds to distinguish it from noise",
            Difference::Noise => "no difference beyond noise",
            Difference::Less if slight => "slightly less",
            Difference::Less => "clearly less",
            Difference::More if slight => "slightly more",
            Difference::More => "clearly more",
        }
    }

    /// " (95%: 0.99 to 1.09)", or nothing.
    pub(super) fn bounds(&self) -> String {
        let bound = |bound: f64| if bound < VAST { format!("{bound:.2}") } else { format!("over {VAST}") };
        self.interval
            .map(|Interval { low, high }| format!(" (95%: {} to {})", bound(low), bound(high)))
            .unwrap_or_default()
    }
}

/// `None` if there are no values, or if one of them is 0 or not a number.
fn logs(values: &[f64]) -> Option<Vec<f64>> {
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    (!logs.is_empty() && logs.iter().all(|log| log.is_finite())).then_some(logs)
}

/// The mean of a few values and its standard error.
struct Sample {
    mean: f64,
    /// The standard error of the mean, if there is more than one value.
    error: Option<f64>,
    degrees: Option<f64>,
}

impl Sample {
    #[allow(clippy::cast_precision_loss, reason = "a handful of rounds")]
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let degrees = (values.len() > 1).then_some(n - 1.0);
        Self { mean, error: degrees.map(|degrees| (squares / degrees / n).sqrt()), degrees }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 1e-6, "{got}, not {wanted}");
    }

    #[test]
    fn pairs_by_hand() {
        // Logarithms of the ratios: 0.1, 0.2, 0.3; mean 0.2, standard error 0.1/√3, t = 4.302 653 for 2 degrees.
        let theirs = [100.0, 50.0, 80.0];
        let ours: Vec<f64> = theirs.iter().zip([0.1_f64, 0.2, 0.3]).map(|(rate, log)| rate * log.exp()).collect();
        let ratio = Ratio::paired(&ours, &theirs).unwrap();
        let half = 4.302_652_73 * 0.1 / 3.0_f64.sqrt();
        near(ratio.value, 0.2_f64.exp());
        near(ratio.interval.unwrap().low, (0.2 - half).exp());
        near(ratio.interval.unwrap().high, (0.2 + half).exp());
    }

    #[test]
    fn pairing_takes_out_what_slows_a_whole_round() {
        let (ours, theirs) = ([55.0, 109.0, 222.0], [50.0, 100.0, 200.0]);
        assert_eq!(Ratio::paired(&ours, &theirs).unwrap().words(), "clearly more");
        assert_eq!(Ratio::unpaired(&ours, &theirs).unwrap().words(), "no difference beyond noise");
    }

    #[test]
    fn welch_by_hand() {
        // Logarithms 0, 0.2 against 0, 0, 0.3: variances of the means 0.01 and 0.01, degrees 4e-4 / (1e-4 + 5e-5) =
        // 8/3.
        let ours = [1.0, 0.2_f64.exp()];
        let theirs = [1.0, 1.0, 0.3_f64.exp()];
        let ratio = Ratio::unpaired(&ours, &theirs).unwrap();
        let half = student_critical(8.0 / 3.0) * 0.02_f64.sqrt();
        near(ratio.value, 1.0);
        near(ratio.interval.unwrap().high, half.exp());
    }

    #[test]
    fn one_round_tells_nothing_of_noise() {
        for ratio in [Ratio::paired(&[54.0], &[100.0]), Ratio::unpaired(&[54.0, 54.0], &[100.0])] {
            let ratio = ratio.unwrap();
            near(ratio.value, 0.54);
            assert_eq!((ratio.interval, ratio.difference()), (None, Difference::Unknown));
        }
    }

    #[test]
    fn rates_of_nothing_have_no_ratio() {
        for (ours, theirs) in [(vec![], vec![]), (vec![0.0], vec![1.0]), (vec![1.0], vec![0.0])] {
            assert_eq!(Ratio::paired(&ours, &theirs), None);
            assert_eq!(Ratio::unpaired(&ours, &theirs), None);
        }
    }

    #[test]
    fn bounds_without_bound_are_told_shortly() {
        let ratio = Ratio::paired(&[1.0, 4.0], &[4.0, 1.0]).unwrap();
        assert_eq!(
            (ratio.bounds().as_str(), ratio.words()),
            (" (95%: 0.00 to over 100)", "no difference beyond noise")
        );
    }

    #[test]
    fn rounds_that_do_not_vary_leave_no_doubt() {
        let (ours, theirs) = ([99.0, 99.0], [100.0, 100.0]);
        for ratio in [Ratio::paired(&ours, &theirs), Ratio::unpaired(&ours, &theirs)] {
            assert_eq!(ratio.unwrap().words(), "slightly less");
        }
        assert_eq!(Ratio::unpaired(&theirs, &theirs).unwrap().words(), "no difference beyond noise");
    }

    #[test]
    fn the_sign_decides() {
        let ratio = |low, high| Ratio { value: f64::midpoint(low, high), interval: Some(Interval { low, high }) };
        let cases = [
            (0.5, 0.6, "clearly less"),
            (0.97, 0.99, "slightly less"),
            (0.9, 1.0, "no difference beyond noise"),
            (1.0, 1.2, "no difference beyond noise"),
            (1.01, 1.03, "slightly more"),
            (1.2, 1.3, "clearly more"),
        ];
        for (low, high, words) in cases {
            assert_eq!(ratio(low, high).words(), words);
        }
    }
}
