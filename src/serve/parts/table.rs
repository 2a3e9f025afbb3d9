//! Tables, which become lists of cards on a narrow screen.

use maud::{Markup, html};

use super::blocks::empty;

/// A column of a table, by its heading.
#[derive(Debug, Clone, Copy)]
pub enum Column<'a> {
    /// The name of the row: it wraps anywhere.
    Name(&'a str),
    /// Words.
    Text(&'a str),
    /// A number, at the right edge.
    Number(&'a str),
}

impl<'a> Column<'a> {
    fn heading(self) -> &'a str {
        match self {
            Column::Name(heading) | Column::Text(heading) | Column::Number(heading) => heading,
        }
    }

    fn class(self) -> Option<&'static str> {
        match self {
            Column::Name(_) => Some("name"),
            Column::Text(_) => None,
            Column::Number(_) => Some("number"),
        }
    }
}

/// Writes a table, or a sentence if it has no rows. Each row has a cell for each column.
pub fn table(label: &str, columns: &[Column<'_>], rows: &[Vec<Markup>], nothing: &str) -> Markup {
    if rows.is_empty() {
        return empty(nothing);
    }
    html! {
        div .wide tabindex="0" role="region" aria-label=(label) {
            table {
                thead { tr { @for column in columns { th scope="col" class=[column.class()] { (column.heading()) } } } }
                tbody {
                    @for row in rows {
                        tr { @for (column, cell) in columns.iter().zip(row) {
                            td class=[column.class()] data-label=(column.heading()) { (cell) }
                        } }
                    }
                }
            }
        }
    }
}
