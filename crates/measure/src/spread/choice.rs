//! A random choice of a pod, in which pods need not be equally likely.

#![allow(clippy::cast_precision_loss, reason = "numbers of pods")]

/// Probabilities that differ by less than this part are equal.
const EQUAL: f64 = 1e-9;

/// Pods that are equally likely to be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ChoiceGroup {
    /// How many.
    pub(super) pods: u32,
    /// The probability that one given of them is chosen.
    pub(super) probability: f64,
}

/// A choice between groups of pods, the most likely pods first; their probabilities add up to 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice(Vec<ChoiceGroup>);

impl Choice {
    /// All of `pods` are equally likely.
    pub(super) fn uniform(pods: u32) -> Self {
        Self(vec![ChoiceGroup { pods, probability: 1.0 / f64::from(pods.max(1)) }])
    }

    /// Each pod has its own probability; `None` if they are not those of a choice between pods that all can be chosen.
    pub(super) fn of(probabilities: &[f64]) -> Option<Self> {
        let possible = probabilities.iter().all(|probability| *probability > 0.0);
        if !possible || (probabilities.iter().sum::<f64>() - 1.0).abs() > 1e-6 {
            return None;
        }
        let mut sorted = probabilities.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let mut groups: Vec<ChoiceGroup> = Vec::new();
        for probability in sorted {
            match groups.last_mut() {
                Some(group) if group.probability - probability <= EQUAL * group.probability => group.pods += 1,
                _ => groups.push(ChoiceGroup { pods: 1, probability }),
            }
        }
        Some(Self(groups))
    }

    pub(super) fn groups(&self) -> &[ChoiceGroup] {
        &self.0
    }

    pub(super) fn is_uniform(&self) -> bool {
        self.0.len() < 2
    }

    pub(super) fn pods(&self) -> u32 {
        self.0.iter().map(|group| group.pods).sum()
    }

    /// The probability of the pod that is most likely.
    pub(super) fn highest(&self) -> f64 {
        self.0.first().map_or(1.0, |group| group.probability)
    }

    /// The sum over all pods.
    pub(super) fn sum(&self, of: impl Fn(f64) -> f64) -> f64 {
        self.0.iter().map(|group| f64::from(group.pods) * of(group.probability)).sum()
    }

    /// Whole numbers in the ratios of 1/probability, one for each group, and their unit: 1/probability of a pod is its
    /// number times the unit. `None` if there are none that are small.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers from 1")]
    pub(super) fn inverse_ratios(&self) -> Option<(Vec<usize>, f64)> {
        const MOST: f64 = 64.0;
        const WHOLE: f64 = 1e-6;
        let ratio = |group: &ChoiceGroup| self.highest() / group.probability;
        let off = |value: f64| (value - value.round()).abs();
        let is_whole = |times: &f64| self.0.iter().all(|group| off(times * ratio(group)) < WHOLE);
        let times = (1..=MOST as u32).map(f64::from).find(is_whole)?;
        let numbers = self.0.iter().map(|group| (times * ratio(group)).round() as usize).collect();
        Some((numbers, 1.0 / (times * self.highest())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_of_equal_probability_are_one_group() {
        let choice = Choice::of(&[0.1, 0.5, 0.1, 0.3]).unwrap();
        let groups: Vec<_> = choice.groups().iter().map(|group| group.pods).collect();
        assert_eq!((groups, choice.pods(), choice.is_uniform()), (vec![1, 1, 2], 4, false));
        let third = Choice::of(&[1.0 / 3.0, 1.0 - 2.0 / 3.0, 1.0 / 3.0]).unwrap();
        assert!(third.is_uniform() && third.pods() == 3);
        assert_eq!((Choice::of(&[1.0, 0.0]), Choice::of(&[0.3, 0.3])), (None, None));
    }

    #[test]
    fn probabilities_of_nodes_have_small_ratios() {
        // Two, three and four pods on three nodes.
        let pods = [6, 6, 9, 9, 9, 12, 12, 12, 12].map(|parts| 1.0 / f64::from(parts));
        let (numbers, unit) = Choice::of(&pods).unwrap().inverse_ratios().unwrap();
        assert_eq!(numbers, [2, 3, 4]);
        assert!((unit - 3.0).abs() < 1e-9);
        assert_eq!(Choice::of(&[0.5_f64.sqrt(), 1.0 - 0.5_f64.sqrt()]).unwrap().inverse_ratios(), None);
    }
}
