//! The report of `protect`.

use anyhow::Result;
use tracing::{info, warn};

use super::printer::Printer;
use crate::{
    jobs::protect::{KeptState, ProtectReport},
    model::entry_name::printable_line,
};

/// Shows the report, and returns the exit code. Standard output is the command's own, but for JSON.
pub fn show(printer: &Printer, report: &ProtectReport) -> Result<u8> {
    let archive = report.archive.as_deref().map(printable_line);
    let archive = archive.unwrap_or_default();
    match (report.state, report.exit_code, &report.failure) {
        (KeptState::Kept, 0, None) => {
            info!("The upgrade is done; the state of before is in {archive}");
        }
        (KeptState::Kept, code, None) => {
            let reason = report.reason.as_deref().map(printable_line);
            let reason = reason.unwrap_or_default();
            warn!(
                code,
                "{reason}; the state stays as it is, that of before is in {archive}"
            );
        }
        _ => {}
    }
    let shown = printer.report_with(report, report.failure.as_ref(), String::new);
    // What became of the upgrade counts more than a report that cannot be printed.
    match report.exit_code {
        0 => shown,
        code => Ok(code),
    }
}
