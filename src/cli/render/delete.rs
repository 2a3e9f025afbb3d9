//! The report of `delete`.

use anyhow::Result;

use super::printer::Printer;
use crate::{cli::size::size, model::entry_name::printable, ops::delete::DeleteReport};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &DeleteReport) -> Result<u8> {
    let failure = report.failure();
    printer.report_with(report, failure.as_ref(), || {
        let removed = report.removed.iter();
        let lines = removed.map(|one| {
            let place = format!("{}/{}", one.destination, one.name);
            format!("removed {}, {}\n", printable(&place), size(one.size_bytes))
        });
        lines.collect()
    })
}

/// Returns the question before archives are removed.
pub fn question(archives: &[String]) -> String {
    let mut lines: Vec<String> = archives
        .iter()
        .map(|archive| format!("{}\n", printable(archive)))
        .collect();
    lines.push("Remove for good? [y/N] ".to_owned());
    lines.concat()
}
