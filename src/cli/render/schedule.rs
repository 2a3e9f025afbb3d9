//! The report of `schedule`.

use anyhow::Result;

use super::{printer::Printer, table::table};
use crate::{jobs::schedule::ScheduleReport, model::quantity::TimeLimit};

/// Shows the report, and returns the exit code.
pub fn show(printer: &Printer, report: &ScheduleReport) -> Result<u8> {
    printer.report(report, || text(report))
}

fn text(report: &ScheduleReport) -> String {
    if report.jobs.is_empty() {
        return "nothing is scheduled\n".to_owned();
    }
    let rows = report.jobs.iter().flat_map(|job| {
        job.runs.iter().map(|run| {
            vec![
                job.job.name().to_owned(),
                job.timetable.clone(),
                run.local.clone(),
                run.time.clone(),
            ]
        })
    });
    let mut text = table(&["JOB", "SCHEDULE", report.timezone, "UTC"], rows);
    if report.jitter_seconds > 0 {
        let jitter = TimeLimit::new(report.jitter_seconds);
        text.push_str(&format!("\neach start is delayed by up to {jitter}\n"));
    }
    if report.is_default {
        text.push_str(
            "\n[backup.schedule] does not say when the backup starts: this is the default\n",
        );
    }
    text
}
