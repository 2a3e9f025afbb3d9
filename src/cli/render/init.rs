//! The report of `init`.

use anyhow::Result;

use super::{
    check::{CheckDetail, lines},
    printer::Printer,
};
use crate::{model::entry_name::printable_line, ops::init::InitReport};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &InitReport) -> Result<u8> {
    let failure = report
        .check
        .as_ref()
        .and_then(|check| check.failure.as_ref());
    printer.report_with(report, failure, || {
        let line = |file: &String| format!("{}\n", printable_line(file));
        let mut out: String = report.created.iter().map(line).collect();
        if let Some(check) = &report.check {
            out.push_str(&lines(check, CheckDetail::Results));
        }
        if let (Some(next), None) = (&report.next, failure) {
            out.push_str(&format!("next: {next}\n"));
        }
        out
    })
}
