//! The binomial: how many of n connections one of k equal pods gets.

use super::ln_factorial;

/// Standard deviations beyond which what is left of a binomial does not show in its quantiles.
const FAR: f64 = 10.0;

/// The smallest count c with P(C ≤ c) ≥ `level`, where each of `trials` counts with probability 1/`sides`.
#[allow(clippy::cast_precision_loss, reason = "counts of connections")]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count between 0 and the trials")]
pub(in crate::measure) fn quantile(trials: u64, sides: u32, level: f64) -> u64 {
    if sides <= 1 {
        return trials;
    }
    let (n, k) = (trials as f64, f64::from(sides));
    let deviation = (n * (k - 1.0)).sqrt() / k;
    let mut count = (n / k - FAR * deviation).max(0.0).floor();
    let others = n - count;
    let mut probability =
        (ln_factorial(n) - ln_factorial(count) - ln_factorial(others) + others * (k - 1.0).ln() - n * k.ln()).exp();
    let mut sum = probability;
    while sum < level && count < n {
        probability *= (n - count) / ((count + 1.0) * (k - 1.0));
        count += 1.0;
        sum += probability;
    }
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_a_table_of_the_cumulative_binomial() {
        // n = 30, p = 0.1: P(0) = 0.0424, P(≤ 1) = 0.1837, P(≤ 5) = 0.9268, P(≤ 6) = 0.9742, P(≤ 7) = 0.9922.
        let at = |level| quantile(30, 10, level);
        assert_eq!((at(0.025), at(0.05), at(0.183), at(0.9267), at(0.974), at(0.975)), (0, 1, 1, 5, 6, 7));
        // n = 20, p = 0.5: P(≤ 5) = 0.0207, P(≤ 6) = 0.0577, P(≤ 13) = 0.9423, P(≤ 14) = 0.9793.
        assert_eq!((quantile(20, 2, 0.025), quantile(20, 2, 0.975)), (6, 14));
    }

    #[test]
    fn many_trials_come_near_the_normal() {
        let (low, high) = (quantile(1_000_000, 10, 0.025), quantile(1_000_000, 10, 0.975));
        assert!(low.abs_diff(99_412) <= 1 && high.abs_diff(100_588) <= 1, "{low} to {high}");
    }

    #[test]
    fn where_there_is_no_choice() {
        assert_eq!((quantile(30, 1, 0.025), quantile(0, 10, 0.975), quantile(7, 1, 0.975)), (30, 0, 7));
    }
}
