//! The report of `check`.

use anyhow::Result;

use super::{printer::Printer, table::table};
use crate::{
    model::entry_name::printable,
    ops::check::{Capability, CheckReport, DestinationCheck},
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &CheckReport) -> Result<u8> {
    printer.report_with(report, report.failure.as_ref(), || lines(report))
}

fn lines(report: &CheckReport) -> String {
    report.destinations.iter().map(describe).collect()
}

fn describe(checked: &DestinationCheck) -> String {
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
