//! How even a spread is, as one number in four units.

use serde::{Deserialize, Serialize};

use crate::distribution::nine_digits;

/// How evenly something is distributed over k pods. With x the counts and n their sum, the last three are one figure in
/// three units: effective pods = k × Jain's index, and Jain's index = 1 / (1 + variation²).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evenness {
    /// The busiest pod against the even share: max x / (n / k). From 1, even, to k, all on one pod.
    pub busiest: f64,
    /// The coefficient of variation: the standard deviation over all k pods, divided by the mean, √(k Σx² / n² − 1).
    /// From 0, even, to √(k − 1), all on one pod.
    pub coefficient_of_variation: f64,
    /// Jain's fairness index, n² / (k Σx²) (Jain, Chiu and Hawe, DEC-TR-301, 1984). From 1, even, to 1/k, all on one.
    pub jain_index: f64,
    /// Effective pods, n² / Σx²: how many evenly loaded pods would be spread as this is. The inverse Simpson index, or
    /// Hill number of order 2 (Hill, Ecology 54, 1973). From k, even, to 1, all on one.
    pub effective_pods: f64,
}

impl Evenness {
    /// For these counts, filled up with zeros to `pods` counts; `None` if all counts are 0.
    #[allow(clippy::cast_precision_loss, reason = "the sums are exact, and a ratio needs no more than 53 bits")]
    pub(super) fn of(counts: &[u64], pods: u32) -> Option<Self> {
        let (sum, squares) = sums(counts);
        let most = counts.iter().copied().max().filter(|most| *most > 0)?;
        let (n, k) = (sum as f64, u128::from(pods));
        let (even, actual) = (sum * sum, k * squares);
        Some(Self {
            busiest: nine_digits((u128::from(most) * k) as f64 / n),
            coefficient_of_variation: nine_digits((actual.saturating_sub(even) as f64).sqrt() / n),
            jain_index: nine_digits(even as f64 / actual as f64),
            effective_pods: nine_digits(even as f64 / squares as f64),
        })
    }
}

/// Σx and Σx².
pub(super) fn sums(counts: &[u64]) -> (u128, u128) {
    counts.iter().map(|count| u128::from(*count)).fold((0, 0), |(sum, squares), x| (sum + x, squares + x * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 1e-8, "{got}, not {wanted}");
    }

    #[test]
    fn an_even_spread_is_exactly_even() {
        // 49 thirds and their like: no rounding may show.
        for pods in 1..=100 {
            let even = Evenness::of(&vec![1_234_567_891; pods as usize], pods).unwrap();
            let pods = f64::from(pods);
            assert_eq!((even.busiest, even.coefficient_of_variation, even.jain_index), (1.0, 0.0, 1.0));
            near(even.effective_pods, pods);
        }
    }

    #[test]
    fn all_on_one_pod() {
        let one = Evenness::of(&[30], 10).unwrap();
        assert_eq!((one.busiest, one.jain_index, one.effective_pods), (10.0, 0.1, 1.0));
        near(one.coefficient_of_variation, 3.0);
    }

    #[test]
    fn in_between_as_worked_by_hand() {
        // Jain's own example: of 100 who share, 20 get 1 each and 80 nothing; the index is 0.2.
        near(Evenness::of(&[1; 20], 100).unwrap().jain_index, 0.2);
        // 1, 2, 3 and an idle pod: n = 6, Σx² = 14, k = 4.
        let some = Evenness::of(&[3, 2, 1], 4).unwrap();
        near(some.busiest, 2.0);
        near(some.jain_index, 36.0 / 56.0);
        near(some.effective_pods, 36.0 / 14.0);
        // The mean is 1.5 and the deviations 1.5, 0.5, −0.5, −1.5: variance 5/4.
        near(some.coefficient_of_variation, 1.25_f64.sqrt() / 1.5);
    }

    #[test]
    fn nothing_is_not_even() {
        assert_eq!(Evenness::of(&[], 3), None);
        assert_eq!(Evenness::of(&[0, 0], 3), None);
    }
}
