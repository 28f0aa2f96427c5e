//! What to expect of a random choice, which is not even.

#![allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]

use serde::{Deserialize, Serialize};

use super::choice::Choice;
use super::occupancy;
use super::pairs::Pairs;
use super::squares::Squares;
use crate::distribution::{binomial_quantile, nine_digits};

/// Connections of the most likely pod up to which the distribution of the busiest pod is computed. Beyond, its distance from the even
/// share is scaled by the square root of the count, as in the normal approximation.
const MOST_PER_POD: u64 = 1000;
/// The probability below a 95% band, and the one above it.
const TAIL: f64 = 0.025;

/// The expected connections of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// The mean: the even share, n / k, if all pods are equally likely.
    pub ideal: f64,
    /// There are fewer than this in at most 2.5% of runs.
    pub low: u64,
    /// There are more than this in at most 2.5% of runs.
    pub high: u64,
}

impl Band {
    /// Quantiles of the binomial with n trials and this probability.
    pub(super) fn new(connections: u64, probability: f64) -> Self {
        let at = |level| binomial_quantile(connections, probability, level);
        Self { ideal: nine_digits(connections as f64 * probability), low: at(TAIL), high: at(1.0 - TAIL) }
    }
}

/// What to expect of n connections over k pods, where each goes to any pod with probability 1/k, or with the pod's own
/// probability, independently of the others: the multinomial distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chance {
    /// The busiest pod's connections against the even share, on average.
    pub busiest: f64,
    /// It is below this in at most 2.5% of runs.
    pub busiest_low: f64,
    /// It is above this in at most 2.5% of runs.
    pub busiest_high: f64,
    /// Jain's index of the connections, on average.
    pub jain_index: f64,
    /// The probability that at least one pod gets none.
    pub some_idle: f64,
    /// The number of pods that get none, on average: the sum of (1 − p)ⁿ over all pods, where p is 1/k or the pod's own.
    pub idle: f64,
    /// The connections of any one pod, if all pods are equally likely.
    pub pod: Option<Band>,
}

impl Chance {
    /// For `connections` over `pods`, all equally likely; `None` if either is 0.
    #[must_use]
    pub fn new(connections: u64, pods: u32) -> Option<Self> {
        Self::of(connections, &Choice::uniform(pods))
    }

    /// For `connections` that choose so; `None` if there are none, or no pods.
    pub(super) fn of(connections: u64, choice: &Choice) -> Option<Self> {
        if connections == 0 || choice.pods() == 0 {
            return None;
        }
        let n = connections as f64;
        let (busiest, busiest_low, busiest_high) = busiest(connections, choice);
        Some(Self {
            busiest: nine_digits(busiest),
            busiest_low: nine_digits(busiest_low),
            busiest_high: nine_digits(busiest_high),
            jain_index: nine_digits(jain_index(connections, choice)),
            some_idle: nine_digits(occupancy::some_idle(connections, choice)),
            idle: nine_digits(choice.sum(|probability| (n * (-probability).ln_1p()).exp())),
            pod: choice.is_uniform().then(|| Band::new(connections, choice.highest())),
        })
    }
}

/// The busiest pod against the even share: its mean and its 2.5% and 97.5% quantiles.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of connections")]
fn busiest(connections: u64, choice: &Choice) -> (f64, f64, f64) {
    let pods = f64::from(choice.pods());
    if choice.pods() == 1 {
        return (1.0, 1.0, 1.0);
    }
    let counted = connections.min((MOST_PER_POD as f64 / choice.highest()).round() as u64);
    let (least, cumulative) = occupancy::busiest(counted, choice);
    let even = counted as f64 / pods;
    let scale = (counted as f64 / connections as f64).sqrt();
    // With more connections, it comes nearer to the mean of the most likely pod.
    let center = choice.highest() * pods;
    let ratio = |count: f64| center + (count / even - center) * scale;
    let quantile = |level: f64| least + cumulative.partition_point(|probability| *probability < level) as u64;
    // The mean of a count is the sum of P(more than c) over all c.
    let mean = least as f64 + cumulative.iter().map(|probability| 1.0 - probability).sum::<f64>();
    (ratio(mean), ratio(quantile(TAIL) as f64), ratio(quantile(1.0 - TAIL) as f64))
}

