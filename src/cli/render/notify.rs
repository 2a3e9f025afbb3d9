//! The report of `notify`.

use anyhow::Result;

use super::{printer::Printer, table::table};
use crate::{
    jobs::notify::{NotificationOutcome, NotifyReport},
    model::entry_name::printable_line,
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &NotifyReport) -> Result<u8> {
    printer.report_with(report, report.failure.as_ref(), || {
        let row = |outcome: &NotificationOutcome| {
            let sent = if outcome.sent { "yes" } else { "NO" };
            let error = outcome.error.as_deref();
            let error = error.map_or_else(String::new, printable_line);
            vec![outcome.name.clone(), sent.to_owned(), error]
        };
        table(
            &["NOTIFICATION", "SENT", ""],
            report.notifications.iter().map(row),
        )
    })
}
