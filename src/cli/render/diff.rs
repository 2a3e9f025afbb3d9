//! The report of `diff`.

use anyhow::Result;

use super::{printer::Printer, table::table};
use crate::{
    cli::size::size,
    error::{Failure, Kind},
    model::entry_name::printable,
    ops::diff::{DiffReport, DiffState, EntryDiff},
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &DiffReport) -> Result<u8> {
    let count = report
        .entries
        .iter()
        .filter(|entry| entry.state != DiffState::Unchanged)
        .count();
    let differs =
        (count > 0).then(|| Failure::new(Kind::Differs, format!("{count} entries differ")));
    // For people the table says it, and it is not an error.
    let failure = differs.as_ref().filter(|_| printer.is_json());
    printer.report_with(report, failure, || {
        let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), size);
        let row = |entry: &EntryDiff| {
            vec![
                printable(&entry.entry),
                entry.state.name().to_owned(),
                bytes(entry.here_bytes),
                bytes(entry.there_bytes),
            ]
        };
        let mut out = table(
            &["ENTRY", "STATE", "HERE", "THERE"],
            report.entries.iter().map(row),
        );
        for text in report
            .entries
            .iter()
            .filter_map(|entry| entry.text.as_ref())
        {
            out.push('\n');
            out.push_str(text);
        }
        out
    })?;
    Ok(differs.map_or(0, |differs| differs.kind.code()))
}
