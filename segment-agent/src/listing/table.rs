//! Tables of text, as Go's text/tabwriter and go-pretty lay them out.

use std::io::{self, Write};

use formats::Timestamp;

/// `name` heads the plain form, `heading` the boxed one.
#[derive(Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub heading: &'static str,
}

pub enum Cell {
    /// Without control characters, which would spoil the table or the terminal.
    Text(String),
    /// Like `Text`; its column, heading included, is aligned to the right in a box.
    Right(String),
    Time(Timestamp),
}

/// Each row has as many cells as there are columns.
pub struct Table<'a> {
    pub columns: &'a [Column],
    pub rows: Vec<Vec<Cell>>,
}

impl Cell {
    /// Control characters of `text` become escapes such as `\n`.
    pub fn text(text: &str) -> Self {
        if !text.contains(char::is_control) {
            return Self::Text(text.to_owned());
        }
        let mut escaped = String::new();
        for c in text.chars() {
            if c.is_control() { escaped.extend(c.escape_default()) } else { escaped.push(c) }
        }
        Self::Text(escaped)
    }

    fn plain(&self) -> String {
        match self {
            Self::Text(text) | Self::Right(text) => text.clone(),
            Self::Time(time) => rfc_3339_seconds(*time),
        }
    }

    fn pretty(&self) -> String {
        match self {
            Self::Text(text) | Self::Right(text) => text.clone(),
            Self::Time(time) => rfc_850(*time),
        }
    }
}

impl Table<'_> {
    /// One blank between columns, none behind the last.
    pub fn write_plain(&self, out: &mut impl Write) -> io::Result<()> {
        let head = self.columns.iter().map(|column| column.name.to_owned()).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(Cell::plain).collect());
        let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
        let widths = widths(&lines);
        for line in &lines {
            let mut text = String::new();
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let is_last = column + 1 == line.len();
                text.push_str(cell);
                if !is_last {
                    push_blanks(&mut text, width + 1 - length(cell));
                }
            }
            writeln!(out, "{text}")?;
        }
        Ok(())
    }

    /// The rows are numbered from 0 in a first column, which is aligned to the right.
    pub fn write_boxed(&self, out: &mut impl Write) -> io::Result<()> {
        let numbered = |(number, row): (usize, &Vec<Cell>)| {
            std::iter::once(number.to_string()).chain(row.iter().map(Cell::pretty)).collect()
        };
        let head = std::iter::once("#").chain(self.columns.iter().map(|column| column.heading));
        let right: Vec<bool> = std::iter::once(true).chain(self.right_columns()).collect();
        write_box(head, self.rows.iter().enumerate().map(numbered), &right, out)
    }

    /// Like [`write_boxed`](Self::write_boxed), without numbers.
    pub fn write_boxed_unnumbered(&self, out: &mut impl Write) -> io::Result<()> {
        let head = self.columns.iter().map(|column| column.heading);
        let right: Vec<bool> = self.right_columns().collect();
        write_box(head, self.rows.iter().map(|row| row.iter().map(Cell::pretty).collect()), &right, out)
    }

    fn right_columns(&self) -> impl Iterator<Item = bool> {
        let first = self.rows.first();
        (0..self.columns.len())
            .map(move |column| first.and_then(|row| row.get(column)).is_some_and(|cell| matches!(cell, Cell::Right(_))))
    }
}

/// `right`: which columns are aligned to the right.
fn write_box<'a>(
    head: impl Iterator<Item = &'a str>,
    rows: impl Iterator<Item = Vec<String>>,
    right: &[bool],
    out: &mut impl Write,
) -> io::Result<()> {
    let lines: Vec<Vec<String>> = std::iter::once(head.map(str::to_owned).collect()).chain(rows).collect();
    let widths = widths(&lines);
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect();
    for (position, line) in lines.iter().enumerate() {
        if position < 2 {
            writeln!(out, "{rule}+")?;
        }
        writeln!(out, "{}", boxed_line(line, &widths, right))?;
    }
    if lines.len() == 1 {
        writeln!(out, "{rule}+")?;
    }
    writeln!(out, "{rule}+")
}

fn boxed_line(line: &[String], widths: &[usize], right: &[bool]) -> String {
    let mut text = String::new();
    for ((cell, width), right) in line.iter().zip(widths).zip(right) {
        let padding = width - length(cell);
        text.push_str("| ");
        if *right {
            push_blanks(&mut text, padding);
        }
        text.push_str(cell);
        if !right {
            push_blanks(&mut text, padding);
        }
        text.push(' ');
    }
    text + "|"
}

