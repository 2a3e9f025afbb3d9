//! The report of `import` and of `rollback`.

use anyhow::Result;

use super::printer::Printer;
use crate::machine::apply::ApplyReport;

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &ApplyReport) -> Result<u8> {
    if let Some(refusal) = report.refusal() {
        return printer.report_with(report, Some(&refusal), String::new);
    }
    printer.ended(report, report.remarks.failure().as_ref(), String::new)
}