/// The mean of n² / (k Σx²): over the exact distribution of Σx² if there is one, else over a gamma distribution with
/// the same mean and variance.
fn jain_index(connections: u64, choice: &Choice) -> f64 {
    let (n, k) = (connections as f64, f64::from(choice.pods()));
    let of_squares = |squares: f64| n * n / (k * squares);
    if !choice.is_uniform() {
        let equal = vec![1; choice.groups().len()];
        let exact = Squares::new(connections, choice, &equal).map(|squares| squares.mean(of_squares));
        return exact.unwrap_or_else(|| jain_index_by_moments(n, choice));
    }
    match Pairs::new(connections, choice.pods()) {
        Some(pairs) => pairs.mean(connections, of_squares),
        None => jain_index_of_gamma(n, k),
    }
}

/// The mean of n² / (k S) to the second order, from the mean and the variance of S = Σx², which are those of
/// Σ x (x − 1) + n: a multinomial's factorial moments are n (n − 1) … times the probabilities.
fn jain_index_by_moments(n: f64, choice: &Choice) -> f64 {
    let power = |exponent: i32| choice.sum(|probability| probability.powi(exponent));
    let falling = |factors: u32| (0..factors).map(|less| n - f64::from(less)).product::<f64>();
    let pairs = falling(2) * power(2);
    let variance = falling(4) * power(2).powi(2) + 4.0 * falling(3) * power(3) + 2.0 * pairs - pairs * pairs;
    let mean = pairs + n;
    n * n / (f64::from(choice.pods()) * mean) * (1.0 + variance.max(0.0) / (mean * mean))
}

/// Jain's index is 1 / (1 + C/n) with chi-square C, of mean k − 1 and variance 2 (k − 1)(n − 1)/n (Haldane, Biometrika
/// 29, 1937). For a gamma C of shape a and scale s the mean of 1 / (1 + C/n) is ∫ e^−u (1 + u s/n)^−a du from 0 up,
/// here by Simpson's rule, with u shortened so that most of the fall lies in the first unit.
fn jain_index_of_gamma(n: f64, k: f64) -> f64 {
    const STEPS: u32 = 4_000;
    const END: f64 = 40.0;
    if k <= 1.0 {
        return 1.0;
    }
    let scale = 2.0 * (n - 1.0) / n;
    let shape = (k - 1.0) / scale;
    let shortening = 1.0 + (k - 1.0) / n;
    let at = |step: u32| {
        let u = END * f64::from(step) / f64::from(STEPS) / shortening;
        (-u - shape * (u * scale / n).ln_1p()).exp()
    };
    let inner: f64 = (1..STEPS).map(|step| if step % 2 == 1 { 4.0 * at(step) } else { 2.0 * at(step) }).sum();
    (at(0) + inner + at(STEPS)) * END / f64::from(STEPS) / 3.0 / shortening
}

#[cfg(test)]
mod tests {
    use super::super::evenness::Evenness;
    use super::*;

    fn within(got: f64, wanted: f64, tolerance: f64) {
        assert!((got - wanted).abs() <= tolerance, "{got}, not {wanted} ± {tolerance}");
    }

