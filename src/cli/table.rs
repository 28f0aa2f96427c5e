//! Tables of text.

use console::measure_text_width;

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Names and words.
    Left,
    /// Numbers.
    Right,
}

/// Columns as kubectl writes them: three spaces apart, the last one as it is.
#[must_use]
pub fn columns(align: Align, header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(rows).collect();
    let width =
        |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| measure_text_width(cell)).max();
    let widths: Vec<usize> = (0..header.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in lines {
        let mut written = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let space = " ".repeat(width.saturating_sub(measure_text_width(cell)));
            match align {
                Align::Left => written.extend([cell.as_str(), &space, "   "]),
                Align::Right => written.extend([space.as_str(), cell, "   "]),
            }
        }
        text.push_str(written.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_do_not_trail() {
        let rows = vec![vec!["a".to_owned(), "10".to_owned()], vec!["long".to_owned(), "2".to_owned()]];
        assert_eq!(columns(Align::Left, &["NAME", "N"], &rows), "NAME   N\na      10\nlong   2\n");
        assert_eq!(columns(Align::Right, &["NAME", "N"], &rows), "NAME    N\n   a   10\nlong    2\n");
    }
}
