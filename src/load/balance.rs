//! Client-side balancing: the power of two choices (M. Mitzenmacher, The Power of Two Choices in Randomized Load
//! Balancing, 1996).

/// What an address has been given. The lesser has fewer requests under way or, with as many, was sent fewer so far: on a
/// full machine the pods that get a processor sooner would else serve more than their share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Given {
    /// Requests under way.
    pub(super) outstanding: u32,
    /// Requests sent.
    pub(super) sent: u64,
}

/// Two different ones of `candidates`, at random, the one that was given less first, where `given` has every address.
/// With one candidate it is both; none comes of none.
pub(super) fn choose(candidates: &[usize], given: &[Given], random: [u64; 2]) -> Option<(usize, usize)> {
    let count = candidates.len() as u64;
    if count < 2 {
        return candidates.first().map(|only| (*only, *only));
    }
    let first = random[0] % count;
    let second = random[1] % (count - 1);
    // One number less to draw from, and the first one jumped over.
    let (first, second) = (candidates[index(first)], candidates[index(second + u64::from(second >= first))]);
    Some(if given[second] < given[first] { (second, first) } else { (first, second) })
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// Random numbers that are good enough to pick with (S. Vigna's `SplitMix64`).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<const N: usize>(each: [(u32, u64); N]) -> [Given; N] {
        each.map(|(outstanding, sent)| Given { outstanding, sent })
    }

    #[test]
    fn the_less_loaded_of_two_comes_first() {
        let three = given([(5, 0), (3, 7), (9, 0)]);
        assert_eq!(choose(&[0, 1, 2], &three, [0, 0]), Some((1, 0)));
        assert_eq!(choose(&[0, 1, 2], &three, [1, 1]), Some((1, 2)));
        assert_eq!(choose(&[0, 1, 2], &three, [2, 0]), Some((0, 2)));
        assert_eq!(choose(&[0], &given([(7, 7)]), [3, 4]), Some((0, 0)));
        assert_eq!(choose(&[2, 3], &given([(0, 0), (0, 0), (9, 0), (8, 0)]), [0, 0]), Some((3, 2)), "a candidate");
        assert_eq!(choose(&[], &given([(1, 0), (1, 0)]), [0, 0]), None);
    }

    #[test]
    fn with_as_many_under_way_the_one_that_was_sent_fewer_comes_first() {
        assert_eq!(choose(&[0, 1], &given([(4, 9), (4, 8)]), [0, 0]), Some((1, 0)));
        assert_eq!(choose(&[0, 1], &given([(4, 8), (4, 8)]), [1, 0]), Some((1, 0)), "the first drawn of equals");
    }

    #[test]
    fn the_two_differ_and_all_are_drawn() {
        let mut random = Random::new(1);
        let mut drawn = [0_u32; 5];
        for _ in 0..5000 {
            let (first, second) =
                choose(&[0, 1, 2, 3, 4], &[Given::default(); 5], [random.next(), random.next()]).unwrap();
            assert_ne!(first, second);
            drawn[first] += 1;
        }
        assert!(drawn.iter().all(|times| (800..1200).contains(times)), "{drawn:?}");
    }

    #[test]
    fn two_choices_keep_the_load_even() {
        let mut random = Random::new(7);
        let mut given = [Given::default(); 10];
        let all: Vec<usize> = (0..10).collect();
        for _ in 0..1000 {
            given[choose(&all, &given, [random.next(), random.next()]).unwrap().0].outstanding += 1;
        }
        // One random choice would leave some 30 between the fullest and the emptiest.
        let outstanding = given.map(|address| address.outstanding);
        let (most, least) = (outstanding.iter().max().unwrap(), outstanding.iter().min().unwrap());
        assert!(most - least <= 8, "{outstanding:?}");
    }
}
