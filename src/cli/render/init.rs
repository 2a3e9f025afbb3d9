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
        if !report.sources.is_empty() {
            out.push_str("archives hold:\n");
        }
        for source in &report.sources {
            let path = source.path.as_deref().unwrap_or("the output of a command");
            let line = format!("{}: {}, {path}", source.name, source.kind);
            out.push_str(&format!("  {}\n", printable_line(&line)));
        }
        if report.is_new_state {
            out.push_str(
                "this is the state of a new hookshot service, and nothing of it was there before; for an application of \
                your own, describe its databases and files: hookshot init --source PATH, with a --config of its own\n",
            );
        }
        if let Some(check) = &report.check {
            out.push_str(&lines(check, CheckDetail::Results));
        }
        if let (Some(next), None) = (&report.next, failure) {
            out.push_str(&format!("next: {next}\n"));
        }
        out
    })
}
