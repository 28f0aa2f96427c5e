//! Client-side balancing: the power of two choices (M. Mitzenmacher, The Power of Two Choices in Randomized Load
//! Balancing, 1996), or round robin.

use fastrand::Rng;

/// How the client chooses the address of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientBalance {
    /// The one of two random addresses to which fewer requests of the same thread are in flight.
    #[default]
    PowerOfTwoChoices,
    /// All addresses in turn, whatever is in flight to them.
    RoundRobin,
}

/// The load on one address. Fewer requests in flight is less load; with the same number, fewer requests sent so far is.
/// Without the second rule, pods that get a processor earlier would serve more than their share on a busy machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AddressLoad {
    /// Requests in flight.
    pub(super) in_flight: u32,
    /// Requests sent.
    pub(super) sent: u64,
}

/// Two different random ones of `candidates`, the less loaded one first. `loads` has the load on each address. A single
/// candidate is returned twice; `None` when there are no candidates.
#[inline]
pub(super) fn choose(candidates: &[usize], loads: &[AddressLoad], random: &mut Rng) -> Option<(usize, usize)> {
    let count = candidates.len();
    if count < 2 {
        return candidates.first().map(|only| (*only, *only));
    }
    let first = random.usize(..count);
    // Drawn from one number less, and the first one is skipped.
    let second = random.usize(..count - 1);
    let second = second + usize::from(second >= first);
    Some(less_loaded_first(candidates[first], candidates[second], loads))
}

fn less_loaded_first(first: usize, second: usize, loads: &[AddressLoad]) -> (usize, usize) {
    if loads[second] < loads[first] { (second, first) } else { (first, second) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads<const N: usize>(each: [(u32, u64); N]) -> [AddressLoad; N] {
        each.map(|(in_flight, sent)| AddressLoad { in_flight, sent })
    }

    #[test]
    fn the_less_loaded_of_two_comes_first() {
        let three = loads([(5, 0), (3, 7), (9, 0)]);
        assert_eq!(less_loaded_first(0, 1, &three), (1, 0));
        assert_eq!(less_loaded_first(1, 2, &three), (1, 2));
        assert_eq!(less_loaded_first(2, 0, &three), (0, 2));
    }

    #[test]
    fn with_the_same_number_in_flight_the_one_that_was_sent_fewer_comes_first() {
        assert_eq!(less_loaded_first(0, 1, &loads([(4, 9), (4, 8)])), (1, 0));
        assert_eq!(less_loaded_first(1, 0, &loads([(4, 8), (4, 8)])), (1, 0), "the first one drawn of equals");
    }

    #[test]
    fn only_candidates_are_chosen() {
        let mut random = Rng::with_seed(0);
        let loads = loads([(0, 0), (0, 0), (9, 0), (8, 0)]);
        assert_eq!(choose(&[2, 3], &loads, &mut random), Some((3, 2)));
        assert_eq!(choose(&[0], &loads, &mut random), Some((0, 0)));
        assert_eq!(choose(&[], &loads, &mut random), None);
    }

    #[test]
    fn the_two_differ_and_all_are_drawn() {
        let mut random = Rng::with_seed(1);
        let mut drawn = [0_u32; 5];
        for _ in 0..5000 {
            let (first, second) = choose(&[0, 1, 2, 3, 4], &[AddressLoad::default(); 5], &mut random).unwrap();
            assert_ne!(first, second);
            drawn[first] += 1;
        }
        assert!(drawn.iter().all(|times| (800..1200).contains(times)), "{drawn:?}");
    }

    #[test]
    fn two_choices_keep_the_load_even() {
        let mut random = Rng::with_seed(7);
        let mut loads = [AddressLoad::default(); 10];
        let all: Vec<usize> = (0..10).collect();
        for _ in 0..1000 {
            loads[choose(&all, &loads, &mut random).unwrap().0].in_flight += 1;
        }
        // One random choice would leave some 30 between the most and the least loaded.
        let in_flight = loads.map(|load| load.in_flight);
        let (most, least) = (in_flight.iter().max().unwrap(), in_flight.iter().min().unwrap());
        assert!(most - least <= 8, "{in_flight:?}");
    }
}
