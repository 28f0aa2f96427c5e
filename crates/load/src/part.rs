//! The part of a plan that one of several generators sends.

use serde::{Deserialize, Serialize};

/// Which part of a plan a generator sends. All parts together are the plan: no connection and no request is lost or sent
/// twice, and each request is due when it would be due in a run of one generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct Part {
    number: u32,
    count: u32,
}

impl Part {
    /// The whole plan.
    pub const WHOLE: Self = Self { number: 0, count: 1 };

    /// Part `number`, counted from 0, of `count`; `None` if there is no such part.
    #[must_use]
    pub fn new(number: u32, count: u32) -> Option<Self> {
        (number < count).then_some(Self { number, count })
    }

    /// How many parts there are.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    /// How much of `total` belongs to this part: the first parts have one more, if there is a remainder.
    #[must_use]
    pub fn of(self, total: u32) -> u32 {
        total / self.count + u32::from(self.number < total % self.count)
    }

    /// The number of a worker among those of all parts, and how many those are, where each part has `workers`. Parts take
    /// turns, so that numbers in a row belong to different parts.
    pub(super) fn number(self, worker: usize, workers: usize) -> (u64, u64) {
        let count = u64::from(self.count);
        (u64::from(self.number) + count * worker as u64, count * workers as u64)
    }
}

impl TryFrom<(u32, u32)> for Part {
    type Error = &'static str;

    fn try_from((number, count): (u32, u32)) -> Result<Self, &'static str> {
        Self::new(number, count).ok_or("expected the number of a part and a larger number of parts")
    }
}

impl From<Part> for (u32, u32) {
    fn from(part: Part) -> Self {
        (part.number, part.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::share;

    fn parts(count: u32) -> Vec<Part> {
        (0..count).map(|number| Part::new(number, count).unwrap()).collect()
    }

    #[test]
    fn no_remainder_is_lost() {
        for (total, count) in [(30, 1), (30, 4), (7, 7), (1_000_003, 50)] {
            assert_eq!(parts(count).iter().map(|part| part.of(total)).sum::<u32>(), total);
        }
        assert_eq!(parts(4).iter().map(|part| part.of(30)).collect::<Vec<_>>(), [8, 8, 7, 7]);
        assert_eq!((Part::new(4, 4), Part::new(0, 0)), (None, None));
    }

    #[test]
    fn workers_of_all_parts_have_different_numbers_and_all_requests() {
        for (count, workers, requests) in [(1, 3, 10), (3, 2, 1001), (5, 1, 7)] {
            let numbers =
                parts(count).into_iter().flat_map(|part| (0..workers).map(move |at| part.number(at, workers)));
            let mut numbers: Vec<_> = numbers.collect();
            assert_eq!(numbers.iter().map(|(at, of)| share(requests, *at, *of)).sum::<u64>(), requests);
            numbers.sort_unstable();
            let of = u64::from(count) * workers as u64;
            assert_eq!(numbers, (0..of).map(|at| (at, of)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_no_part_is_not_read() {
        assert_eq!(serde_json::from_str::<Part>("[1,2]").unwrap(), Part::new(1, 2).unwrap());
        for bad in ["[2,2]", "[0,0]", "[1]"] {
            assert!(serde_json::from_str::<Part>(bad).is_err(), "{bad}");
        }
    }
}
