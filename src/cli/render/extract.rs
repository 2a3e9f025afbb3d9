//! The report of `extract`.

use anyhow::Result;

use super::printer::Printer;
use crate::{
    cli::size::size,
    model::entry_name::printable_line,
    ops::extract::{ExtractReport, Extracted},
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &ExtractReport) -> Result<u8> {
    let failure = report.remarks.failure();
    let line = |entry: &Extracted| {
        format!(
            "{} ({})\n",
            printable_line(entry.path.as_deref().unwrap_or_default()),
            size(entry.size_bytes)
        )
    };
    printer.ended(report, failure.as_ref(), || {
        report.entries.iter().map(line).collect()
    })
}
