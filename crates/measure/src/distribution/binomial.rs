//! The binomial distribution: how many of n connections a pod gets that each of them chooses with the same probability.

use statrs::distribution::{Binomial, DiscreteCDF};

/// The smallest count c with P(C ≤ c) ≥ `level`, where each of `trials` counts with this `probability`.
///
/// The search is our own. That of `statrs` expects a cumulative probability that never falls, and panics where rounding
/// makes it fall by one bit.
pub(crate) fn binomial_quantile(trials: u64, probability: f64, level: f64) -> u64 {
    let Ok(binomial) = Binomial::new(probability, trials) else { return trials };
    let (mut low, mut high) = (0, trials);
    while low < high {
        let middle = low + (high - low) / 2;
        if binomial.cdf(middle) < level { low = middle + 1 } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_a_table_of_the_cumulative_binomial() {
        // n = 30, p = 0.1: P(0) = 0.0424, P(≤ 1) = 0.1837, P(≤ 5) = 0.9268, P(≤ 6) = 0.9742, P(≤ 7) = 0.9922.
        let at = |level| binomial_quantile(30, 0.1, level);
        assert_eq!((at(0.025), at(0.05), at(0.183), at(0.9267), at(0.974), at(0.975)), (0, 1, 1, 5, 6, 7));
        // n = 20, p = 0.5: P(≤ 5) = 0.0207, P(≤ 6) = 0.0577, P(≤ 13) = 0.9423, P(≤ 14) = 0.9793.
        assert_eq!((binomial_quantile(20, 0.5, 0.025), binomial_quantile(20, 0.5, 0.975)), (6, 14));
    }

    #[test]
    fn many_trials_come_near_the_normal() {
        // √(n (1/10) (9/10)) is 300 and 2,121.3; times 1.959 964.
        for (trials, off) in [(1_000_000, 588), (50_000_000, 4_158)] {
            let (low, high) = (binomial_quantile(trials, 0.1, 0.025), binomial_quantile(trials, 0.1, 0.975));
            assert!(low.abs_diff(trials / 10 - off) <= 1 && high.abs_diff(trials / 10 + off) <= 1, "{low} to {high}");
        }
    }

    #[test]
    fn without_a_choice_every_quantile_is_the_count() {
        let quantiles = [(30, 1.0, 0.025), (0, 0.1, 0.975), (7, 1.0, 0.975)];
        assert_eq!(
            quantiles.map(|(trials, probability, level)| binomial_quantile(trials, probability, level)),
            [30, 0, 7]
        );
    }
}