/// Of the longest cell of each column.
fn widths(lines: &[Vec<String>]) -> Vec<usize> {
    let columns = lines.first().map_or(0, Vec::len);
    let cells = |column: usize| lines.iter().filter_map(move |line| line.get(column));
    (0..columns).map(|column| cells(column).map(|cell| length(cell)).max().unwrap_or(0)).collect()
}

fn length(cell: &str) -> usize {
    cell.chars().count()
}

fn push_blanks(text: &mut String, count: usize) {
    text.extend(std::iter::repeat_n(' ', count));
}

/// `2026-11-21T08:05:47Z`; `-` for a time that is not known.
fn rfc_3339_seconds(time: Timestamp) -> String {
    if time == Timestamp::default() {
        return "-".to_owned();
    }
    let zone = if is_utc(time) { "Z".to_owned() } else { time.0.format("%:z").to_string() };
    format!("{}{zone}", time.0.format("%Y-%m-%dT%H:%M:%S"))
}

/// `Saturday, 21-Nov-26 08:05:47 UTC`; `-` for a time that is not known.
fn rfc_850(time: Timestamp) -> String {
    if time == Timestamp::default() {
        return "-".to_owned();
    }
    let zone = if is_utc(time) { "UTC".to_owned() } else { time.0.format("%z").to_string() };
    format!("{} {zone}", time.0.format("%A, %d-%b-%y %H:%M:%S"))
}

fn is_utc(time: Timestamp) -> bool {
    time.0.offset().local_minus_utc() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 2] = [Column { name: "a", heading: "A" }, Column { name: "b_c", heading: "B C" }];

    fn table(rows: &[(&str, &str)]) -> Table<'static> {
        let row = |(a, b): &(&str, &str)| vec![Cell::text(a), b.parse().map_or_else(|_| Cell::text(b), Cell::Time)];
        Table { columns: &COLUMNS, rows: rows.iter().map(row).collect() }
    }

    fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let table = table(&[("höst", "2026-11-21T08:28:23.65Z"), ("", ""), ("x\ty", "0001-01-01T00:00:00Z")]);
        let plain = "a    b_c\nhöst 2026-11-21T08:28:23Z\n     \nx\\ty -\n";
        assert_eq!(text(|out| table.write_plain(out)), plain);
        let boxed = "\
+---+------+----------------------------------+
| # | A    | B C                              |
+---+------+----------------------------------+
| 0 | höst | Saturday, 21-Nov-26 08:28:23 UTC |
| 1 |      |                                  |
| 2 | x\\ty | -                                |
+---+------+----------------------------------+
";
        assert_eq!(text(|out| table.write_boxed(out)), boxed);
    }

    #[test]
    fn row_numbers_are_aligned_to_the_right() {
        let boxed = text(|out| table(&[("x", "y"); 11]).write_boxed(out));
        let lines: Vec<&str> = boxed.lines().collect();
        assert_eq!((lines[0], lines[1]), ("+----+---+-----+", "|  # | A | B C |"));
        assert_eq!((lines[3], lines[13]), ("|  0 | x | y   |", "| 10 | x | y   |"));
    }

    #[test]
    fn boxes_without_numbers() {
        let row = |count: u32, status: &str| vec![Cell::Right(count.to_string()), Cell::text(status)];
        let filled = Table { columns: &COLUMNS, rows: vec![row(7, "x"), row(1000, "y")] };
        let boxed = "+------+-----+\n|    A | B C |\n+------+-----+\n|    7 | x   |\n| 1000 | y   |\n+------+-----+\n";
        assert_eq!(text(|out| filled.write_boxed_unnumbered(out)), boxed);
        let empty = "+---+-----+\n| A | B C |\n+---+-----+\n+---+-----+\n";
        assert_eq!(text(|out| table(&[]).write_boxed_unnumbered(out)), empty);
    }

    #[test]
    fn times_keep_their_zone() {
        let time = "2026-01-01T10:00:00.5+03:00".parse().unwrap();
        assert_eq!(rfc_3339_seconds(time), "2026-01-01T10:00:00+03:00");
        assert_eq!(rfc_850(time), "Thursday, 01-Jan-26 10:00:00 +0300");
    }
}
