//! The gamma function and its incomplete forms, which chi-square tails are made of.

#![allow(clippy::many_single_char_names, reason = "the formulas' own letters")]

/// Beyond this, Stirling's series is exact to the last bit or two.
const STIRLING_FROM: f64 = 15.0;
/// Terms after which a series that has not settled never will.
const MOST_TERMS: u32 = 100_000;

/// ln Γ(x) for x > 0: Stirling's series (DLMF 5.11.1), reached from a small x by Γ(x + 1) = x Γ(x).
pub(in crate::measure) fn ln_gamma(x: f64) -> f64 {
    let mut shifted = x;
    let mut product = 1.0;
    while shifted < STIRLING_FROM {
        product *= shifted;
        shifted += 1.0;
    }
    let r = 1.0 / (shifted * shifted);
    let series = (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r * (1.0 / 1680.0 - r / 1188.0)))) / shifted;
    (shifted - 0.5) * shifted.ln() - shifted + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}

/// ln n!
pub(in crate::measure) fn ln_factorial(n: f64) -> f64 {
    ln_gamma(n + 1.0)
}

/// P(C ≤ `statistic`) and P(C ≥ `statistic`) for a chi-square C with `degrees` of freedom, each exact where it is
/// small: the regularised incomplete gamma functions of a = degrees / 2 and x = statistic / 2, by their series (DLMF
/// 8.11.4) below a + 1 and their continued fraction (DLMF 8.9.2) above.
pub(in crate::measure) fn chi_square_tails(statistic: f64, degrees: f64) -> (f64, f64) {
    let (a, x) = (degrees / 2.0, statistic / 2.0);
    if x <= 0.0 {
        return (0.0, 1.0);
    }
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let lower = (scale * lower_series(a, x)).min(1.0);
        (lower, 1.0 - lower)
    } else {
        let upper = (scale * upper_fraction(a, x)).min(1.0);
        (1.0 - upper, upper)
    }
}

/// Σ x^i / (a (a + 1) … (a + i)).
fn lower_series(a: f64, x: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    let mut at = a;
    for _ in 0..MOST_TERMS {
        at += 1.0;
        term *= x / at;
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum
}

/// 1/(x + 1 − a − 1(1 − a)/(x + 3 − a − 2(2 − a)/(x + 5 − a − …))), by Lentz's method.
fn upper_fraction(a: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - a;
    let mut d = 1.0 / b;
    let mut c = f64::MAX;
    let mut value = d;
    for i in 1..MOST_TERMS {
        let i = f64::from(i);
        let numerator = -i * (i - a);
        b += 2.0;
        d = 1.0 / (b + numerator * d);
        c = b + numerator / c;
        value *= c * d;
        if (c * d - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gamma_function_at_known_points() {
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-14);
        assert!(ln_gamma(1.0).abs() < 1e-14 && ln_gamma(2.0).abs() < 1e-14);
        assert!((ln_factorial(10.0) - 3_628_800_f64.ln()).abs() < 1e-13);
        // Found by summing the logarithms of 1 to 100.
        let hundred: f64 = (1..=100).map(|n| f64::from(n).ln()).sum();
        assert!((ln_factorial(100.0) - hundred).abs() < 1e-11);
    }

    #[test]
    fn chi_square_as_in_the_published_table() {
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
        for (degrees, critical, wanted) in table {
            let (lower, upper) = chi_square_tails(critical, degrees);
            assert!((upper - wanted).abs() < 1e-4 * 0.5, "{degrees} {critical}: {upper}");
            assert!((lower + upper - 1.0).abs() < 1e-12);
        }
        // The same table, lower critical values.
        for (degrees, critical, wanted) in [(9.0, 3.325, 0.05), (9.0, 2.088, 0.01), (50.0, 34.764, 0.05)] {
            assert!((chi_square_tails(critical, degrees).0 - wanted).abs() < 1e-4, "{degrees} {critical}");
        }
    }

    #[test]
    fn two_degrees_of_freedom_are_an_exponential() {
        for statistic in [0.001, 0.5, 1.9, 2.1, 10.0, 60.0, 700.0] {
            let (_, upper) = chi_square_tails(statistic, 2.0);
            let exact = (-statistic / 2.0_f64).exp();
            assert!((upper - exact).abs() <= 1e-12 * exact.max(1e-3), "{statistic}: {upper}, not {exact}");
        }
        assert_eq!(chi_square_tails(0.0, 9.0), (0.0, 1.0));
    }
}
