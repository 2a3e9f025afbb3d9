//! The report of `stats`.

use anyhow::Result;

use super::{list::other_files, printer::Printer, table::table};
use crate::{
    cli::size::size,
    model::entry_name::printable,
    ops::stats::{Dated, DayStats, DestinationStats, StatsReport},
};

/// The most days that are shown; JSON has all.
const MOST_DAYS: usize = 14;

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &StatsReport) -> Result<u8> {
    printer.report_with(report, report.failure.as_ref(), || lines(report))
}

fn lines(report: &StatsReport) -> String {
    let header = [
        "DESTINATION",
        "PREFIX",
        "ARCHIVES",
        "CONTENT",
        "STORED",
        "A DAY",
        "COMPRESSION",
        "DEDUP",
        "OLDEST",
        "NEWEST",
    ];
    let mut out = table(&header, report.destinations.iter().map(row));
    for one in report
        .destinations
        .iter()
        .filter(|one| !one.days.is_empty())
    {
        out.push_str(&format!(
            "\n{}, {}\n",
            printable(&one.destination),
            printable(&one.prefix)
        ));
        let days = one.days.iter().take(MOST_DAYS);
        let day = |day: &DayStats| {
            vec![
                day.day.clone(),
                day.archives.to_string(),
                size(day.size_bytes),
            ]
        };
        out.push_str(&table(&["DAY", "ARCHIVES", "GROWTH"], days.map(day)));
        if let Some(more) = one.days.len().checked_sub(MOST_DAYS + 1) {
            out.push_str(&format!("and {} earlier days\n", more + 1));
        }
    }
    out + &other_files(&report.other_files, report.count)
}

/// Returns a ratio as people read it.
pub(super) fn ratio(ratio: f64) -> String {
    format!("{ratio:.1}")
}

fn row(one: &DestinationStats) -> Vec<String> {
    let none = || "-".to_owned();
    let time = |dated: &Option<Dated>| dated.as_ref().map_or_else(none, |dated| dated.time.clone());
    vec![
        printable(&one.destination),
        printable(&one.prefix),
        one.archives.to_string(),
        size(one.content_bytes),
        size(one.size_bytes),
        size(one.bytes_per_day),
        one.compression_ratio.map_or_else(none, ratio),
        one.dedup_ratio.map_or_else(none, ratio),
        time(&one.oldest),
        time(&one.newest),
    ]
}
