//! Measures cases in turn: each case runs once in every round. Each round begins with another case, so that effects of the
//! order even out.

use super::comparison::{Case, Sample};
use super::{Bench, Result};

/// Runs `turn` for each of `cases` in each round and adds its sample to the case. Complete rounds are also kept in
/// [`Bench::measured`], so that an interruption does not lose them.
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
            let sample = turn(at).await;
            if bench.shutdown.is_cancelled() {
                keep(bench, cases, round as usize - 1);
                return Err("interrupted".into());
            }
            let sample = sample?;
            step.done_with(format!("{:.0} req/s", sample.requests_per_second));
            case.samples.push(sample);
        }
    }
    keep(bench, cases, rounds as usize);
    Ok(())
}

/// Keeps the first `rounds` rounds of `cases`.
fn keep(bench: &Bench, cases: &[Case], rounds: usize) {
    let whole = cases.iter().filter(|_| rounds > 0).map(|case| {
        let mut case = case.clone();
        case.samples.truncate(rounds);
        case
    });
    bench.measured.borrow_mut().extend(whole);
}
