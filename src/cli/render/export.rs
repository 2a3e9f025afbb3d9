//! The report of `export`.

use anyhow::Result;
use tracing::{error, info};

use super::printer::Printer;
use crate::ops::export::ExportReport;

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &ExportReport) -> Result<u8> {
    log_faults(report);
    // People have read it all in the log lines.
    printer.ended(report, report.failure().as_ref(), String::new)
}

/// Logs the destinations that are not proven to hold the archive, and returns the exit code.
pub fn log_faults(report: &ExportReport) -> u8 {
    let (files, size_bytes) = (report.files, report.size_bytes);
    info!(output = %report.archive, files, size_bytes, "Backup created successfully");
    let further = report.outputs.iter().filter(|arrival| arrival.good);
    for arrival in further.filter(|arrival| arrival.archive != report.archive) {
        info!(output = %arrival.archive, "The same archive is there, too");
    }
    for arrival in &report.outputs {
        match (&arrival.error, &arrival.hint) {
            (Some(fault), Some(hint)) => error!("Not proven to be there: {fault}; {hint}"),
            (Some(fault), None) => error!("Not proven to be there: {fault}"),
            (None, _) => {}
        }
    }
    report.failure().map_or(0, |failure| failure.kind.code())
}
