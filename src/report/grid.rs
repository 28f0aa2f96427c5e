//! Tables with lines, as autocannon's look.

use console::{Style as Paint, measure_text_width};

/// How text is drawn: plain unless the reader is a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Whether colours are wanted.
    pub colour: bool,
    /// How wide the terminal is, where there is one.
    pub width: Option<usize>,
}

impl Look {
    fn paint(self, text: &str, paint: Paint) -> String {
        if self.colour { paint.force_styling(true).apply_to(text).to_string() } else { text.to_owned() }
    }

    /// As a heading.
    pub(super) fn bold(self, text: &str) -> String {
        self.paint(text, Paint::new().bold())
    }

    fn dim(self, text: &str) -> String {
        self.paint(text, Paint::new().dim())
    }

    /// As something wrong.
    pub(super) fn red(self, text: &str) -> String {
        self.paint(text, Paint::new().red())
    }
}

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// A table.
pub(super) struct Grid<'a> {
    /// The columns' names, and on which side their cells stand.
    pub(super) columns: Vec<(&'a str, Side)>,
    pub(super) rows: Vec<Vec<String>>,
    /// Whether there is a line between any two rows.
    pub(super) ruled: bool,
}

impl Grid<'_> {
    /// The table as lines. Where it is too wide for the terminal, it does without the blanks beside the lines.
    pub(super) fn draw(&self, look: Look) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| self.width(column)).collect();
        let lines = widths.len() + 1;
        let full = widths.iter().sum::<usize>() + 2 * widths.len() + lines;
        let pad = if look.width.is_some_and(|width| full > width) { "" } else { " " };
        let rule = |left: &str, middle: &str, right: &str| {
            let parts: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2 * pad.len())).collect();
            look.dim(&format!("{left}{}{right}", parts.join(middle)))
        };
        let bar = look.dim("│");
        let row = |cells: Vec<String>| format!("{bar}{pad}{}{pad}{bar}\n", cells.join(&format!("{pad}{bar}{pad}")));
        let mut text = format!("{}\n", rule("┌", "┬", "┐"));
        text += &row(self.cells(&widths, |column| (self.columns[column].0, Paint::new().cyan()), look));
        for (at, cells) in self.rows.iter().enumerate() {
            if at == 0 || self.ruled {
                text.extend([rule("├", "┼", "┤").as_str(), "\n"]);
            }
            let paint = |column| if column == 0 { Paint::new().bold() } else { Paint::new() };
            text +=
                &row(self.cells(&widths, |column| (cells.get(column).map_or("", String::as_str), paint(column)), look));
        }
        text + &rule("└", "┴", "┘") + "\n"
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(String::as_str);
        cells.chain([self.columns[column].0]).map(measure_text_width).max().unwrap_or(0)
    }

    fn cells<'c>(&self, widths: &[usize], cell: impl Fn(usize) -> (&'c str, Paint), look: Look) -> Vec<String> {
        let padded = |(column, width): (usize, &usize)| {
            let (text, paint) = cell(column);
            let space = " ".repeat(width.saturating_sub(measure_text_width(text)));
            let text = look.paint(text, paint);
            match self.columns[column].1 {
                Side::Left => format!("{text}{space}"),
                Side::Right => format!("{space}{text}"),
            }
        };
        widths.iter().enumerate().map(padded).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid<'static> {
        Grid {
            columns: vec![("Pod", Side::Left), ("N", Side::Right)],
            rows: vec![vec!["a".into(), "10".into()], vec!["long".into(), "2".into()]],
            ruled: false,
        }
    }

    #[test]
    fn draws_lines_around_cells() {
        let text = "┌──────┬────┐\n│ Pod  │  N │\n├──────┼────┤\n│ a    │ 10 │\n│ long │  2 │\n└──────┴────┘\n";
        assert_eq!(grid().draw(Look::default()), text);
        assert_eq!(grid().draw(Look { colour: false, width: Some(13) }), text);
    }

    #[test]
    fn does_without_blanks_where_it_must() {
        let text = "┌────┬──┐\n│Pod │ N│\n├────┼──┤\n│a   │10│\n│long│ 2│\n└────┴──┘\n";
        assert_eq!(grid().draw(Look { colour: false, width: Some(12) }), text);
    }

    #[test]
    fn colour_changes_no_width() {
        let coloured = grid().draw(Look { colour: true, width: None });
        assert!(coloured.contains('\u{1b}'));
        assert_eq!(console::strip_ansi_codes(&coloured), grid().draw(Look::default()));
    }
}
