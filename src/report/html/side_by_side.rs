//! Small charts of every run on the same scales: throughput and latency over time, and the spread over pods.

use super::canvas::{Anchor, Canvas, SMALL, small};
use super::data_table::{folded, table};
use super::legend;
use super::markup::escape;
use super::scale::{Scale, ratios, seconds_of, steps};
use super::time_bins::{Bin, bins};
use crate::report::number::{grouped, milliseconds, thousands, to_f64};
use evenkeel_measure::Measurement;

/// The maximum number of points of a small chart: more cannot be distinguished.
const MOST_POINTS: u32 = 60;
/// The maximum number of pods of a small chart.
const MOST_PODS: usize = 120;
/// The columns of the table after the name.
const COLUMNS: [&str; 6] =
    ["Requests per second", "Slowest second", "99% within", "99% in the worst moment", "Busiest pod", "Least busy pod"];
/// The left and the right end of each chart.
const ACROSS: (f64, f64) = (52.0, SMALL - 6.0);
/// The top and the bottom of each chart.
const RATE: (f64, f64) = (26.0, 92.0);
const LATENCY: (f64, f64) = (140.0, 206.0);
const PODS: (f64, f64) = (254.0, 320.0);

/// The charts of all runs, and a table; empty for a single run.
pub(super) fn section(runs: &[Measurement], names: &[String]) -> String {
    if runs.len() < 2 {
        return String::new();
    }
    let of: Vec<SmallMultiple> = runs.iter().map(SmallMultiple::new).collect();
    let scales = Scales::new(&of);
    let figure = |(at, (multiple, name)): (usize, (&SmallMultiple, &String))| {
        let told: Vec<String> =
            COLUMNS.iter().zip(multiple.cells()).map(|(column, cell)| format!("{column} {cell}")).collect();
        let label = format!("{name}: {}. The table below has the data.", told.join(", "));
        let chart = small(&multiple.draw(&scales, &legend::class(at)), &label);
        format!("<figure><figcaption>{}{}</figcaption>{chart}</figure>", legend::swatch(at), escape(name))
    };
    let figures: String = of.iter().zip(names).enumerate().map(figure).collect();
    let header: Vec<&str> = std::iter::once("Run").chain(COLUMNS).collect();
    let row =
        |(multiple, name): (&SmallMultiple, &String)| std::iter::once(name.clone()).chain(multiple.cells()).collect();
    let table = table("Runs side by side", &header, of.iter().zip(names).map(row));
    format!(
        "<section><h2>Side by side</h2><p>Every chart has the same scales. The latency is the 99th percentile of each moment, \
         and its axis is logarithmic. In the lowest chart, each bar is a pod, the busiest first, and the dashed line is the \
         even share.</p><div class=\"multiples\">{figures}</div>{}</section>",
        folded("The same as a table", &table)
    )
}

/// What is drawn of a run.
struct SmallMultiple<'a> {
    run: &'a Measurement,
    bins: Vec<Bin>,
    /// The length of a bin in seconds.
    length: f64,
    /// The 99th percentile of each moment, in microseconds, with the middle of the moment in seconds.
    latency: Vec<(f64, Option<f64>)>,
    /// What each pod served against the even share, the busiest first.
    pods: Vec<f64>,
}

/// The scales that all runs share.
struct Scales {
    seconds: Vec<f64>,
    x: Scale,
    rates: Vec<f64>,
    latencies: (f64, f64),
    pods: Vec<f64>,
}

impl Scales {
    fn new(of: &[SmallMultiple]) -> Self {
        let end = of.iter().map(SmallMultiple::end).fold(1.0, f64::max);
        let rate = of.iter().flat_map(|of| &of.bins).filter_map(|bin| bin.rate).map(|rate| rate.0).fold(0.0, f64::max);
        let times = || of.iter().flat_map(|of| &of.latency).filter_map(|(_, us)| *us);
        let (low, high) = (times().fold(f64::MAX, f64::min), times().fold(0.0, f64::max));
        // At least a factor of four, so that noise does not look like a difference.
        let (low, high) = if low > high { (1_000.0, 4_000.0) } else { (low, high) };
        let middle = (low * high).sqrt();
        let pods = of.iter().flat_map(|of| &of.pods).copied().fold(1.0, f64::max);
        Self {
            seconds: seconds_of(end, 3.0),
            x: Scale::linear((0.0, end), ACROSS),
            rates: steps(rate, 2.0),
            latencies: (low.min(middle / 2.0) / 1.1, high.max(middle * 2.0) * 1.1),
            pods: steps(pods, 2.0),
        }
    }
}