    #[test]
    fn thirty_connections_match_the_docs() {
        // docs/spread.md: pods, busiest with its band, Jain's index, some pod idle, band of a pod. Found apart from
        // this code by going through all partitions of 30 in exact fractions.
        let table = [
            (2, 1.144_464_448, (1.0, 1.4), 0.969_496_337, 0.000_000_002, (10, 20)),
            (5, 1.494_246_674, (7.0 / 6.0, 2.0), 0.887_760_970, 0.006_187_489, (2, 11)),
            (10, 1.968_978_259, (4.0 / 3.0, 8.0 / 3.0), 0.777_446_309, 0.370_862_811, (0, 7)),
        ];
        for (pods, busiest, (low, high), jain, idle, band) in table {
            let chance = Chance::new(30, pods).unwrap();
            within(chance.busiest, busiest, 1e-8);
            within(chance.busiest_low, low, 1e-8);
            within(chance.busiest_high, high, 1e-8);
            within(chance.jain_index, jain, 1e-9);
            within(chance.some_idle, idle, 1e-9);
            let pod = chance.pod.unwrap();
            assert_eq!((pod.low, pod.high), band, "{pods} pods");
        }
    }

    /// Places each connection on a random pod; how many each pod has.
    fn place(random: &mut fastrand::Rng, connections: u32, pods: u32) -> Vec<u64> {
        let mut counts = vec![0; pods as usize];
        for _ in 0..connections {
            counts[random.usize(..pods as usize)] += 1;
        }
        counts
    }

