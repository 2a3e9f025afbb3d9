//! The report of `history`.

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::{printer::Printer, table::table};
use crate::{
    cli::size::size,
    jobs::runs::{HistoryReport, ShownRun},
    model::{
        entry_name::printable,
        readable::{duration, span},
        run_record::{RunRecord, RunResult, SkipReason},
        written::rfc3339,
    },
};

/// The most characters of a message in the table; JSON has all.
const MOST_LETTERS: usize = 100;

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &HistoryReport, now: DateTime<Utc>) -> Result<u8> {
    printer.report(report, || lines(report, now))
}

fn lines(report: &HistoryReport, now: DateTime<Utc>) -> String {
    if report.runs.is_empty() {
        return "no runs found; `hookshot backup` makes one\n".to_owned();
    }
    let row = |run: &ShownRun| {
        let record = &run.record;
        vec![
            rfc3339(record.started_at),
            record.job.name().to_owned(),
            result(run),
            took(run, now).unwrap_or_else(none),
            record.archive.as_deref().map_or_else(none, printable),
            record.size_bytes.map_or_else(none, size),
            destinations(record).unwrap_or_else(none),
            error(record),
        ]
    };
    let header = [
        "BEGUN", "JOB", "RESULT", "TOOK", "ARCHIVE", "SIZE", "GOOD AT", "ERROR",
    ];
    table(&header, report.runs.iter().map(row))
}

/// Describes a run in a line: its job, result, begin and duration.
pub fn run_line(run: &ShownRun, now: DateTime<Utc>) -> String {
    let record = &run.record;
    let begun = (now - record.started_at).num_seconds();
    let mut line = format!("{}, {}", record.job.name(), result(run));
    line.push_str(&match begun {
        ..0 => format!(", begun at {}", rfc3339(record.started_at)),
        seconds => format!(", begun {} ago", span(seconds)),
    });
    if let Some(seconds) = record.duration_seconds {
        line.push_str(&format!(", took {}", duration(seconds)));
    }
    line
}

/// Returns the word for the result of a run.
fn result(run: &ShownRun) -> String {
    if run.killed {
        return "killed".to_owned();
    }
    let name = run.record.result.name();
    if let Some(outside) = run.record.outside {
        return format!("{name} ({outside} not opened)");
    }
    match run.record.skipped {
        Some(SkipReason::Unchanged) => format!("{name} (unchanged)"),
        Some(SkipReason::Hook) => format!("{name} (hook)"),
        Some(SkipReason::NotDue) => format!("{name} (not due)"),
        None => name.to_owned(),
    }
}

fn took(run: &ShownRun, now: DateTime<Utc>) -> Option<String> {
    let record = &run.record;
    if record.result == RunResult::Running && !run.killed {
        let begun = (now - record.started_at).num_seconds();
        return Some(format!("{} so far", span(begun)));
    }
    record.duration_seconds.map(duration)
}

/// Returns the number of destinations that hold the archive.
fn destinations(record: &RunRecord) -> Option<String> {
    let good = record.destinations.iter().filter(|one| one.good).count();
    let all = record.destinations.len();
    (all > 0).then(|| format!("{good} of {all}"))
}

fn error(record: &RunRecord) -> String {
    let of_destination = || {
        record
            .destinations
            .iter()
            .find_map(|one| one.error.as_deref())
    };
    let error = record.error.as_deref().or_else(of_destination);
    let mut error = error.map_or_else(String::new, printable);
    if let Some((end, _)) = error.char_indices().nth(MOST_LETTERS) {
        error.truncate(end);
        error.push_str("...");
    }
    error
}

fn none() -> String {
    "-".to_owned()
}
