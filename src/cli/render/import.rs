//! The report of `import` and of `rollback`.
//!
//! The plan of a dry run and the outcome are log lines. A quiet run has no log lines, so its plan goes to standard
//! output: it is the result that the user asked for.

use anyhow::Result;
use tracing::info;

use super::printer::Printer;
use crate::{
    error::Kind,
    jobs::guard::GuardedReport,
    machine::report::{ApplyReport, StepReport},
    model::{
        entry_name::{printable, printable_line},
        plan::Action,
    },
};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &ApplyReport, is_quiet: bool) -> Result<u8> {
    let text = || match report.dry_run && is_quiet {
        true => plan(report)
            .iter()
            .map(|line| format!("{}\n", printable_line(line)))
            .collect(),
        false => String::new(),
    };
    if let Some(refusal) = report.refusal() {
        return printer.report_with(report, Some(&refusal), text);
    }
    printer.ended(report, report.remarks.failure().as_ref(), text)
}

/// Shows the report of a guarded import or rollback, and returns the exit code.
pub fn show_guarded(printer: &Printer, report: &GuardedReport) -> Result<u8> {
    match &report.failure {
        Some(failure) if failure.kind != Kind::Partial => {
            printer.report_with(report, Some(failure), String::new)
        }
        failure => printer.ended(report, failure.as_ref(), String::new),
    }
}

/// Logs the plan of a dry run of an import, or the outcome of an import.
pub fn log_import(report: &ApplyReport) {
    if report.dry_run {
        log_plan(report);
    }
    if report.applied {
        log_restored(report);
    }
}

/// Logs the plan of a dry run of a rollback, or the outcome of a rollback.
pub fn log_rollback(report: &ApplyReport) {
    if report.dry_run {
        log_plan(report);
    }
    let is_fed = |step: &StepReport| step.action == Action::Feed;
    if report.applied && (report.changed > 0 || report.steps.iter().any(is_fed)) {
        info!(
            files = report.changed,
            "Rollback completed successfully, what it replaced stays as .bak (a second rollback brings it back)"
        );
    } else if report.applied {
        info!("Nothing to bring back: every file is what it was before");
    }
}

fn log_plan(report: &ApplyReport) {
    info!("DRY RUN MODE - No changes will be made");
    for line in plan(report) {
        info!("{line}");
    }
    info!("DRY RUN COMPLETE - No changes were made");
}

/// Returns the plan, a line for each step; that of an import has a heading.
fn plan(report: &ApplyReport) -> Vec<String> {
    let steps = report.steps.iter();
    if report.archive.is_none() {
        return steps.map(step_of_rollback).collect();
    }
    let hostname = report.hostname.as_deref().unwrap_or("an unknown host");
    let heading = format!(
        "The following files of {} would be restored:",
        printable(hostname)
    );
    std::iter::once(heading)
        .chain(steps.map(step_of_import))
        .collect()
}

fn step_of_import(step: &StepReport) -> String {
    let (entry, description) = (printable(&step.entry), step.action.description());
    match &step.target {
        Some(target) => format!("  {entry} -> {target} ({description})"),
        None => format!("  {entry}: {description}"),
    }
}

fn step_of_rollback(step: &StepReport) -> String {
    let target = step.target.as_deref().unwrap_or_default();
    let backup = step.backup.as_deref().unwrap_or(".bak");
    match (step.action, &step.origin) {
        (Action::Unchanged, _) => format!("  {target} is gone already"),
        (Action::Feed, Some(origin)) => {
            format!(
                "  {} -> the import command of {}",
                origin.display(),
                step.entry
            )
        }
        (Action::Remove, _) | (_, None) => {
            format!("  {target} would go (it stays as {backup})")
        }
        (_, Some(origin)) => format!("  {} -> {target}", origin.display()),
    }
}

/// Logs the outcome of an import.
fn log_restored(report: &ApplyReport) {
    let count = |wanted: fn(Action) -> bool| {
        let steps = report.steps.iter();
        steps.filter(|step| wanted(step.action)).count()
    };
    // A removed file beside an old SQLite database is not an entry.
    let entries = count(|action| matches!(action, Action::Create | Action::Replace | Action::Feed));
    let left_out = count(|action| action == Action::Skip);
    let is_same = report.changed == 0;
    if entries == 0 && is_same {
        info!("Nothing to restore: every file is what the archive holds");
        return;
    }
    let kept = match is_same {
        true => "no file was replaced",
        false => "what was replaced stays as .bak (`hookshot rollback` brings it back)",
    };
    if report.remarks.is_complete() {
        info!(entries, "Restore completed successfully, {kept}");
    } else {
        info!(
            entries,
            left_out, "Restore completed in part, {kept}; the lines above name what is left undone"
        );
    }
}
