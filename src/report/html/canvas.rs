//! The shapes of the charts, as SVG.

use std::fmt::{self, Write};

use super::markup::escape;

/// The width that a chart is drawn for. Each chart is drawn for both, and the style sheet shows one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Viewport {
    /// A large screen.
    Wide,
    /// A phone.
    Narrow,
}

impl Viewport {
    /// The width of the chart, in its own pixels.
    pub(super) fn width(self) -> f64 {
        if self == Self::Wide { 880.0 } else { 340.0 }
    }

    /// One of two values.
    pub(super) fn pick<T>(self, wide: T, narrow: T) -> T {
        if self == Self::Wide { wide } else { narrow }
    }
}

/// A chart for both widths.
pub(super) fn in_both(draw: impl Fn(Viewport) -> Canvas, label: &str) -> String {
    [Viewport::Wide, Viewport::Narrow].map(|room| draw(room).finish(room, label)).concat()
}

/// The width of one of several small charts side by side.
pub(super) const SMALL: f64 = 280.0;

/// A small chart, for every width.
pub(super) fn small(canvas: &Canvas, label: &str) -> String {
    canvas.svg("small", SMALL, label, "")
}

/// The part of a text that is at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing that grows shape by shape.
#[derive(Debug)]
pub(super) struct Canvas {
    height: f64,
    body: String,
    /// The areas with a tooltip, which are above everything else.
    places: Vec<Place>,
}

/// An area with a tooltip.
#[derive(Debug)]
struct Place {
    corner: (f64, f64),
    size: (f64, f64),
    told: String,
}

/// The smallest area that a finger can point at. On a phone, smaller ones have no tooltip, which would double the page.
const FINGER: (f64, f64) = (8.0, 16.0);

impl Canvas {
    pub(super) fn new(height: f64) -> Self {
        Self { height, body: String::new(), places: Vec::new() }
    }

    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(Pixels);
        let _ = write!(self.body, r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#);
    }

    /// A line with an outline, so that it is visible on a bar.
    pub(super) fn line_over(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.line("halo", from, to);
        self.line(class, from, to);
    }

    pub(super) fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.body += &rect(class, (x, y), (width, height));
    }

    /// Several rectangles of the same kind as one shape.
    pub(super) fn rects(&mut self, class: &str, rects: impl IntoIterator<Item = ((f64, f64), (f64, f64))>) {
        let _ = write!(self.body, r#"<path class="{class}" d=""#);
        for ((x, y), (width, height)) in rects {
            let [x, y, width, height, back] = [x, y, width, height, -width].map(Pixels);
            let _ = write!(self.body, "M{x} {y}h{width}v{height}h{back}z");
        }
        self.body += r#""/>"#;
    }

    pub(super) fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (text, [x, y]) = (escape(text), [x, y].map(Pixels));
        let _ = write!(self.body, r#"<text class="{class}" text-anchor="{anchor}" x="{x}" y="{y}">{text}</text>"#);
    }

    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        let [x, y] = [x, y].map(Pixels);
        let _ = write!(self.body, r#"<circle class="{class}" cx="{x}" cy="{y}" r="{radius}"/>"#);
    }

    /// A line through points, in their order.
    pub(super) fn path(&mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        let _ = write!(self.body, r#"<path class="{class}" d="{}"/>"#, through(points));
    }

    /// The area between two lines of points in the same order.
    pub(super) fn area(&mut self, class: &str, above: &[(f64, f64)], below: &[(f64, f64)]) {
        let around = above.iter().chain(below.iter().rev()).copied();
        let _ = write!(self.body, r#"<path class="{class}" d="{}z"/>"#, through(around));
    }

    /// Cells of a grid in one colour: horizontal strips of the row, from one column to another. The grid begins at
    /// `corner`; a strip is `thick` high, as a part of a row. All in one shape, because a page may have 10,000 cells.
    pub(super) fn strips(
        &mut self,
        class: &str,
        corner: (f64, f64),
        cell: (f64, f64),
        thick: f64,
        strips: &[(usize, f64, f64)],
    ) {
        let ((x, y), (width, height)) = (corner, cell);
        let _ = write!(
            self.body,
            r#"<path class="{class}" stroke-width="{thick:.2}" transform="translate({x:.2} {:.2})scale({width:.3} {height:.3})" d=""#,
            y + height / 2.0
        );
        for (row, from, to) in strips {
            let _ = write!(self.body, "M{from} {row}H{to}");
        }
        self.body += r#""/>"#;
    }

    /// An area with a tooltip: the browser's own without a script, an immediate one with a script.
    pub(super) fn place(&mut self, corner: (f64, f64), size: (f64, f64), told: &str) {
        self.places.push(Place { corner, size, told: told.to_owned() });
    }

    fn finish(&self, room: Viewport, label: &str) -> String {
        let (width, height) = room.pick((0.0, 0.0), FINGER);
        let places = self.places.iter().filter(|place| place.size.0 >= width && place.size.1 >= height);
        let places: String = places.map(Place::markup).collect();
        self.svg(room.pick("wide", "narrow"), room.width(), label, &places)
    }

    fn svg(&self, class: &str, width: f64, label: &str, places: &str) -> String {
        let (label, body, height) = (escape(label), &self.body, self.height);
        format!(
            r#"<svg class="{class}" viewBox="0 0 {width} {height:.0}" role="img" aria-label="{label}">{body}{places}</svg>"#
        )
    }
}

impl Place {
    fn markup(&self) -> String {
        let rect = rect("hit", self.corner, self.size);
        format!("<g class=\"place\">{rect}<title>{}</title></g>", escape(&self.told))
    }
}

/// A position or a length: at most one decimal, because a page has tens of thousands of them.
struct Pixels(f64);

impl fmt::Display for Pixels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The sum turns a negative zero into zero.
        write!(formatter, "{}", (self.0 * 10.0).round() / 10.0 + 0.0)
    }
}

fn rect(class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) -> String {
    let [x, y, width, height] = [x, y, width, height].map(Pixels);
    format!(r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"/>"#)
}

fn through(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (x, y) in points {
        let _ = write!(path, "{}{} {}", if path.is_empty() { 'M' } else { 'L' }, Pixels(x), Pixels(y));
    }
    path
}
