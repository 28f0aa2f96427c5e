//! Dips: throughput that falls with an event and recovers.

/// How many tenths of a second before an event define the normal throughput: at most two seconds.
const BEFORE: usize = 20;
/// Throughput is averaged over half a second. If it were shorter, every pause of a busy machine would be a dip.
const WINDOW: usize = 5;
/// From this part of the normal throughput on, throughput is full.
const FULL: f64 = 0.9;

/// Responses in each tenth of a second around an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// In the two seconds before it, or since the run began; the last one is the tenth before the event.
    before: Vec<u32>,
    /// From the event's own tenth up to the next event, or to the run's end.
    after: Vec<u32>,
}

/// How far throughput fell, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dip {
    /// The lowest in any half second, as a part of the normal throughput: the median of the tenths before the event.
    pub lowest: f64,
    /// From the event to the end of the first half second after that with at least 90% of the normal throughput, in
    /// seconds; 0 if it never fell below, `None` if it did not recover.
    pub full_again_seconds: Option<f64>,
}

impl Around {
    /// Around an event in the tenth `began`, the next being in the tenth `end`, of the run's `tenths`.
    pub(super) fn of(tenths: &[u32], began: usize, end: usize) -> Self {
        let end = end.min(tenths.len());
        let before = tenths.get(began.saturating_sub(BEFORE)..began).unwrap_or_default().to_vec();
        Self { before, after: tenths.get(began..end).unwrap_or_default().to_vec() }
    }

    /// The sum of several events, over the time for which all of them were measured. Random variation averages out, the
    /// effect of the event does not.
    #[must_use]
    pub fn together<'a>(events: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let before = events.clone().map(|event| event.before.len()).min().unwrap_or(0);
        let after = events.clone().map(|event| event.after.len()).min().unwrap_or(0);
        let mut sum = Self { before: vec![0; before], after: vec![0; after] };
        for event in events {
            add(&mut sum.before, &event.before[event.before.len() - before..]);
            add(&mut sum.after, &event.after);
        }
        sum
    }

    /// The dip; `None` if too little was measured.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "tenths of a second of a run")]
    pub fn dip(&self) -> Option<Dip> {
        let usual = median(&self.before)? * WINDOW as f64;
        let windows = self.after.windows(WINDOW);
        let parts: Vec<f64> =
            windows.map(|window| window.iter().copied().map(f64::from).sum::<f64>() / usual).collect();
        let (at, lowest) = parts.iter().copied().enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        if lowest >= FULL {
            return Some(Dip { lowest, full_again_seconds: Some(0.0) });
        }
        let full = parts.iter().skip(at).position(|part| *part >= FULL);
        Some(Dip { lowest, full_again_seconds: full.map(|after| (at + after + WINDOW) as f64 / 10.0) })
    }
}

fn add(sum: &mut [u32], more: &[u32]) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(*more));
}

/// The median; `None` if it is 0 or there are no values.
fn median(tenths: &[u32]) -> Option<f64> {
    let mut sorted = tenths.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).filter(|middle| **middle > 0).map(|middle| f64::from(*middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dip(tenths: &[u32], began: usize, end: usize) -> Option<(f64, Option<f64>)> {
        Around::of(tenths, began, end).dip().map(|dip| (dip.lowest, dip.full_again_seconds))
    }

    #[test]
    fn a_dip_is_as_deep_and_as_long_as_it_was() {
        let mut tenths = vec![1_000; 60];
        assert_eq!(dip(&tenths, 20, 60), Some((1.0, Some(0.0))));
        // A second of nothing, 0.3 s after the event; back at once.
        tenths[23..33].fill(0);
        assert_eq!(dip(&tenths, 20, 60), Some((0.0, Some(1.8))));
        // It does not recover within the time that was measured.
        assert_eq!(dip(&tenths, 20, 34), Some((0.0, None)));
        // One slow tenth of a second is not a dip.
        let mut tenths = vec![1_000; 60];
        tenths[30] = 600;
        assert_eq!(dip(&tenths, 20, 60), Some((0.92, Some(0.0))));
    }

    #[test]
    fn what_was_not_measured_is_not_known() {
        assert_eq!(dip(&[1_000; 60], 0, 60), None, "nothing before it");
        assert_eq!(dip(&[0; 60], 20, 60), None, "nothing was usual");
        assert_eq!(dip(&[1_000; 22], 20, 60), None, "less than half a second after it");
        assert_eq!(dip(&[1_000; 22], 40, 60), None, "an event after the run");
        assert_eq!(Around::together([].iter()).dip(), None, "no event");
    }

    #[test]
    fn chance_evens_out_over_events_and_what_they_do_does_not() {
        // Ten events 6 s apart: each takes 60% for half a second, and once after each, chance takes everything.
        let mut tenths = vec![1_000; 620];
        let began = |event: usize| 20 + 60 * event;
        for event in 0..10 {
            tenths[began(event)..][..5].fill(400);
            tenths[began(event) + 12 + 2 * event..][..5].fill(0);
        }
        let events: Vec<_> = (0..10).map(|event| Around::of(&tenths, began(event), began(event + 1))).collect();
        assert_eq!(events[9].dip(), Some(Dip { lowest: 0.0, full_again_seconds: Some(4.0) }));
        assert_eq!(Around::together(events.iter()).dip(), Some(Dip { lowest: 0.4, full_again_seconds: Some(1.0) }));

        // An event of which less is known shortens the sum.
        let short = Around::of(&tenths[..began(0) + 20], began(0), 620);
        let sum = Around::together([&events[1], &short].into_iter());
        assert_eq!((sum.before.len(), sum.after.len()), (20, 20));
    }
}
