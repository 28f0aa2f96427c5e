//! The probability that every pod's count lies between two bounds, exactly. The distributions of the busiest pod
//! and of idle pods follow from it.
//!
//! Counts of a multinomial are independent Poisson counts X under the condition that they sum to n (Levin, Annals of
//! Statistics 9, 1981). So P(all within bounds) = E, the chance that k Poisson counts all lie within them and sum to n,
//! divided by P(Poisson(n) = n). E is the coefficient of zⁿ in f(z)ᵏ, where f is the generating function of a count
//! within the bounds; a discrete Fourier transform computes it from the values of f on the unit circle. Where pods are
//! not equally likely, each group of equally likely ones has its own f, and fᵏ is the product over all groups.

#![allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers above 0")]

use std::f64::consts::TAU;

use super::choice::{Choice, ChoiceGroup};
use crate::distribution::ln_factorial;

/// Standard deviations beyond which a Poisson count is left out; what is lost is below 1e-20.
const FAR: f64 = 10.0;
/// And this many more, for means near 0.
const FARTHER: f64 = 40.0;
/// From here on a probability is taken for 1.
const CERTAIN: f64 = 1.0 - 1e-9;
/// A magnitude whose logarithm is below this adds nothing.
const NEGLIGIBLE: f64 = -50.0;

/// One point of the circle.
struct Point {
    angle: f64,
    /// e^(i angle).
    step: (f64, f64),
    /// e^(i angle x) of the next count x.
    turned: (f64, f64),
    /// f of each group there, so far.
    values: Vec<(f64, f64)>,
}

/// Equally likely pods.
struct Group {
    pods: f64,
    /// The mean of the connections of each.
    mean: f64,
}

/// Poisson counts within bounds. The upper bound rises with each call of `admit`.
struct Occupancy {
    connections: f64,
    groups: Vec<Group>,
    /// Half of the circle; the other half is its mirror image.
    points: Vec<Point>,
    /// The next count to admit.
    next: f64,
}

impl Occupancy {
    /// For counts from `lowest` up, with none admitted yet.
    fn new(connections: u64, choice: &Choice, lowest: u64) -> Self {
        let n = connections as f64;
        // So many points that the sums which alias with n have a negligible probability.
        let half = f64::midpoint(FARTHER, FAR * n.sqrt()).ceil() as u32;
        let point = |at: u32| {
            let angle = TAU * f64::from(at) / f64::from(2 * half + 1);
            let turned = angle * lowest as f64;
            let values = vec![(0.0, 0.0); choice.groups().len()];
            Point { angle, step: (angle.cos(), angle.sin()), turned: (turned.cos(), turned.sin()), values }
        };
        let points = (0..=half).map(point).collect();
        let group = |group: &ChoiceGroup| Group { pods: f64::from(group.pods), mean: n * group.probability };
        Self { connections: n, groups: choice.groups().iter().map(group).collect(), points, next: lowest as f64 }
    }

    /// Admits the next count.
    fn admit(&mut self) {
        let of = |Group { mean, .. }: &Group| (self.next * mean.ln() - mean - ln_factorial(self.next)).exp();
        let probabilities: Vec<f64> = self.groups.iter().map(of).collect();
        for Point { step, turned, values, .. } in &mut self.points {
            for (value, probability) in values.iter_mut().zip(&probabilities) {
                *value = (value.0 + probability * turned.0, value.1 + probability * turned.1);
            }
            *turned = (turned.0 * step.0 - turned.1 * step.1, turned.0 * step.1 + turned.1 * step.0);
        }
        self.next += 1.0;
    }

    /// The probability that all counts are among those admitted.
    fn probability(&self) -> f64 {
        let term = |point: &Point| {
            let of = |((re, im), Group { pods, .. }): (&(f64, f64), &Group)| {
                (pods * (re * re + im * im).ln() / 2.0, pods * im.atan2(*re))
            };
            let factors = point.values.iter().zip(&self.groups).map(of);
            let (log, turn) = factors.fold((0.0, 0.0), |product, factor| (product.0 + factor.0, product.1 + factor.1));
            let mirrored = if point.angle > 0.0 { 2.0 } else { 1.0 };
            if log < NEGLIGIBLE {
                return 0.0;
            }
            mirrored * log.exp() * (turn - self.connections * point.angle).cos()
        };
        let n = self.connections;
        let circle = (2 * self.points.len() - 1) as f64;
        let sum_is_n = (n * n.ln() - n - ln_factorial(n)).exp();
        (self.points.iter().map(term).sum::<f64>() / circle / sum_is_n).clamp(0.0, 1.0)
    }
}

/// The distribution of the count of the busiest pod: its smallest value, and P(busiest ≤ c) from there until it is
/// certain.
pub(super) fn busiest(connections: u64, choice: &Choice) -> (u64, Vec<f64>) {
    let n = connections as f64;
    let far_below = |mean: f64| (mean - FAR * mean.sqrt()).max(0.0) as u64;
    // The busiest pod has at least the even share, and hardly ever much less than the share of the most likely pod.
    let least = connections.div_ceil(choice.pods().into()).max(far_below(n * choice.highest())).max(1);
    let lowest = choice.groups().iter().map(|group| far_below(n * group.probability)).min().unwrap_or(0);
    let mut counts = Occupancy::new(connections, choice, lowest);
    let mut cumulative = Vec::new();
    for count in lowest..=connections {
        counts.admit();
        if count < least {
            continue;
        }
        let probability = if count == connections { 1.0 } else { counts.probability() };
        cumulative.push(probability);
        if probability > CERTAIN {
            break;
        }
    }
    (least, cumulative)
}

