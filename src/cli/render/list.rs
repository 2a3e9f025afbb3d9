//! The report of `list`.

use std::io::{self, Write};

use anyhow::Result;

use super::{printer::Printer, table::write_table};
use crate::{
    cli::size::size,
    model::{entry_name::printable, retention::Standing},
    ops::list::{ArchiveRow, Detail, ListReport, PassedFile},
};

/// The most folders that are listed.
const MOST_NAMED: usize = 10;

/// Shows the report on archives that begin with `prefix`, and returns the exit code.
pub fn show(printer: &Printer, report: &ListReport, prefix: &str) -> Result<u8> {
    printer.report_long(report, report.failure.as_ref(), |out| {
        lines(out, report, prefix)
    })
}

fn lines(out: &mut dyn Write, report: &ListReport, prefix: &str) -> io::Result<()> {
    if report.archives.is_empty() {
        match report.others {
            _ if report.filtered > 0 => writeln!(
                out,
                "no archives found that fit the filters; {} do not",
                report.filtered
            )?,
            0 => writeln!(out, "no archives found")?,
            others => writeln!(
                out,
                "no archives of {prefix} found; --all-hosts shows {others} of others"
            )?,
        }
        for folder in report.folders.iter().take(MOST_NAMED) {
            let folder = printable(folder);
            writeln!(
                out,
                "{folder} is a folder: name it as a destination to list it"
            )?;
        }
        if let Some(more) = report.folders.len().checked_sub(MOST_NAMED + 1) {
            writeln!(out, "and {} more folders", more + 1)?;
        }
        return write_other_files(out, report);
    }
    let is_long = report.archives.iter().any(|one| one.detail.is_some());
    let is_sealed = report.archives.iter().any(|one| one.sealed);
    let is_marked = report.archives.iter().any(|one| one.mark.is_some());
    let mut header = vec!["NAME", "TIME", "SIZE", "AGE"];
    if report.destinations > 1 {
        header.push("PLACE");
    }
    if is_marked {
        header.push("MARK");
    }
    if is_sealed {
        header.push("SEALED");
    }
    if is_long {
        header.extend(["ENTRIES", "VERSION", "HOST", "VERIFIED", "POLICY"]);
    }
    let row = |one: ArchiveRow<'_>| {
        let mut row = vec![
            printable(one.name),
            one.time,
            size(one.size_bytes),
            age(one.age_seconds),
        ];
        if report.destinations > 1 {
            row.push(printable(one.destination));
        }
        if is_marked {
            row.push(one.mark.unwrap_or_else(none));
        }
        if is_sealed {
            row.push(match (one.sealed, one.standing) {
                (false, _) => none(),
                (true, Standing::Good | Standing::Torn) => "yes".to_owned(),
                (true, Standing::Sealed) => "yes, no key opens it".to_owned(),
                (true, standing) => format!("yes ({standing})"),
            });
        }
        row.extend(one.detail.map(detail).into_iter().flatten());
        row
    };
    write_table(out, &header, || report.archives.iter().map(row))?;
    write_other_files(out, report)
}

fn write_other_files(out: &mut dyn Write, report: &ListReport) -> io::Result<()> {
    out.write_all(other_files(&report.other_files, report.destinations).as_bytes())
}

/// Returns the lines of files in `destinations` that were found not to be archives, or could not be read. Without such
/// files it is empty.
pub(super) fn other_files(files: &[PassedFile], destinations: usize) -> String {
    let line = |passed: &PassedFile| {
        let file = passed.file();
        let place = match destinations {
            1 => String::new(),
            _ => format!("{}: ", printable(&passed.destination)),
        };
        let (name, reason) = (printable(&file.name), printable(&file.reason));
        format!("  {place}{name}: {reason}\n")
    };
    match files.len() {
        0 => String::new(),
        count => {
            let lines: String = files.iter().map(line).collect();
            format!("\nother files: {count}\n{lines}")
        }
    }
}

fn none() -> String {
    "-".to_owned()
}

fn detail(detail: &Detail) -> [String; 5] {
    let text = |text: &Option<String>| text.as_deref().map_or_else(none, printable);
    let version = match (&detail.app, &detail.app_version) {
        (Some(app), Some(version)) => format!("{} {}", printable(app), printable(version)),
        (app, version) => text(if app.is_some() { app } else { version }),
    };
    [
        detail
            .entries
            .map_or_else(none, |entries| entries.to_string()),
        version,
        text(&detail.hostname),
        match &detail.fault {
            Some(fault) => format!("{}: {}", detail.verified.name(), printable(fault)),
            None => detail.verified.name().to_owned(),
        },
        format!(
            "{}: {}",
            detail.verdict.name(),
            printable(&detail.reasons.join("; "))
        ),
    ]
}

/// Returns an age in the largest full unit.
fn age(seconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    if seconds < 0 {
        return "in the future".to_owned();
    }
    let unit = UNITS.iter().find(|(length, _)| seconds >= *length);
    unit.map_or_else(
        || "now".to_owned(),
        |(length, name)| format!("{} {name}", seconds / length),
    )
}
