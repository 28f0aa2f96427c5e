//! Conversion of values to pixels, and round values for the marks of an axis.

/// An axis: `low` is at pixel `start`, `high` at `end`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
    logarithmic: bool,
}

impl Scale {
    /// Equal steps for equal differences.
    pub(super) fn linear((low, high): (f64, f64), (start, end): (f64, f64)) -> Self {
        Self { low, high, start, end, logarithmic: false }
    }

    /// Equal steps for equal ratios; both values above 0.
    pub(super) fn logarithmic((low, high): (f64, f64), (start, end): (f64, f64)) -> Self {
        Self { low: low.ln(), high: high.ln(), start, end, logarithmic: true }
    }

    /// The position of a value. A value beyond the axis is at its end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.ln() } else { value };
        let part = (value - self.low) / (self.high - self.low);
        // NaN, for an axis without a length, becomes its start.
        let part = if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) };
        self.start + part * (self.end - self.start)
    }
}

/// Round values from 0 to at least `high`, about `wanted` of them.
pub(super) fn steps(high: f64, wanted: f64) -> Vec<f64> {
    if !(high.is_finite() && high > 0.0) {
        return vec![0.0, 1.0];
    }
    let rough = high / wanted;
    let ten = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|times| times * ten).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let mut values = vec![0.0];
    while values.last().is_some_and(|last| *last < high) && values.len() < 30 {
        values.push(step * f64::from(u32::try_from(values.len()).unwrap_or(0)));
    }
    values
}

/// Round values from 0 up to `end`, for a time axis: whole seconds, or at least tenths where it is short.
pub(super) fn seconds_of(end: f64, wanted: f64) -> Vec<f64> {
    let smallest = if end < 2.0 { 10.0 } else { 1.0 };
    let whole = |second: &f64| (second * smallest).fract().abs() < 1e-9 && *second <= end;
    steps(end, wanted).into_iter().filter(whole).collect()
}

/// Round values between `low` and `high`, each at least twice the one before.
pub(super) fn ratios(low: f64, high: f64) -> Vec<f64> {
    let decades = (high / low).log10();
    let within: &[f64] = if decades > 3.2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let mut ten = 10_f64.powf(low.log10().floor());
    let mut values = Vec::new();
    while ten <= high && values.len() < 60 {
        values.extend(within.iter().map(|times| times * ten).filter(|value| (low..=high).contains(value)));
        ten *= 10.0;
    }
    values
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;

    #[test]
    fn values_become_pixels() {
        let linear = Scale::linear((0.0, 10.0), (100.0, 0.0));
        assert_eq!([0.0, 5.0, 10.0, 20.0].map(|value| linear.at(value)), [100.0, 50.0, 0.0, 0.0]);
        let logarithmic = Scale::logarithmic((1.0, 100.0), (0.0, 10.0));
        assert!((logarithmic.at(10.0) - 5.0).abs() < 1e-9);
        assert_eq!(logarithmic.at(0.0), 0.0);
        assert_eq!(Scale::linear((3.0, 3.0), (7.0, 9.0)).at(3.0), 7.0);
    }

    #[test]
    fn round_steps() {
        assert_eq!(steps(92_000.0, 4.0), [0.0, 25_000.0, 50_000.0, 75_000.0, 100_000.0]);
        assert_eq!(steps(7.0, 4.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
        for nonsense in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(steps(nonsense, 4.0), [0.0, 1.0]);
        }
        assert!(steps(1e308, 4.0).len() < 10 && steps(1e-300, 4.0).len() < 10);
    }

    #[test]
    fn round_ratios() {
        assert_eq!(ratios(150.0, 2500.0), [200.0, 500.0, 1000.0, 2000.0]);
        assert_eq!(ratios(1.0, 100_000.0), [1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0]);
    }
}
