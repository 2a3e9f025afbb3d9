//! The report of `convert`.

use anyhow::Result;

use super::printer::Printer;
use crate::{
    cli::size::size,
    model::entry_name::printable,
    ops::convert::{ConvertReport, TimeFrom},
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &ConvertReport) -> Result<u8> {
    let failure = report.remarks.failure();
    printer.ended(report, failure.as_ref(), || {
        let (to, files) = (printable(&report.to), report.files);
        let result = match report.proof {
            Some(proof) => format!("proven by {}", proof.name()),
            None => "already there".to_owned(),
        };
        let time = match report.time_from {
            TimeFrom::Option => report.time.clone(),
            TimeFrom::Snapshot => format!("{}, that of the snapshot", report.time),
            TimeFrom::NewestChange => format!("{}, that of the newest change", report.time),
        };
        let size = size(report.size_bytes);
        format!("{to}: {files} files, {size}, {result}\ntime: {time}\n")
    })
}