/// The probability that at least one pod gets nothing, to nine decimals, which is the precision of the transform.
pub(super) fn some_idle(connections: u64, choice: &Choice) -> f64 {
    let n = connections as f64;
    if connections < choice.pods().into() {
        return 1.0;
    }
    // An upper bound, the sum of e^-mean over all pods, is negligible.
    if choice.sum(|probability| (-n * probability).exp()) < 1e-15 {
        return 0.0;
    }
    let mean = n * choice.highest();
    let highest = (mean + FAR * mean.sqrt() + FARTHER).min(n) as u64;
    let mut counts = Occupancy::new(connections, choice, 1);
    (1..=highest).for_each(|_| counts.admit());
    ((1.0 - counts.probability()) * 1e9).round() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 1e-9, "{got}, not {wanted}");
    }

    /// n! / kⁿ × the coefficient of xⁿ in (Σ xʲ / j!)ᵏ for j to `most`: the same by multiplying out.
    fn multiplied_out(connections: usize, pods: u32, most: usize) -> f64 {
        let term = |j: usize| (-ln_factorial(j as f64)).exp();
        let mut power = vec![0.0; connections + 1];
        power[0] = 1.0;
        for _ in 0..pods {
            let at = |n: usize| (0..=most.min(n)).map(|j| term(j) * power[n - j]).sum();
            power = (0..=connections).map(at).collect();
        }
        let n = connections as f64;
        power[connections] * (ln_factorial(n) - n * f64::from(pods).ln()).exp()
    }

    #[test]
    fn the_busiest_is_what_multiplying_out_gives() {
        for (n, k) in [(30, 10), (30, 5), (30, 2), (5, 40), (100, 7), (1, 3)] {
            let (least, cumulative) = busiest(n, &Choice::uniform(k));
            assert!(cumulative.last().unwrap() > &CERTAIN);
            for (at, probability) in cumulative.iter().enumerate() {
                let most = usize::try_from(least).unwrap() + at;
                near(*probability, multiplied_out(usize::try_from(n).unwrap(), k, most));
            }
        }
    }

    #[test]
    fn the_busiest_of_two_pods_is_a_binomial() {
        // P(busiest ≤ 5 of 10) = C(10, 5) / 2^10.
        let (least, cumulative) = busiest(10, &Choice::uniform(2));
        assert_eq!(least, 5);
        near(cumulative[0], 252.0 / 1024.0);
        near(cumulative[1], (252.0 + 2.0 * 210.0) / 1024.0);
    }

    /// Inclusion and exclusion: Σ (−1)^(j+1) C(k, j) (1 − j/k)ⁿ.
    fn included_and_excluded(connections: i32, pods: u32) -> f64 {
        let k = f64::from(pods);
        let mut choose = 1.0;
        let term = |j: u32| {
            choose *= -(k - f64::from(j - 1)) / f64::from(j);
            -choose * (1.0 - f64::from(j) / k).powi(connections)
        };
        (1..=pods).map(term).sum()
    }

    #[test]
    fn some_pod_idle_is_inclusion_and_exclusion() {
        for (n, k) in [(30, 10), (30, 5), (30, 2), (12, 12), (20, 15), (400, 20)] {
            near(some_idle(u64::try_from(n).unwrap(), &Choice::uniform(k)), included_and_excluded(n, k));
        }
        near(some_idle(9, &Choice::uniform(10)), 1.0);
        near(some_idle(100_000, &Choice::uniform(500)), 0.0);
        near(some_idle(5, &Choice::uniform(1)), 0.0);
    }

    #[test]
    fn a_large_one_is_a_distribution_still() {
        let (least, cumulative) = busiest(100_000, &Choice::uniform(500));
        assert_eq!(least, 200);
        assert!(cumulative.windows(2).all(|pair| pair[0] <= pair[1] + 1e-9));
        // Extreme values of 500 normals: the median lies 3.0 deviations up, and a Poisson's tail a little further.
        let median = least + cumulative.iter().position(|probability| *probability > 0.5).unwrap() as u64;
        assert!((240..=248).contains(&median), "{median}");
    }

    /// The probability of each way to place n connections on pods of these probabilities, with the counts.
    fn placements(n: u32, probabilities: &[f64]) -> Vec<(Vec<u32>, f64)> {
        let Some((first, rest)) = probabilities.split_first() else {
            return if n == 0 { vec![(Vec::new(), 1.0)] } else { Vec::new() };
        };
        let mut all = Vec::new();
        for here in 0..=n {
            let ways = (ln_factorial(n.into()) - ln_factorial(here.into()) - ln_factorial((n - here).into())).exp();
            let probability = ways * first.powi(here.cast_signed());
            for (counts, of_rest) in placements(n - here, rest) {
                all.push(([vec![here], counts].concat(), probability * of_rest));
            }
        }
        all
    }

    #[test]
    fn pods_that_are_not_equally_likely_are_what_every_placement_gives() {
        let probabilities = [0.5, 0.125, 0.125, 0.25];
        let all = placements(9, &probabilities);
        near(all.iter().map(|(_, probability)| probability).sum(), 1.0);
        let sum = |of: &dyn Fn(&[u32]) -> bool| {
            all.iter().filter(|(counts, _)| of(counts)).map(|(_, probability)| probability).sum::<f64>()
        };
        let choice = Choice::of(&probabilities).unwrap();
        near(some_idle(9, &choice), sum(&|counts| counts.contains(&0)));
        let (least, cumulative) = busiest(9, &choice);
        for (at, probability) in (least..).zip(cumulative) {
            near(probability, sum(&|counts| counts.iter().all(|count| u64::from(*count) <= at)));
        }
    }
}
