//! Turns: in every round each case runs once, and every round begins with another, so that none always follows the same.

use super::comparison::{Case, Sample};
use super::{Bench, Result};

/// Runs `turn` for each of `cases` in each round, and writes its sample into the case.
pub(crate) async fn measure(
    bench: &Bench,
    cases: &mut [Case],
    mut turn: impl AsyncFnMut(usize) -> Result<Sample>,
) -> Result<()> {
    let (rounds, count) = (bench.options.rounds, cases.len());
    for round in 1..=rounds {
        for at in (0..count).map(|at| (at + round as usize) % count) {
            let case = &mut cases[at];
            let step = bench.progress.step(format!("{}, {}: round {round} of {rounds}", case.group, case.name));
            let sample = turn(at).await?;
            step.done_with(format!("{:.0} req/s", sample.requests_per_second));
            case.samples.push(sample);
            if bench.shutdown.is_cancelled() {
                return Err("interrupted".into());
            }
        }
    }
    Ok(())
}
