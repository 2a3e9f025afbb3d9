//! The report of `verify`.

use std::path::Path;

use anyhow::Result;

use super::{
    explain::{about_scratch, names_scratch},
    links::link_lines,
    printer::Printer,
};
use crate::{
    error::Failure,
    model::entry_name::{printable, printable_line},
    ops::verify::{ArchiveReport, VerifyReport},
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &VerifyReport, scratch: &Path) -> Result<u8> {
    let Some(worst) = report.worst.clone() else {
        let failure = report.remarks.failure();
        return printer.ended(report, failure.as_ref(), || lines(report, scratch));
    };
    let worst = about_scratch(worst, scratch);
    if printer.is_json() {
        return printer.report_with(report, Some(&worst), String::new);
    }
    // The lines have the faults; the failure counts them.
    let bad = report
        .archives
        .iter()
        .filter(|archive| !archive.good)
        .count();
    let unread = report
        .archives
        .iter()
        .filter(|archive| !archive.read)
        .count();
    let message = match (report.archives.len(), unread) {
        (1, _) => worst.message.clone(),
        (all, _) if bad == 0 => format!(
            "{} of {all} archives have the bytes that this machine proved; no key is given that opens them",
            report.outside()
        ),
        (all, 0) => format!("{bad} of {all} archives cannot be trusted"),
        (all, unread) if unread == bad => {
            format!("{unread} of {all} archives cannot be read")
        }
        (all, unread) => format!(
            "{} of {all} archives cannot be trusted, {unread} cannot be read",
            bad - unread
        ),
    };
    let failure = Failure {
        message,
        faults: Vec::new(),
        ..worst.clone()
    };
    printer.report_with(report, Some(&failure), || lines(report, scratch))
}

fn lines(report: &VerifyReport, scratch: &Path) -> String {
    let line = |archive: &ArchiveReport| match (archive.good, archive.root.as_deref()) {
        (true, root) => {
            let torn = archive.torn.iter();
            let torn: String = torn
                .map(|entry| {
                    format!(
                        "  - torn, no consistent copy could be made of it: {}\n",
                        printable(entry)
                    )
                })
                .collect();
            let more = archive.torn_more.map_or_else(String::new, |more| {
                format!("  - torn: {more} more files of large directories\n")
            });
            let looked: String = archive
                .looked_into
                .iter()
                .flatten()
                .map(|looked| {
                    let check = looked.check.map(|check| format!(", {}", check.pragma()));
                    let check = check.unwrap_or_default();
                    format!(
                        "  opened {} ({}{check})\n",
                        printable(&looked.entry),
                        looked.kind.name()
                    )
                })
                .collect();
            let links: String = link_lines(&archive.links)
                .map(|line| format!("  - link {line}\n"))
                .collect();
            let unopened = match archive.proven {
                Some(_) => " (not opened: no key is given)",
                None => "",
            };
            format!(
                "{}: good{unopened}, {} files of {}\n{looked}{torn}{more}{links}",
                printable_line(&archive.archive),
                archive.files.unwrap_or_default(),
                printable(root.unwrap_or_default())
            )
        }
        (false, _) => {
            let faults: String = archive
                .faults
                .iter()
                .map(|fault| format!("  - {}\n", printable_line(fault)))
                .collect();
            let is_our_fault = |fault: &String| names_scratch(fault, scratch);
            match archive.read {
                true => format!("{}: NOT GOOD\n{faults}", printable_line(&archive.archive)),
                false if archive.faults.iter().any(is_our_fault) => format!(
                    "{}: not checked, because the temporary folder cannot take its databases or listings\n{faults}",
                    printable_line(&archive.archive)
                ),
                false => format!(
                    "{}: cannot be read, so nothing is known of it\n{faults}",
                    printable_line(&archive.archive)
                ),
            }
        }
    };
    report.archives.iter().map(line).collect()
}
