//! Student's t: how far a mean of few values may lie from the truth.

#![allow(clippy::many_single_char_names, reason = "the formulas' own letters")]

use super::ln_gamma;

/// The t that |T| exceeds with probability 5%, for `degrees` of freedom (at least 1, whole or not): half of a 95%
/// interval in standard errors. Found by halving, since P(|T| > t) falls all the way.
pub(in crate::measure) fn critical(degrees: f64) -> f64 {
    // At one degree of freedom, the widest, it is 12.7.
    let (mut low, mut high) = (1.0, 13.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if two_sided(middle, degrees) > 0.05 { low = middle } else { high = middle }
    }
    high
}

/// P(|T| > t) = I(v / (v + t²); v/2, 1/2) with v degrees of freedom (DLMF 8.17; Abramowitz and Stegun 26.7.1).
fn two_sided(t: f64, v: f64) -> f64 {
    incomplete_beta(v / (v + t * t), v / 2.0, 0.5)
}

/// The regularised incomplete beta function I(x; a, b), by its continued fraction (DLMF 8.17.22) on the side where that
/// settles fast.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    let scale = (a * x.ln() + b * (1.0 - x).ln() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        scale * fraction(x, a, b) / a
    } else {
        1.0 - scale * fraction(1.0 - x, b, a) / b
    }
}

/// 1/(1 + d₁/(1 + d₂/(1 + …))), by Lentz's method.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let mut c = 1.0;
    let mut d = 1.0 / (1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..10_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for numerator in [even, odd] {
            d = 1.0 / (1.0 + numerator * d);
            c = 1.0 + numerator / c;
            value *= c * d;
        }
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
    fn as_in_the_published_table() {
        // NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2: the column of 0.975.
        let table = [(1.0, 12.706), (2.0, 4.303), (3.0, 3.182), (4.0, 2.776), (9.0, 2.262), (10.0, 2.228)];
        for (degrees, wanted) in table.into_iter().chain([(30.0, 2.042), (100.0, 1.984), (1e6, 1.960)]) {
            assert!((critical(degrees) - wanted).abs() < 5e-4, "{degrees}: {}", critical(degrees));
        }
    }

    #[test]
    fn one_degree_is_cauchys() {
        for t in [0.1_f64, 1.0, 3.0, 12.0] {
            let exact = 1.0 - 2.0 / std::f64::consts::PI * t.atan();
            assert!((two_sided(t, 1.0) - exact).abs() < 1e-12);
        }
    }

    #[test]
    fn fractions_of_a_degree_lie_between() {
        assert!(critical(4.0) > critical(4.7) && critical(4.7) > critical(5.0));
    }
}