    /// The mean of a sample and its standard error.
    fn mean(sample: &[f64]) -> (f64, f64) {
        let n = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / n;
        let variance = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, (variance / n).sqrt())
    }

    #[test]
    fn two_hundred_placements_agree_within_three_standard_errors() {
        for (connections, pods) in [(30, 2), (30, 5), (30, 10), (200, 40), (10, 100)] {
            let mut random = fastrand::Rng::with_seed(pods.into());
            let placed: Vec<Vec<u64>> = (0..200).map(|_| place(&mut random, connections, pods)).collect();
            let evenness = |counts: &Vec<u64>| Evenness::of(counts, pods).unwrap();
            let chance = Chance::new(connections.into(), pods).unwrap();
            let busiest: Vec<f64> = placed.iter().map(|counts| evenness(counts).busiest).collect();
            let jain: Vec<f64> = placed.iter().map(|counts| evenness(counts).jain_index).collect();
            for (sample, wanted) in [(&busiest, chance.busiest), (&jain, chance.jain_index)] {
                let (mean, error) = mean(sample);
                within(mean, wanted, 3.0 * error);
            }
            let part =
                |of: &dyn Fn(&Vec<u64>) -> bool| placed.iter().filter(|counts| of(counts)).count() as f64 / 200.0;
            let idle = chance.some_idle;
            within(part(&|counts| counts.contains(&0)), idle, 3.0 * (idle * (1.0 - idle) / 200.0).sqrt() + 1e-9);
            // 95% by promise, more where counts are few; 4.6 points are three standard errors.
            let pod = chance.pod.unwrap();
            let first = part(&|counts| (pod.low..=pod.high).contains(&counts[0]));
            assert!(first >= 0.95 - 0.046, "{pods} pods: {first} of the first pod's counts in its band");
            let most = part(&|counts| {
                (chance.busiest_low - 1e-9..=chance.busiest_high + 1e-9).contains(&evenness(counts).busiest)
            });
            assert!(most >= 0.95 - 0.046, "{pods} pods: {most} of the busiest pods in their band");
        }
    }

    #[test]
    fn one_connection_and_one_pod() {
        let one = Chance::new(1, 4).unwrap();
        within(one.busiest, 4.0, 1e-9);
        within(one.jain_index, 0.25, 1e-9);
        within(one.idle, 3.0, 1e-9);
        within(one.some_idle, 1.0, 0.0);
        for connections in [5, 500] {
            let alone = Chance::new(connections, 1).unwrap();
            within(alone.busiest, 1.0, 0.0);
            within(alone.jain_index, 1.0, 1e-9);
            let pod = alone.pod.unwrap();
            assert_eq!((alone.some_idle, pod.low, pod.high), (0.0, connections, connections));
        }
        assert_eq!((Chance::new(0, 3), Chance::new(3, 0)), (None, None));
    }

    #[test]
    fn the_approximations_join_what_is_exact() {
        for pods in [2, 10, 100, 480] {
            let choice = Choice::uniform(pods);
            let (exact, k) = (jain_index(72, &choice), f64::from(pods));
            within(jain_index_of_gamma(72.0, k), exact, 2e-4);
            let (below, above) = (1000 * u64::from(pods), 1001 * u64::from(pods));
            let (below, above) = (busiest(below, &choice), busiest(above, &choice));
            within(below.0, above.0, 1e-3);
            within(below.2, above.2, 1e-3);
        }
    }

    #[test]
    fn more_connections_are_more_even_as_the_docs_say() {
        within(Chance::new(300, 10).unwrap().busiest, 1.29, 0.005);
        within(Chance::new(3_000, 10).unwrap().busiest, 1.09, 0.005);
    }

    #[test]
    fn very_many_connections_are_nearly_even() {
        let many = Chance::new(50_000_000, 10).unwrap();
        // The largest of ten normals lies 1.539 deviations above their mean, and a deviation here is √(n/k).
        within(many.busiest, 1.0 + 1.539 / 5_000_000_f64.sqrt(), 2e-5);
        within(many.jain_index, 1.0 - 9.0 / 50_000_000.0, 1e-9);
        within(many.some_idle, 0.0, 0.0);
    }

    /// Two nodes with 1 and 9 pods, and connections that are divided evenly over the nodes.
    fn one_and_nine() -> Choice {
        Choice::of(&[[0.5].as_slice(), &[0.5 / 9.0; 9]].concat()).unwrap()
    }

    #[test]
    fn the_only_pod_of_a_node_is_expected_to_be_the_busiest() {
        let chance = Chance::of(30, &one_and_nine()).unwrap();
        // It has 15 of 30 on average, five times the even share; others are hardly ever busier.
        within(chance.busiest, 5.0, 0.001);
        // The quantiles of a binomial of 30 and one half.
        within(chance.busiest_low, 10.0 / 3.0, 1e-8);
        within(chance.busiest_high, 20.0 / 3.0, 1e-8);
        within(chance.idle, 0.5_f64.powi(30) + 9.0 * (1.0 - 0.5 / 9.0_f64).powi(30), 1e-8);
        assert_eq!(chance.pod, None);
        assert_eq!(Band::new(30, 0.5), Band { ideal: 15.0, low: 10, high: 20 });
    }

    #[test]
    fn placements_on_uneven_nodes_agree_within_four_standard_errors() {
        let choice = one_and_nine();
        let mut random = fastrand::Rng::with_seed(9);
        for connections in [30, 200] {
            let place = |random: &mut fastrand::Rng| {
                let mut counts = vec![0; 10];
                for _ in 0..connections {
                    counts[if random.bool() { 0 } else { random.usize(1..10) }] += 1;
                }
                Evenness::of(&counts, 10).unwrap()
            };
            let placed: Vec<Evenness> = (0..2_000).map(|_| place(&mut random)).collect();
            let chance = Chance::of(connections, &choice).unwrap();
            let busiest: Vec<f64> = placed.iter().map(|evenness| evenness.busiest).collect();
            let jain: Vec<f64> = placed.iter().map(|evenness| evenness.jain_index).collect();
            for (sample, wanted) in [(&busiest, chance.busiest), (&jain, chance.jain_index)] {
                let (mean, error) = mean(sample);
                within(mean, wanted, 4.0 * error);
            }
        }
    }

    #[test]
    fn the_approximations_of_uneven_nodes_join_what_is_exact() {
        let choice = one_and_nine();
        within(jain_index_by_moments(72.0, &choice), jain_index(72, &choice), 2e-3);
        let (below, above) = (busiest(2_000, &choice), busiest(2_010, &choice));
        within(below.0, above.0, 1e-3);
        within(below.2, above.2, 5e-3);
        within(Chance::of(50_000_000, &choice).unwrap().busiest, 5.0, 1e-3);
    }
}
