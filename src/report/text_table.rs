//! Text tables: with lines as autocannon draws them, or with blanks between the columns as kubectl does.

use console::{Style as Paint, measure_text_width};

/// How text is formatted: plain unless the output is a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Whether to use colours.
    pub colour: bool,
    /// The width of the terminal, if there is one.
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

/// How the cells of a column are aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Names and words.
    Left,
    /// Numbers.
    Right,
}

/// What is drawn between the cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Borders {
    /// Three blanks between columns.
    None,
    /// A frame with lines between columns and below the header.
    Frame,
    /// The same with a line between any two rows.
    Rows,
}

/// A table.
pub(super) struct TextTable<'a> {
    /// The names of the columns, and how their cells are aligned.
    pub(super) columns: Vec<(&'a str, Align)>,
    pub(super) rows: Vec<Vec<String>>,
    pub(super) borders: Borders,
}

/// A table as kubectl prints it: columns three blanks apart, without blanks at the end of a line.
#[must_use]
pub fn plain_table(align: Align, header: &[&str], rows: &[Vec<String>]) -> String {
    let columns = header.iter().map(|name| (*name, align)).collect();
    TextTable { columns, rows: rows.to_vec(), borders: Borders::None }.draw(Look::default())
}

impl TextTable<'_> {
    /// The table as text. If its frame is too wide for the terminal, there are no blanks beside the lines.
    pub(super) fn draw(&self, look: Look) -> String {
        if self.borders == Borders::None { self.without_lines(look) } else { self.with_lines(look) }
    }

    fn without_lines(&self, look: Look) -> String {
        let widths = self.widths();
        let line = |cells: Vec<String>| format!("{}\n", cells.join("   ").trim_end());
        let header = line(self.cells(&widths, |column| (self.columns[column].0, Paint::new()), look));
        let row = |cells: &Vec<String>| {
            line(self.cells(&widths, |column| (cells.get(column).map_or("", String::as_str), Paint::new()), look))
        };
        header + &self.rows.iter().map(row).collect::<String>()
    }

    fn with_lines(&self, look: Look) -> String {
        let widths = self.widths();
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
            if at == 0 || self.borders == Borders::Rows {
                text.extend([rule("├", "┼", "┤").as_str(), "\n"]);
            }
            let paint = |column| if column == 0 { Paint::new().bold() } else { Paint::new() };
            text +=
                &row(self.cells(&widths, |column| (cells.get(column).map_or("", String::as_str), paint(column)), look));
        }
        text + &rule("└", "┴", "┘") + "\n"
    }

    fn widths(&self) -> Vec<usize> {
        (0..self.columns.len()).map(|column| self.width(column)).collect()
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
                Align::Left => format!("{text}{space}"),
                Align::Right => format!("{space}{text}"),
            }
        };
        widths.iter().enumerate().map(padded).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed() -> TextTable<'static> {
        TextTable {
            columns: vec![("Pod", Align::Left), ("N", Align::Right)],
            rows: vec![vec!["a".into(), "10".into()], vec!["long".into(), "2".into()]],
            borders: Borders::Frame,
        }
    }

    #[test]
    fn draws_lines_around_cells() {
        let text = "┌──────┬────┐\n│ Pod  │  N │\n├──────┼────┤\n│ a    │ 10 │\n│ long │  2 │\n└──────┴────┘\n";
        assert_eq!(framed().draw(Look::default()), text);
        assert_eq!(framed().draw(Look { colour: false, width: Some(13) }), text);
    }

    #[test]
    fn a_frame_that_is_too_wide_has_no_blanks() {
        let text = "┌────┬──┐\n│Pod │ N│\n├────┼──┤\n│a   │10│\n│long│ 2│\n└────┴──┘\n";
        assert_eq!(framed().draw(Look { colour: false, width: Some(12) }), text);
    }

    #[test]
    fn colour_changes_no_width() {
        let coloured = framed().draw(Look { colour: true, width: None });
        assert!(coloured.contains('\u{1b}'));
        assert_eq!(console::strip_ansi_codes(&coloured), framed().draw(Look::default()));
    }

    #[test]
    fn columns_without_lines_are_aligned_and_lines_do_not_end_with_blanks() {
        let rows = vec![vec!["a".to_owned(), "10".to_owned()], vec!["long".to_owned(), "2".to_owned()]];
        assert_eq!(plain_table(Align::Left, &["NAME", "N"], &rows), "NAME   N\na      10\nlong   2\n");
        assert_eq!(plain_table(Align::Right, &["NAME", "N"], &rows), "NAME    N\n   a   10\nlong    2\n");
    }
}
