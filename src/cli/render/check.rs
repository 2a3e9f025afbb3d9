//! The report of `check`.

use anyhow::Result;

use super::{printer::Printer, table::table};
use crate::{
    cli::size::size,
    model::entry_name::printable,
    ops::check::{Capability, CheckReport, Connection, DestinationCheck},
};

/// The extent of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDetail {
    /// The results.
    Results,
    /// The connections, too.
    Connections,
}

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &CheckReport, detail: CheckDetail) -> Result<u8> {
    printer.report_with(report, report.failure.as_ref(), || lines(report, detail))
}

/// Returns the report in words.
pub fn lines(report: &CheckReport, detail: CheckDetail) -> String {
    let destinations = report.destinations.iter();
    destinations.map(|one| describe(one, detail)).collect()
}

/// Returns a line for each fact of a connection.
fn connection(found: &Connection) -> String {
    let rate = |rate: u64| format!("{} a second", size(rate));
    let facts = [
        ("kind", Some(found.kind.to_owned())),
        ("server", found.server.clone()),
        ("region", found.region.clone()),
        (
            "time limit",
            Some(format!("{} s for each request", found.timeout_seconds)),
        ),
        ("retries", Some(found.retry_attempts.to_string())),
        (
            "uploads",
            Some(format!(
                "{} parts of {} at the same time",
                found.parallel_uploads,
                size(found.chunk_bytes as u64)
            )),
        ),
        ("rate", found.bytes_per_second.map(rate)),
        ("read back", found.read_back.then(|| "always".to_owned())),
    ];
    let facts = facts.into_iter();
    let lines = facts.filter_map(|(name, fact)| Some(format!("  {name}: {}\n", printable(&fact?))));
    lines.collect()
}

fn describe(checked: &DestinationCheck, detail: CheckDetail) -> String {
    let name = checked
        .name
        .as_ref()
        .map(|name| format!("@{} ", printable(name)));
    let good = if checked.good { "good" } else { "NOT GOOD" };
    let mut out = format!(
        "{}{}: {good}\n",
        name.unwrap_or_default(),
        printable(&checked.location)
    );
    if detail == CheckDetail::Connections {
        out.extend(checked.connection.as_ref().map(connection));
    }
    for name in &checked.swept {
        out.push_str(&format!("  removed leftovers of {}\n", printable(name)));
    }
    let row = |capability: &Capability| {
        let result = match (capability.good, capability.seconds) {
            (true, _) => "yes",
            (false, Some(_)) => "NO",
            (false, None) => "-",
        };
        let seconds = capability.seconds;
        vec![
            format!("  {}", capability.name.name().replace('_', " ")),
            result.to_owned(),
            seconds.map_or_else(
                || "-".to_owned(),
                |seconds| format!("{:.0} ms", seconds * 1000.0),
            ),
            capability
                .message
                .as_deref()
                .map_or_else(String::new, printable),
        ]
    };
    out.push_str(&table(
        &["  CAPABILITY", "", "TIME", ""],
        checked.capabilities.iter().map(row),
    ));
    out
}
