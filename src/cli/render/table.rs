//! Tables for people: a header, columns aligned, no lines.

use std::io::{self, Write};

use comfy_table::{ColumnConstraint, Table, Width};

use crate::model::entry_name::printable_line;

/// The bytes of a long table that are written at once.
const PART_BYTES: usize = 64 << 10;
/// The spaces between two columns.
const COLUMN_SPACE: usize = 2;

/// Returns a table with a header and aligned columns, without lines.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = bare(rows);
    table.set_header(header.to_vec());
    lines(&table)
}

/// Writes such a table part by part, so that only some of its rows are in memory. `rows` is called twice and must
/// return the same rows.
pub fn write_table<R: Iterator<Item = Vec<String>>>(
    out: &mut dyn Write,
    header: &[&str],
    rows: impl Fn() -> R,
) -> io::Result<()> {
    let head = || std::iter::once(header.iter().map(|&title| title.to_owned()).collect());
    let mut widths = vec![0; header.len()];
    for row in head().chain(rows()) {
        let of_row = match is_plain(&row) {
            true => row.iter().map(String::len).collect(),
            false => of_table(&bare([row])),
        };
        for (width, of_cell) in widths.iter_mut().zip(of_row) {
            *width = of_cell.max(*width);
        }
    }
    let mut text = Vec::new();
    for row in head().chain(rows()) {
        if is_plain(&row) {
            write_plain(&mut text, &row, &widths);
        } else {
            text.extend_from_slice(lines(&of_widths(row, &widths)).as_bytes());
        }
        if text.len() >= PART_BYTES {
            out.write_all(&text)?;
            text.clear();
        }
    }
    out.write_all(&text)
}

/// Returns true if each character of a row is one column wide and stays as it is. Most rows are like this.
fn is_plain(row: &[String]) -> bool {
    let is_plain = |cell: &String| cell.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    row.iter().all(is_plain)
}

fn write_plain(text: &mut Vec<u8>, row: &[String], widths: &[usize]) {
    let start = text.len();
    for (cell, width) in row.iter().zip(widths) {
        text.extend_from_slice(cell.as_bytes());
        let padding = width.saturating_sub(cell.len()) + COLUMN_SPACE;
        text.resize(text.len() + padding, b' ');
    }
    let length = text[start..].trim_ascii_end().len();
    text.truncate(start + length);
    text.push(b'\n');
}

fn of_table(table: &Table) -> Vec<usize> {
    let widths = table.column_max_content_widths();
    widths.into_iter().map(usize::from).collect()
}

/// Returns a table of one row with columns of at least these widths.
fn of_widths(row: Vec<String>, widths: &[usize]) -> Table {
    let mut table = bare([row]);
    for (column, width) in table.column_iter_mut().zip(widths) {
        let width = u16::try_from(*width).unwrap_or(u16::MAX);
        let width = width.saturating_add(column.padding_width());
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
    }
    table
}

fn bare(rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    // A cell stays one line, whatever its text is.
    let inert = |row: Vec<String>| {
        row.iter()
            .map(|cell| printable_line(cell))
            .collect::<Vec<_>>()
    };
    table.add_rows(rows.into_iter().map(inert));
    table
}

fn lines(table: &Table) -> String {
    let text = table.to_string();
    text.lines()
        .map(|line| {
            format!(
                "{}\n",
                line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end())
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_table_is_the_one_that_is_made_at_once() {
        for count in [0, 1, 999, 3000] {
            let row = |number: usize| {
                let wide = match number % 500 {
                    100 => "ü".repeat(30),
                    200 => "漢".repeat(20),
                    300 => "line\nfeed\u{1b}[1m".to_owned(),
                    400 => String::new(),
                    _ => " x ".to_owned(),
                };
                vec![number.to_string(), wide, "y".repeat(number % 7)]
            };
            let rows = || (0..count).map(row);
            let header = ["NUMBER", "WIDE", "LAST"];
            let mut written = Vec::new();
            write_table(&mut written, &header, rows).expect("written to memory");
            let written = String::from_utf8(written).expect("text");
            assert!(written == table(&header, rows()), "{count} rows");
        }
    }
}