impl<'a> SmallMultiple<'a> {
    fn new(run: &'a Measurement) -> Self {
        let (bins, length) = bins(run, MOST_POINTS);
        let spread = &run.spread;
        let expected = f64::from(spread.expected.max(1));
        let shares = spread.pods.iter().filter(|_| spread.knows_requests()).map(|pod| pod.share * expected);
        let mut pods: Vec<f64> = shares.filter(|share| share.is_finite()).collect();
        pods.resize(pods.len() + if pods.is_empty() { 0 } else { spread.idle.min(1_000) as usize }, 0.0);
        Self { run, bins, length: f64::from(length), latency: latency(run), pods }
    }

    fn end(&self) -> f64 {
        self.bins.last().map_or(1.0, |last| f64::from(last.from) + self.length)
    }

    /// The cells of the columns above.
    fn cells(&self) -> Vec<String> {
        let rate = &self.run.requests_per_second;
        let unknown = || "not known".to_owned();
        let worst = self.latency.iter().filter_map(|(_, us)| *us).fold(0.0, f64::max);
        let times = |ratio: Option<&f64>| ratio.map_or_else(unknown, |ratio| format!("{ratio:.2} × the even share"));
        vec![
            grouped(rate.average.round()),
            grouped(rate.min.round()),
            milliseconds(self.run.latency_us.p99),
            if worst > 0.0 { time(worst) } else { unknown() },
            times(self.pods.first()),
            times(self.pods.last()),
        ]
    }

    fn draw(&self, scales: &Scales, class: &str) -> Canvas {
        let mut canvas = Canvas::new(PODS.1 + 8.0);
        self.rates(&mut canvas, scales, class);
        self.latencies(&mut canvas, scales, class);
        self.pods(&mut canvas, scales, class);
        for event in self.run.events.iter().filter(|event| (0.0..=self.end()).contains(&event.second)) {
            for (top, bottom) in [RATE, LATENCY] {
                canvas.line("mark", (scales.x.at(event.second), top - 4.0), (scales.x.at(event.second), bottom));
            }
        }
        canvas
    }

    fn rates(&self, canvas: &mut Canvas, scales: &Scales, class: &str) {
        let y = Scale::linear((0.0, scales.rates.last().copied().unwrap_or(1.0)), (RATE.1, RATE.0));
        canvas.text("quiet", Anchor::Start, (0.0, RATE.0 - 12.0), "Requests per second");
        for rate in &scales.rates {
            grid(canvas, y.at(*rate), &in_short(*rate));
        }
        let middle = |bin: &Bin| scales.x.at(f64::from(bin.from) + self.length / 2.0);
        let points: Vec<(f64, f64)> =
            self.bins.iter().filter_map(|bin| Some((middle(bin), y.at(bin.rate?.0)))).collect();
        let floor: Vec<(f64, f64)> = points.iter().map(|point| (point.0, RATE.1)).collect();
        canvas.area(&format!("fill {class}"), &points, &floor);
        line(canvas, class, &points);
        ticks(canvas, scales, RATE.1);
    }

