//! The report and the plan of `backup`.

use anyhow::Result;

use super::{printer::Printer, table::table};
use crate::{
    cli::size::size,
    jobs::backup::{BackupPlan, BackupReport, SeveralReport},
    model::{
        entry_name::printable,
        run_record::{RunResult, SkipReason},
    },
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &BackupReport) -> Result<u8> {
    printer.report_with(report, report.failure.as_ref(), || lines(report))
}

/// Shows the runs of several configurations, and returns the exit code.
pub fn show_all(printer: &Printer, report: &SeveralReport) -> Result<u8> {
    printer.report_with(report, report.failure.as_ref(), || {
        let mut out = String::new();
        for run in &report.runs {
            out.push_str(&format!("{}\n", printable(&run.config)));
            match (&run.report, &run.error) {
                (Some(report), _) => out.push_str(&lines(report)),
                (None, error) => {
                    let error = error.as_deref().unwrap_or_default();
                    out.push_str(&format!("not begun: {}\n", printable(error)));
                }
            }
        }
        out
    })
}

/// Shows the plan, and returns the exit code.
pub fn show_plan(printer: &Printer, plan: &BackupPlan) -> Result<u8> {
    printer.report_with(plan, plan.failure.as_ref(), || plan_lines(plan))
}

fn lines(report: &BackupReport) -> String {
    let mut out = String::new();
    if !report.destinations.is_empty() {
        let rows = report.destinations.iter().map(|destination| {
            let outcome = match (&destination.error, destination.good, &destination.proof) {
                (Some(error), ..) => printable(error),
                (None, true, Some(proof)) => format!("proven by {proof}"),
                (None, true, None) => "holds this state".to_owned(),
                (None, false, _) => "not used".to_owned(),
            };
            vec![
                printable(&destination.name),
                outcome,
                destination.caught_up.len().to_string(),
                destination.removed.len().to_string(),
            ]
        });
        out.push_str(&table(
            &["DESTINATION", "ARCHIVE", "DELIVERED LATER", "REMOVED"],
            rows,
        ));
        out.push('\n');
    }
    let seconds = report.duration_seconds;
    let archive = report.archive.as_deref().map(printable).unwrap_or_default();
    let bytes = report.size_bytes.map(size).unwrap_or_default();
    out.push_str(&match (report.result, report.skipped) {
        (RunResult::Skipped, Some(SkipReason::Unchanged)) => {
            format!("skipped in {seconds:.1} s: nothing changed since {archive}\n")
        }
        (RunResult::Skipped, Some(SkipReason::Hook)) => {
            format!("skipped in {seconds:.1} s: a before hook asked for it\n")
        }
        (RunResult::Skipped, Some(SkipReason::NotDue)) => {
            format!("skipped in {seconds:.1} s: the time of no destination has come\n")
        }
        (RunResult::Success, _) => format!("success in {seconds:.1} s: {archive}, {bytes}\n"),
        (RunResult::Partial, _) => {
            format!("partial in {seconds:.1} s: {archive}, {bytes}; parts were left undone\n")
        }
        (RunResult::Failure | RunResult::Running | RunResult::Skipped, _) => {
            format!("failure in {seconds:.1} s\n")
        }
    });
    out
}

fn plan_lines(plan: &BackupPlan) -> String {
    let mut out = String::new();
    for hook in &plan.hooks {
        out.push_str(&format!(
            "would run the {} hook `{}`\n",
            hook.stage, hook.command
        ));
    }
    let is_unchanged = plan.if_changed.as_ref().and_then(|one| one.unchanged);
    if let Some(comparison) = &plan.if_changed {
        out.push_str(&format!(
            "{}: {}\n",
            match comparison.unchanged {
                Some(true) => "would make no archive",
                Some(false) => "would make an archive",
                None => "may make an archive",
            },
            printable(&comparison.reason)
        ));
    }
    for destination in &plan.destinations {
        let name = printable(&destination.name);
        match &destination.error {
            Some(error) => out.push_str(&format!("{name}: {}\n", printable(error))),
            None if is_unchanged == Some(true) => {
                out.push_str(&format!("{name}: holds this state\n"));
            }
            None if plan.if_changed.is_some() && is_unchanged.is_none() => {
                out.push_str(&format!("{name}: may get an archive\n"));
            }
            None => out.push_str(&format!("{name}: would get an archive\n")),
        }
        for archive in &destination.catch_up {
            out.push_str(&format!(
                "{name}: would get {} of an earlier run\n",
                printable(archive)
            ));
        }
        for archive in &destination.not_needed {
            out.push_str(&format!(
                "{name}: would not get {} of an earlier run: the policy would remove it at once\n",
                printable(archive)
            ));
        }
        if let Some(reason) = &destination.not_pruned {
            out.push_str(&format!(
                "{name}: nothing would be removed: {}\n",
                printable(reason)
            ));
        }
        for archive in &destination.remove {
            out.push_str(&format!("{name}: would lose {}\n", printable(archive)));
        }
    }
    out
}
