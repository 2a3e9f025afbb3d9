//! The report of `keep`.

use anyhow::Result;

use super::printer::Printer;
use crate::{
    model::{entry_name::printable, retention::Mark},
    ops::keep::KeepReport,
};

/// Shows the report on an archive that has this mark now, and returns the exit code.
pub fn show(printer: &Printer, report: &KeepReport, mark: Option<Mark>) -> Result<u8> {
    printer.report(report, || {
        let says = match (mark, &report.before) {
            (Some(mark), _) => format!("kept {mark}"),
            (None, Some(_)) => "not marked any more".to_owned(),
            (None, None) => "had no mark".to_owned(),
        };
        format!("{}: {says}\n", printable(&report.archive))
    })
}
