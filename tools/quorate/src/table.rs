//! Text in columns.

use std::fmt;

/// A table: a row of headings, then rows of cells. Cells that begin with a digit or a sign stand to the right.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without headings.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A table with headings.
    pub(crate) fn with_headings(headings: &[&str]) -> Self {
        Self {
            rows: vec![headings.iter().map(ToString::to_string).collect()],
        }
    }

    /// Adds a row.
    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

/// The rows, without a line break after the last one, and without spaces at the ends of lines.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (at, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (cell, &width) in row.iter().zip(&widths) {
                let padding = " ".repeat(width - cell.chars().count());
                let is_number = cell.starts_with(|first: char| first.is_ascii_digit());
                let (before, behind) = if is_number {
                    (padding.as_str(), "")
                } else {
                    ("", padding.as_str())
                };
                line.push_str(before);
                line.push_str(cell);
                line.push_str(behind);
                line.push_str("  ");
            }
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number with its thousands set apart.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Table, thousands};

    #[test]
    fn words_stand_left_and_numbers_right() {
        let mut table = Table::with_headings(&["node", "role", "committed"]);
        table.row(["1", "follower", "7"]);
        table.row(["2", "leader", "1,234"]);
        assert_eq!(
            table.to_string(),
            "node  role      committed\n   1  follower          7\n   2  leader        1,234"
        );
        assert_eq!(Table::new().to_string(), "");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(83_161), "83,161");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }
}
