//! The report of `diff`.

use std::{
    cell::RefCell,
    io::{self, Write},
};

use anyhow::Result;

use super::{printer::Printer, table::write_table};
use crate::{
    cli::size::size,
    model::entry_name::printable,
    ops::diff::{DiffReport, EntryDiff},
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &DiffReport) -> Result<u8> {
    let failure = report.failure();
    // For people the table and the log say it, and it is not an error.
    let told = failure.as_ref().filter(|_| printer.is_json());
    printer.report_long(report, told, |out| lines(out, report))?;
    Ok(failure.map_or(0, |failure| failure.kind.code()))
}

fn lines(out: &mut dyn Write, report: &DiffReport) -> io::Result<()> {
    let failed = RefCell::new(None);
    let entries = || {
        let entries = report.entries.iter();
        entries.map_while(|entry| {
            entry
                .map_err(|error| *failed.borrow_mut() = Some(error))
                .ok()
        })
    };
    let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), size);
    let row = |entry: EntryDiff| {
        vec![
            printable(&entry.entry),
            entry.state.name().to_owned(),
            bytes(entry.here_bytes),
            bytes(entry.there_bytes),
        ]
    };
    let header = ["ENTRY", "STATE", "HERE", "THERE"];
    write_table(out, &header, || entries().map(row))?;
    let with_text = usize::try_from(report.entries.texts()).unwrap_or(usize::MAX);
    for text in entries().filter_map(|entry| entry.text).take(with_text) {
        writeln!(out)?;
        out.write_all(text.as_bytes())?;
    }
    failed.take().map_or(Ok(()), Err)
}
