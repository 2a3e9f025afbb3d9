//! The report of `init`.

use anyhow::Result;

use super::printer::Printer;
use crate::{model::entry_name::printable_line, ops::init::InitReport};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &InitReport) -> Result<u8> {
    printer.report(report, || {
        let line = |file: &String| format!("{}\n", printable_line(file));
        report.created.iter().map(line).collect()
    })
}
