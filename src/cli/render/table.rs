//! Tables for people: a header, columns aligned, no lines.

use std::io::{self, Write};

use comfy_table::{ColumnConstraint, Table, Width};

use crate::model::entry_name::printable_line;

/// The most rows of a long table that are in memory at once.
const PART_ROWS: usize = 1000;

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
    each_part(head().chain(rows()), |part| {
        for (width, of_part) in widths.iter_mut().zip(part.column_max_content_widths()) {
            *width = of_part.max(*width);
        }
        Ok(())
    })?;
    each_part(head().chain(rows()), |mut part| {
        for (column, width) in part.column_iter_mut().zip(&widths) {
            let width = width.saturating_add(column.padding_width());
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
        }
        out.write_all(lines(&part).as_bytes())
    })
}

/// Passes tables of at most [`PART_ROWS`] rows to `take`.
fn each_part(
    rows: impl Iterator<Item = Vec<String>>,
    mut take: impl FnMut(Table) -> io::Result<()>,
) -> io::Result<()> {
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        take(bare(rows.by_ref().take(PART_ROWS)))?;
    }
    Ok(())
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
        for count in [0, 1, PART_ROWS - 1, PART_ROWS, 3 * PART_ROWS + 7] {
            let row = |number: usize| {
                let wide = if number == 2 * PART_ROWS {
                    "ü".repeat(30)
                } else {
                    "x".to_owned()
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
