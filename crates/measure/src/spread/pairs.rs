//! The exact distribution of pairs of connections on the same pod, which is Pearson's chi-square in whole numbers.
//!
//! With x connections on a pod, there are x (x − 1) / 2 pairs. The pairs D of all pods determine Σx² = 2D + n, and with
//! it chi-square and Jain's index, so the distribution of D gives theirs.

#![allow(clippy::cast_precision_loss, reason = "counts of a few connections")]

use crate::distribution::ln_factorial;

/// Up to this many connections the distribution is computed; beyond, the chi-square distribution is used. At this count
/// n² / k is above 10 up to 500 pods, which is enough for equal probabilities (Koehler and Larntz, JASA 75, 1980).
pub(super) const MOST_CONNECTIONS: u64 = 72;

/// P(D = d), from 0 pairs up.
pub(super) struct Pairs(Vec<f64>);

impl Pairs {
    /// For `connections` that choose among `pods` uniformly; `None` if there are too many.
    ///
    /// The counts of a multinomial are Poisson counts under the condition that they sum to n, so pods are added one by
    /// one to a table of connections and pairs, and the row of n is normalised.
    pub(super) fn new(connections: u64, pods: u32) -> Option<Self> {
        let n = usize::try_from(connections.min(MOST_CONNECTIONS + 1)).ok()?;
        if connections > MOST_CONNECTIONS || pods == 0 {
            return None;
        }
        let most = most_pairs(n, pods);
        let mean = n as f64 / f64::from(pods);
        let weights: Vec<f64> = (0..=n).map(|x| (x as f64 * mean.ln() - mean - ln_factorial(x as f64)).exp()).collect();
        let mut table = vec![vec![0.0; most + 1]; n + 1];
        table[0][0] = 1.0;
        for _ in 0..pods {
            add_pod(&mut table, &weights);
        }
        let row = table.swap_remove(n);
        let sum: f64 = row.iter().sum();
        Some(Self(row.iter().map(|probability| probability / sum).collect()))
    }

    /// P(D ≤ d) and P(D ≥ d); a tail below about 1e-12 may be 0.
    pub(super) fn tails(&self, pairs: u128) -> (f64, f64) {
        let at = usize::try_from(pairs).unwrap_or(usize::MAX).min(self.0.len());
        let upper = self.0[at..].iter().sum();
        let lower = self.0[..self.0.len().min(at.saturating_add(1))].iter().sum();
        (f64::min(lower, 1.0), f64::min(upper, 1.0))
    }

    /// The mean of `of` Σx².
    pub(super) fn mean(&self, connections: u64, of: impl Fn(f64) -> f64) -> f64 {
        let squares = |pairs: usize| (2 * pairs) as f64 + connections as f64;
        self.0.iter().enumerate().map(|(pairs, probability)| probability * of(squares(pairs))).sum()
    }
}

/// The largest number of pairs in the table: all that are possible, or so many that the probability of more is
/// negligible. A chi-square with v degrees of freedom exceeds v + 2 √(v t) + 2 t with probability below e^−t (Laurent
/// and Massart, Annals of Statistics 28, 2000); the pairs added to that are for few connections on many pods, where the
/// steps are coarse.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number above 0")]
fn most_pairs(n: usize, pods: u32) -> usize {
    const EXPONENT: f64 = 32.0;
    const MORE: f64 = 60.0;
    let all = n * n.saturating_sub(1) / 2;
    let (n, k) = (n as f64, f64::from(pods));
    let chi_square = k - 1.0 + 2.0 * ((k - 1.0) * EXPONENT).sqrt() + 2.0 * EXPONENT;
    let pairs = (n / k * (chi_square + n) - n) / 2.0;
    ((pairs + MORE) as usize).min(all)
}

/// In place, from the last row up, because each row uses rows above it that do not include the pod yet.
fn add_pod(table: &mut [Vec<f64>], weights: &[f64]) {
    for placed in (0..table.len()).rev() {
        let (before, rest) = table.split_at_mut(placed);
        let Some(row) = rest.first_mut() else { continue };
        for probability in row.iter_mut() {
            *probability *= weights[0];
        }
        for here in 1..=placed {
            let met = here * (here - 1) / 2;
            if met >= row.len() || weights[here] < 1e-40 {
                break;
            }
            for (into, from) in row[met..].iter_mut().zip(&before[placed - here]) {
                *into += from * weights[here];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 1e-12, "{got}, not {wanted}");
    }

    #[test]
    fn three_on_two_pods_by_hand() {
        // All together: 2 of 8 ways, three pairs; two and one: 6 of 8, one pair.
        let pairs = Pairs::new(3, 2).unwrap();
        near(pairs.0[1], 0.75);
        near(pairs.0[3], 0.25);
        near(pairs.tails(3).1, 0.25);
        near(pairs.tails(1).0, 0.75);
        near(pairs.tails(1).1, 1.0);
    }

    #[test]
    fn no_pair_is_the_birthday_problem() {
        // 23 people, 365 days: 0.4927 that no two share one.
        assert!((Pairs::new(23, 365).unwrap().0[0] - 0.492_703).abs() < 1e-6);
    }

    #[test]
    fn mean_and_variance_are_the_known_ones() {
        for (n, k) in [(30, 10), (30, 500), (72, 5), (72, 480), (10, 2), (2, 2)] {
            let pairs = Pairs::new(n, k).unwrap();
            let moment = |power| pairs.mean(n, |squares| ((squares - n as f64) / 2.0).powi(power));
            let (all, k) = ((n * (n - 1) / 2) as f64, f64::from(k));
            let variance = moment(2) - moment(1).powi(2);
            let known = all * (k - 1.0) / (k * k);
            assert!((moment(1) - all / k).abs() < 1e-6, "{n} {k}: {}", moment(1));
            assert!((variance / known - 1.0).abs() < 1e-6, "{n} {k}: {variance}, not {known}");
        }
    }

    #[test]
    fn the_edges() {
        assert!(Pairs::new(73, 10).is_none() && Pairs::new(5, 0).is_none());
        near(Pairs::new(5, 1).unwrap().tails(10).1, 1.0);
        near(Pairs::new(1, 4).unwrap().tails(0).0, 1.0);
        assert!(Pairs::new(72, 500).unwrap().tails(2556).1 < 1e-9);
    }
}
