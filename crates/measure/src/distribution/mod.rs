//! The distributions that the statistics need, from `statrs`, each as the one function that is asked of it.

mod binomial;
mod chi_square;
mod rounding;
mod student;

pub(super) use binomial::binomial_quantile;
pub(super) use chi_square::chi_square_tails;
pub(super) use rounding::nine_digits;
pub(super) use student::student_critical;

/// ln n! of a whole number that is not below 0.
pub(super) fn ln_factorial(n: f64) -> f64 {
    statrs::function::gamma::ln_gamma(n + 1.0)
}

#[cfg(test)]
mod tests {
    use super::ln_factorial;

    #[test]
    fn factorials_match_their_products() {
        assert!(ln_factorial(0.0).abs() < 1e-14 && ln_factorial(1.0).abs() < 1e-14);
        assert!((ln_factorial(10.0) - 3_628_800_f64.ln()).abs() < 1e-13);
        for n in [100_u32, 1_000, 100_000] {
            let sum: f64 = (1..=n).map(|factor| f64::from(factor).ln()).sum();
            assert!((ln_factorial(f64::from(n)) / sum - 1.0).abs() < 1e-12, "{n}");
        }
    }
}