    fn latencies(&self, canvas: &mut Canvas, scales: &Scales, class: &str) {
        let (low, high) = scales.latencies;
        let y = Scale::logarithmic((low, high), (LATENCY.1, LATENCY.0));
        canvas.text("quiet", Anchor::Start, (0.0, LATENCY.0 - 12.0), "99% of responses within");
        let marks = ratios(low, high);
        let step = marks.len().div_ceil(3).max(1);
        for us in marks.into_iter().step_by(step) {
            grid(canvas, y.at(us), &if us < 1e6 { time(us) } else { format!("{} s", us / 1e6) });
        }
        for known in self.latency.split(|(_, us)| us.is_none()) {
            let point = |(at, us): &(f64, Option<f64>)| Some((scales.x.at(*at), y.at((*us)?)));
            line(canvas, class, &known.iter().filter_map(point).collect::<Vec<_>>());
        }
        if self.latency.is_empty() {
            canvas.text("quiet", Anchor::Start, (ACROSS.0 + 6.0, LATENCY.1 - 26.0), "not measured over time");
        }
        canvas.line("axis", (ACROSS.0, LATENCY.1), (ACROSS.1, LATENCY.1));
        ticks(canvas, scales, LATENCY.1);
    }

    fn pods(&self, canvas: &mut Canvas, scales: &Scales, class: &str) {
        let y = Scale::linear((0.0, scales.pods.last().copied().unwrap_or(1.0)), (PODS.1, PODS.0));
        canvas.text("quiet", Anchor::Start, (0.0, PODS.0 - 12.0), "Requests of each pod, × the even share");
        for ratio in &scales.pods {
            grid(canvas, y.at(*ratio), &format!("{ratio}"));
        }
        if self.pods.is_empty() {
            canvas.text("quiet", Anchor::Start, (ACROSS.0 + 6.0, PODS.1 - 26.0), "not known");
        }
        let drawn = self.pods.len().min(MOST_PODS);
        let width = (ACROSS.1 - ACROSS.0) / to_f64(drawn.max(1) as u64);
        let gap = (width * 0.15).min(2.0);
        let bar = |at: usize| {
            // Of more pods than can be distinguished, evenly chosen ones.
            let top = y.at(self.pods[at * self.pods.len() / drawn]);
            ((ACROSS.0 + width * to_f64(at as u64) + gap / 2.0, top), (width - gap, PODS.1 - top))
        };
        canvas.rects(&format!("bar {class}"), (0..drawn).map(bar));
        for class in ["halo thin", "even"] {
            canvas.line(class, (ACROSS.0, y.at(1.0)), (ACROSS.1, y.at(1.0)));
        }
        canvas.line("axis", (ACROSS.0, PODS.1), (ACROSS.1, PODS.1));
    }
}

/// The 99th percentile of each bin, and of the worst of several bins where there are too many.
fn latency(run: &Measurement) -> Vec<(f64, Option<f64>)> {
    let Some(over_time) = &run.over_time else { return Vec::new() };
    let group = over_time.latency_us.len().div_ceil(MOST_POINTS as usize).max(1);
    let length = over_time.bin_seconds * to_f64(group as u64);
    let point = |(at, bins): (usize, &[Option<evenkeel_measure::PodLatency>])| {
        let worst = bins.iter().flatten().map(|latency| latency.p99).max();
        (length * (to_f64(at as u64) + 0.5), worst.map(|us| to_f64(us.max(1))))
    };
    over_time.latency_us.chunks(group).enumerate().map(point).collect()
}

fn grid(canvas: &mut Canvas, y: f64, label: &str) {
    canvas.line("grid", (ACROSS.0, y), (ACROSS.1, y));
    canvas.text("tick", Anchor::End, (ACROSS.0 - 6.0, y + 4.0), label);
}

fn ticks(canvas: &mut Canvas, scales: &Scales, floor: f64) {
    for second in &scales.seconds {
        let anchor = if scales.x.at(*second) > ACROSS.1 - 8.0 { Anchor::End } else { Anchor::Middle };
        canvas.text("tick", anchor, (scales.x.at(*second), floor + 16.0), &format!("{second} s"));
    }
}

fn line(canvas: &mut Canvas, class: &str, points: &[(f64, f64)]) {
    match points {
        [] => {}
        [only] => canvas.dot(&format!("dot {class}"), *only, 2.5),
        points => canvas.path(&format!("run {class} solid"), points.iter().copied()),
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds of a day")]
fn time(us: f64) -> String {
    milliseconds(us.round() as u64)
}

/// "500", "12k".
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "requests of a second")]
fn in_short(rate: f64) -> String {
    if (rate % 1000.0).abs() < 1e-9 { thousands(rate as u64) } else { grouped(rate) }
}
