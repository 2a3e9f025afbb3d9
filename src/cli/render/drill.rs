//! The report of `drill`.

use std::path::Path;

use anyhow::Result;

use super::{explain::about_scratch, printer::Printer};
use crate::{
    cli::size::size,
    jobs::drill::DrillReport,
    model::{
        drill_record::DrillRecord,
        entry_name::{printable, printable_line},
        run_record::RunResult,
    },
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &DrillReport, scratch: &Path) -> Result<u8> {
    let failure = report.failure.clone();
    let failure = failure.map(|failure| about_scratch(failure, scratch));
    printer.report_with(report, failure.as_ref(), || lines(report))
}

fn lines(report: &DrillReport) -> String {
    let mut out: String = report.drills.iter().map(of_archive).collect();
    let seconds = report.duration_seconds;
    let count = report.drills.len();
    out.push_str(&match (report.result, count) {
        (RunResult::Skipped, _) => {
            format!("skipped in {seconds:.1} s: a before hook asked for it\n")
        }
        (RunResult::Success, 1) => format!("success in {seconds:.1} s\n"),
        (RunResult::Success, count) => {
            format!("success in {seconds:.1} s: {count} restores rehearsed\n")
        }
        (RunResult::Partial, _) if report.drills.iter().any(|drill| !drill.good) => {
            format!("partial in {seconds:.1} s: not all of the state was restored\n")
        }
        (RunResult::Partial, _) => {
            format!("partial in {seconds:.1} s: the restores are good, parts were left undone\n")
        }
        (RunResult::Failure | RunResult::Running, _) => format!("failure in {seconds:.1} s\n"),
    });
    out
}

fn of_archive(drill: &DrillRecord) -> String {
    let destination = drill.destination.as_deref().map(printable);
    let name = drill.archive.as_deref().map(printable);
    let mut out = match (destination, name) {
        (Some(destination), Some(name)) => format!("{destination}: {name}: "),
        (Some(one), None) | (None, Some(one)) => format!("{one}: "),
        (None, None) => String::new(),
    };
    let seconds = &drill.seconds;
    match (drill.rto_seconds, drill.good) {
        (Some(rto), true) => {
            let bytes = drill.bytes.map(size);
            let bytes = bytes.map_or_else(String::new, |bytes| format!("{bytes} "));
            let part = |seconds: Option<f64>| seconds.unwrap_or_default();
            out.push_str(&format!(
                "good, {bytes}restored in {rto:.1} s (fetch {:.1} s, verify {:.1} s, restore {:.1} s)\n",
                part(seconds.fetch),
                part(seconds.verify),
                part(seconds.restore)
            ));
        }
        (Some(_), false) => out.push_str("NOT WHOLE\n"),
        (None, _) if drill.unknown => {
            out.push_str("NOT RESTORED, so it is not known whether it is good\n");
        }
        (None, _) => out.push_str("NOT GOOD\n"),
    }
    if let Some(probe) = &drill.probe {
        let took = seconds.probe.unwrap_or_default();
        match (probe.exit_code, &drill.error) {
            (Some(0), _) => out.push_str(&format!("  probe: good, {took:.1} s\n")),
            (_, error) => {
                let error = error.as_deref().unwrap_or("failed");
                out.push_str(&format!("  probe: FAILED: {}\n", printable_line(error)));
                for line in probe.output.lines() {
                    out.push_str(&format!("    {}\n", printable(line)));
                }
            }
        }
    } else if let Some(error) = &drill.error {
        out.push_str(&format!("  - {}\n", printable_line(error)));
    }
    for warning in &drill.warnings {
        out.push_str(&format!("  - {}\n", printable_line(warning)));
    }
    if let Some(sandbox) = &drill.sandbox {
        out.push_str(&format!(
            "  the restored state stays in {}\n",
            printable(sandbox)
        ));
    }
    out
}
