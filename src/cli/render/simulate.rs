//! The report of `prune simulate`.

use anyhow::Result;

use super::{printer::Printer, table::table};
use crate::ops::simulate::{HeldArchive, SimulatedDay, SimulationReport};

/// The most rows of the course of a simulation.
const MOST_LINES: usize = 40;

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &SimulationReport) -> Result<u8> {
    printer.report(report, || course(report))
}

fn course(report: &SimulationReport) -> String {
    // A date is YYYY-MM-DD: rows are days, or months or years if there would be too many.
    let lengths = [10, 7, 4].map(|length| (length, periods(report, length)));
    let [.., (_, years)] = &lengths;
    let fits = |(_, rows): &&(usize, Vec<Vec<String>>)| rows.len() <= MOST_LINES;
    let rows = lengths.iter().find(fits).map_or(years, |(_, rows)| rows);
    let mut out = table(&["UNTIL THE END OF", "HELD"], rows.iter().cloned());
    out.push_str(&format!(
        "\n{} archives are made, at most {} are held (since {}); in the end {}:\n\n",
        report.made,
        report.most.archives,
        report.most.time,
        report.held.len()
    ));
    let row = |held: &HeldArchive| vec![held.time.clone(), held.reasons.join("; ")];
    out.push_str(&table(&["TIME", "WHY"], report.held.iter().map(row)));
    out
}

/// Returns a row for each period, whose name is the first `length` characters of a date: the archives held at its end.
fn periods(report: &SimulationReport, length: usize) -> Vec<Vec<String>> {
    let name = |day: &SimulatedDay| day.date.get(..length).unwrap_or(&day.date).to_owned();
    let chunks = report
        .timeline
        .chunk_by(|one, other| name(one) == name(other));
    let last = chunks.filter_map(<[SimulatedDay]>::last);
    last.map(|day| vec![name(day), day.held.to_string()])
        .collect()
}
