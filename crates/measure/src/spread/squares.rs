//! The exact distribution of a weighted sum of the squares of the connections on each pod, where pods are not equally
//! likely. With weights in the ratios of 1/probability it is Pearson's chi-square, with equal weights Jain's index.

#![allow(clippy::cast_precision_loss, reason = "counts of a few connections")]

use super::choice::Choice;
use super::pairs::MOST_CONNECTIONS;
use crate::distribution::ln_factorial;

/// Up to so many additions the distribution is computed, which takes up to half a second.
const MOST_ADDITIONS: usize = 200_000_000;
/// A probability below this adds nothing.
const NEGLIGIBLE: f64 = 1e-40;

/// P(Σ w x² = s), from 0 up, for sums that are not very improbable.
pub(super) struct Squares(Vec<f64>);

impl Squares {
    /// For so many connections that choose independently, with a weight for each group of the choice; `None` if there is
    /// too much to compute.
    ///
    /// The counts of a multinomial are Poisson counts under the condition that they sum to n, so pods are added one by
    /// one to a table of connections and sums, and the row of n is normalised.
    pub(super) fn new(connections: u64, choice: &Choice, weights: &[usize]) -> Option<Self> {
        let n = usize::try_from(connections.min(MOST_CONNECTIONS + 1)).ok()?;
        let most = most(n, choice, weights);
        let additions = (n * n / 2).saturating_mul(most).saturating_mul(usize::try_from(choice.pods()).ok()?);
        if connections > MOST_CONNECTIONS || additions > MOST_ADDITIONS {
            return None;
        }
        let mut table = vec![vec![0.0; most + 1]; n + 1];
        table[0][0] = 1.0;
        for (group, weight) in choice.groups().iter().zip(weights) {
            let mean = n as f64 * group.probability;
            let of = |x: usize| (x as f64 * mean.ln() - mean - ln_factorial(x as f64)).exp();
            let probabilities: Vec<f64> = (0..=n).map(of).collect();
            (0..group.pods).for_each(|_| add_pod(&mut table, &probabilities, *weight));
        }
        let row = table.swap_remove(n);
        let sum: f64 = row.iter().sum();
        Some(Self(row.iter().map(|probability| probability / sum).collect()))
    }

    /// P(S ≤ s) and P(S ≥ s); a tail below about 1e-12 may be 0.
    pub(super) fn tails(&self, sum: u128) -> (f64, f64) {
        let at = usize::try_from(sum).unwrap_or(usize::MAX).min(self.0.len());
        let upper = self.0[at..].iter().sum();
        let lower = self.0[..self.0.len().min(at.saturating_add(1))].iter().sum();
        (f64::min(lower, 1.0), f64::min(upper, 1.0))
    }

    /// The mean of `of` the sum.
    pub(super) fn mean(&self, of: impl Fn(f64) -> f64) -> f64 {
        let of =
            |(sum, probability): (usize, &f64)| if *probability > 0.0 { probability * of(sum as f64) } else { 0.0 };
        self.0.iter().enumerate().map(of).sum()
    }
}

/// The largest sum in the table: all that are possible, or the one at which chi-square is as large as it is with a
/// negligible probability, e^−32 (Laurent and Massart, Annals of Statistics 28, 2000). Pods that are seldom chosen have
/// a longer tail than chi-square's, so the largest sum is twice that.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers above 0")]
fn most(n: usize, choice: &Choice, weights: &[usize]) -> usize {
    const EXPONENT: f64 = 32.0;
    let all = weights.iter().max().copied().unwrap_or(1) * n * n;
    let degrees = f64::from(choice.pods()) - 1.0;
    let chi_square = 2.0 * (degrees + 2.0 * (degrees * EXPONENT).sqrt() + 2.0 * EXPONENT);
    let n = n as f64;
    // Σ w x² ≤ max(w p) Σ x²/p, and Σ x²/p is n (chi-square + n).
    let largest = choice.groups().iter().zip(weights).map(|(group, weight)| group.probability * *weight as f64);
    let largest = largest.fold(0.0, f64::max);
    ((largest * n * (chi_square + n)) as usize).min(all)
}

/// In place, from the last row up, because each row uses rows above it that do not include the pod yet.
fn add_pod(table: &mut [Vec<f64>], probabilities: &[f64], weight: usize) {
    for placed in (0..table.len()).rev() {
        let (before, rest) = table.split_at_mut(placed);
        let Some(row) = rest.first_mut() else { continue };
        for probability in row.iter_mut() {
            *probability *= probabilities[0];
        }
        for here in 1..=placed {
            let square = weight * here * here;
            if square >= row.len() || probabilities[here] < NEGLIGIBLE {
                break;
            }
            for (into, from) in row[square..].iter_mut().zip(&before[placed - here]) {
                *into += from * probabilities[here];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pairs::Pairs;
    use super::*;

    fn near(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 1e-10, "{got}, not {wanted}");
    }

    #[test]
    fn two_on_two_pods_by_hand() {
        // Probabilities 3/4 and 1/4, weights 1 and 3: both on the first (9/16) is 4, one each (6/16) is 4, both on the
        // second (1/16) is 12.
        let choice = Choice::of(&[0.75, 0.25]).unwrap();
        let squares = Squares::new(2, &choice, &[1, 3]).unwrap();
        near(squares.tails(4).0, 15.0 / 16.0);
        near(squares.tails(12).1, 1.0 / 16.0);
        near(squares.mean(|sum| sum), 4.5);
    }

    #[test]
    fn a_uniform_choice_is_the_distribution_of_pairs() {
        let (pairs, squares) = (Pairs::new(30, 10).unwrap(), Squares::new(30, &Choice::uniform(10), &[1]).unwrap());
        for met in [20, 40, 45, 60, 100] {
            let (lower, upper) = pairs.tails(met);
            let (also_lower, also_upper) = squares.tails(2 * met + 30);
            near(lower, also_lower);
            near(upper, also_upper);
        }
    }

    #[test]
    fn what_is_too_much_is_not_computed() {
        let choice = Choice::of(&[0.5, 0.25, 0.25]).unwrap();
        assert!(Squares::new(73, &choice, &[1, 2]).is_none());
        let many: Vec<f64> = [0.5].into_iter().chain(vec![0.5 / 400.0; 400]).collect();
        assert!(Squares::new(72, &Choice::of(&many).unwrap(), &[1, 400]).is_none());
    }
}
