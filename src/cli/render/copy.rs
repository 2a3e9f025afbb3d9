//! The report of `copy`.

use anyhow::Result;

use super::{printer::Printer, table::table};
use crate::{cli::size::size, model::entry_name::printable, ops::copy::CopyReport};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &CopyReport) -> Result<u8> {
    let failure = report.failure.as_ref();
    match report.remarks.is_complete() {
        true => printer.report_with(report, failure, || lines(report)),
        // What a snapshot has and no archive can have was said one by one.
        false => printer.ended(report, failure, || lines(report)),
    }
}

fn lines(report: &CopyReport) -> String {
    let copied = report.copied.iter().map(|one| {
        let result = format!("copied, proven by {}", one.proof.name());
        vec![printable(&one.name), size(one.size_bytes), result]
    });
    let skipped = report.skipped.iter().map(|one| {
        let result = "already there".to_owned();
        vec![printable(&one.name), size(one.size_bytes), result]
    });
    let failed = report.failed.iter().map(|one| {
        let result = "NOT COPIED".to_owned();
        vec![printable(&one.name), "-".to_owned(), result]
    });
    table(
        &["ARCHIVE", "SIZE", "RESULT"],
        copied.chain(skipped).chain(failed),
    )
}
