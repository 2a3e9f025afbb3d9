//! `hookshot check`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use super::{App, output::table};
use crate::{
    model::entry_name::printable,
    ops::check::{Capability, CheckReport, DestinationCheck, check},
};

/// Find out what can be done at a destination
///
/// Writes a small object, finds it, reads it, lists it, tries to create it a second time, which must be refused, and deletes
/// it. What uploads left that were killed is removed first.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot check\n  hookshot check @offsite\n  hookshot check s3://bucket/host --json"
)]
pub struct Check {
    /// @NAME, a URL or a folder [default: all of [backup] to]
    destinations: Vec<OsString>,
}

impl Check {
    pub fn run(self, app: &App) -> Result<u8> {
        let settings = app.settings()?;
        let report = check(&app.context, settings, &self.destinations)?;
        let failure = report.failure.as_ref();
        app.output
            .report_with(&report, failure, || lines(&report))?;
        Ok(failure.map_or(0, |failure| failure.kind.code()))
    }
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
        out.push_str(&format!("  removed what was left of {}\n", printable(name)));
    }
    let row = |capability: &Capability| {
        let result = match (capability.good, capability.seconds) {
            (true, _) => "yes",
            (false, Some(_)) => "NO",
            (false, None) => "-",
        };
        let seconds = capability.seconds;
        vec![
            format!("  {}", capability.name.replace('_', " ")),
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
