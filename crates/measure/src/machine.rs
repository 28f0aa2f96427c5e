//! Whether the machine slowed a run, and not the service: a lab's components run on the same processors as its pods and the
//! load generator, and use them while pods start and stop.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A part of the run counts as slow below this share of the usual throughput.
const SLOW: f64 = 0.75;
/// The components are the cause if they use at least this share of all processors more than they usually do.
const MUCH: f64 = 0.2;
/// A run with fewer parts has no usual throughput.
const FEWEST_PARTS: usize = 6;
/// The length of each of the throughput's counts.
const TENTH: Duration = Duration::from_millis(100);

/// The processor time of the components of all nodes of a lab at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComponentsReading {
    /// The time since the run began.
    pub at: Duration,
    /// Processor time since they started.
    pub cpu: Duration,
}

/// A time in which the components of the cluster needed the processors, and throughput fell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineLimit {
    /// How long in all, in seconds.
    pub seconds: f64,
    /// The lowest throughput of about half a second, as a share of the run's median.
    pub lowest_share: f64,
    /// How many processors the components used in that time, in the mean.
    pub components_processors: f64,
    /// The number of processors of the machine.
    pub processors: u32,
}

/// What lies between two readings.
#[derive(Clone, Copy)]
struct Part {
    seconds: f64,
    /// Responses per second.
    throughput: f64,
    /// Processors that the components used.
    components: f64,
}

impl MachineLimit {
    /// Looks for slow parts of a run whose responses in each tenth of a second are `tenths`. `None` if there was none, or
    /// if the components did not use more than usual in any of them.
    #[must_use]
    pub fn find(readings: &[ComponentsReading], tenths: &[u32], processors: u32) -> Option<Self> {
        let parts: Vec<Part> = readings.windows(2).filter_map(|pair| part(pair, tenths)).collect();
        if parts.len() < FEWEST_PARTS {
            return None;
        }
        let usual = median(parts.iter().map(|part| part.throughput))?;
        let idle = median(parts.iter().map(|part| part.components))?;
        let much = MUCH * f64::from(processors);
        let slow = |part: &&Part| part.throughput < SLOW * usual && part.components >= idle + much;
        let slow: Vec<&Part> = parts.iter().filter(slow).collect();
        let lowest = slow.iter().map(|part| part.throughput / usual).min_by(f64::total_cmp)?;
        let seconds: f64 = slow.iter().map(|part| part.seconds).sum();
        let used: f64 = slow.iter().map(|part| part.seconds * part.components).sum();
        Some(Self { seconds, lowest_share: lowest, components_processors: used / seconds, processors })
    }
}

/// `None` if there is no whole tenth of a second between the readings, or no count of the throughput.
fn part(pair: &[ComponentsReading], tenths: &[u32]) -> Option<Part> {
    let [before, after] = pair else { return None };
    let index = |at: Duration| usize::try_from(at.as_millis() / TENTH.as_millis()).ok();
    let (from, to) = (index(before.at)?, index(after.at)?);
    let counts = tenths.get(from..to).filter(|counts| !counts.is_empty())?;
    let counted: f64 = counts.iter().copied().map(f64::from).sum();
    let seconds = after.at.checked_sub(before.at)?.as_secs_f64();
    let counted_seconds = TENTH.as_secs_f64() * f64::from(u32::try_from(counts.len()).ok()?);
    let components = after.cpu.saturating_sub(before.cpu).as_secs_f64() / seconds;
    Some(Part { seconds, throughput: counted / counted_seconds, components })
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings each half second, in which the components use these numbers of processors.
    fn readings(used: &[f64]) -> Vec<ComponentsReading> {
        let mut cpu = Duration::from_secs(7);
        let mut all = vec![ComponentsReading { at: Duration::ZERO, cpu }];
        for (used, at) in used.iter().zip(1u32..) {
            cpu += Duration::from_secs_f64(used * 0.5);
            all.push(ComponentsReading { at: Duration::from_millis(500) * at, cpu });
        }
        all
    }

    /// Counts of tenths for each half second of these throughputs.
    fn tenths(throughputs: &[u32]) -> Vec<u32> {
        throughputs.iter().flat_map(|throughput| [throughput / 10; 5]).collect()
    }

    #[test]
    fn a_slow_time_with_busy_components_is_the_machines() {
        let used = [0.1, 0.1, 1.5, 1.9, 0.1, 0.1, 0.1, 0.1];
        let throughput = [1000, 1000, 500, 100, 1000, 1000, 1000, 1000];
        let limit = MachineLimit::find(&readings(&used), &tenths(&throughput), 2).unwrap();
        assert!((limit.seconds - 1.0).abs() < 1e-9 && (limit.components_processors - 1.7).abs() < 1e-9, "{limit:?}");
        assert!((limit.lowest_share - 0.1).abs() < 1e-9);
        assert_eq!(MachineLimit::find(&readings(&used), &tenths(&throughput), 16), None, "there were idle processors");
    }

    #[test]
    fn a_slow_service_or_busy_components_alone_are_no_limit() {
        let (idle, busy) = ([0.1; 8], [0.1, 0.1, 1.5, 1.9, 0.1, 0.1, 0.1, 0.1]);
        let (slow, fast) = ([1000, 1000, 500, 100, 1000, 1000, 1000, 1000], [1000; 8]);
        assert_eq!(MachineLimit::find(&readings(&idle), &tenths(&slow), 2), None);
        assert_eq!(MachineLimit::find(&readings(&busy), &tenths(&fast), 2), None);
        assert_eq!(MachineLimit::find(&readings(&[1.5; 8]), &tenths(&slow), 2), None, "they always use this much");
    }

    #[test]
    fn a_short_run_and_missing_counts_have_no_limit() {
        let used = [0.1, 0.1, 1.5, 0.1];
        assert_eq!(MachineLimit::find(&readings(&used), &tenths(&[1000, 1000, 100, 1000]), 2), None);
        assert_eq!(MachineLimit::find(&readings(&[0.1; 9]), &[], 2), None);
        assert_eq!(MachineLimit::find(&[], &tenths(&[1000; 9]), 2), None);
    }
}
