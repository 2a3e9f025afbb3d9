//! The reports of `repo`.

use anyhow::Result;

use super::{printer::Printer, stats::ratio, table::table};
use crate::{
    catalog::vault::{ReadContent, VaultKey},
    cli::size::size,
    model::entry_name::printable,
    ops::repo::{
        RepoCheckReport, RepoInitReport, RepoKeyReport, RepoKeysReport, RepoStatsReport,
        RepoUnlockReport, RepoUpgradeReport,
    },
};

/// The digits of an ID that are shown, as restic shows them.
const SHORT: usize = 8;

/// Shows a new repository, and returns the exit code.
pub fn made(printer: &Printer, report: &RepoInitReport) -> Result<u8> {
    printer.report(report, || {
        let place = printable(&report.repository);
        let (chunk, reason) = (&report.chunk, &report.chunk_reason);
        let mut text = format!("{place}: a new repository, chunks: {chunk} ({reason})\n");
        text.push_str(&match &report.password_file {
            Some(file) => format!(
                "its new password is in {}: keep a copy elsewhere, nothing opens it without\n",
                printable(file)
            ),
            None => "keep a copy of its password elsewhere: nothing opens it without\n".to_owned(),
        });
        text
    })
}

/// Shows what a check found, and returns the exit code.
pub fn checked(printer: &Printer, report: &RepoCheckReport) -> Result<u8> {
    printer.report_with(report, report.failure.as_ref(), || {
        let place = printable(&report.repository);
        let what = match report.read {
            ReadContent::Nothing => "its structure",
            ReadContent::All => "all content",
            ReadContent::Percent(_) | ReadContent::Part(..) => {
                "its structure and a part of the content"
            }
        };
        let mut text = match report.faults.is_empty() {
            true => format!("{place}: {what} is good\n"),
            false => format!("{place}: damaged\n"),
        };
        text.push_str(&notes(&report.notes));
        text
    })
}

/// Shows properties and figures of a repository, and returns the exit code.
pub fn measured(printer: &Printer, report: &RepoStatsReport) -> Result<u8> {
    printer.report(report, || {
        let none = || "-".to_owned();
        let rows = [
            ("repository", printable(&report.repository)),
            ("id", report.id.chars().take(SHORT).collect()),
            ("version", report.version.to_string()),
            ("chunks", report.chunk.clone()),
            (
                "level",
                report
                    .level
                    .map_or_else(|| "zstd's default".to_owned(), |level| level.to_string()),
            ),
            ("states", report.states.to_string()),
            ("content", size(report.content_bytes)),
            ("unique", size(report.unique_bytes)),
            ("stored", size(report.size_bytes)),
            (
                "compression",
                report.compression_ratio.map_or_else(none, ratio),
            ),
            ("dedup", report.dedup_ratio.map_or_else(none, ratio)),
        ];
        let mut text: String = rows
            .iter()
            .map(|(name, value)| format!("{name:<13}{value}\n"))
            .collect();
        text.push_str(&notes(&report.notes));
        text
    })
}

/// Shows the keys of a repository, and returns the exit code.
pub fn keys(printer: &Printer, report: &RepoKeysReport) -> Result<u8> {
    printer.report_with(report, report.failure.as_ref(), || {
        let shown =
            |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), printable);
        let row = |key: &VaultKey| {
            vec![
                key.id.chars().take(SHORT).collect(),
                match (key.damaged, key.current) {
                    (true, _) => "damaged",
                    (false, true) => "yes",
                    (false, false) => "",
                }
                .to_owned(),
                shown(&key.created),
                shown(&key.host),
                shown(&key.user),
            ]
        };
        let header = ["ID", "IN USE", "CREATED", "HOST", "USER"];
        table(&header, report.keys.iter().map(row))
    })
}

/// Shows a key that was added, and returns the exit code.
pub fn key_added(printer: &Printer, report: &RepoKeyReport) -> Result<u8> {
    printer.report(report, || {
        format!(
            "{}: added the key {}: its password opens everything in it\n",
            printable(&report.repository),
            report.id.chars().take(SHORT).collect::<String>()
        )
    })
}

/// Shows a key that was removed, and returns the exit code.
pub fn key_removed(printer: &Printer, report: &RepoKeyReport) -> Result<u8> {
    printer.report(report, || {
        format!(
            "{}: removed the key {}: its password opens nothing any more\n",
            printable(&report.repository),
            report.id.chars().take(SHORT).collect::<String>()
        )
    })
}

/// Shows how many locks were removed, and returns the exit code.
pub fn unlocked(printer: &Printer, report: &RepoUnlockReport) -> Result<u8> {
    printer.report(report, || {
        let place = printable(&report.repository);
        format!("{place}: {} locks removed\n", report.removed)
    })
}

/// Shows the result of an upgrade, and returns the exit code.
pub fn upgraded(printer: &Printer, report: &RepoUpgradeReport) -> Result<u8> {
    printer.report(report, || {
        let place = printable(&report.repository);
        let level = report
            .level
            .map_or_else(String::new, |level| format!(", level {level}"));
        let what = match report.changed {
            true => "upgraded: now",
            false => "nothing to do:",
        };
        format!("{place}: {what} version {}{level}\n", report.version)
    })
}

fn notes(notes: &[String]) -> String {
    notes
        .iter()
        .map(|note| format!("note: {}\n", printable(note)))
        .collect()
}
