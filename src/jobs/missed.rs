//! Runs that a schedule started and that could not begin.

use super::{history::History, notify, scheduled::VARIABLE};
use crate::{
    config::Settings,
    context::Context,
    error::Failure,
    model::{
        occasion::Occasion,
        run_record::{DestinationRecord, Job, RunRecord, RunResult},
    },
    work::{events::JobEvent, run_id::new_run_id},
};

/// Records and notifies a run of a job that a schedule started and that could not begin. A run by hand says so itself.
pub fn missed(
    context: &Context,
    settings: &Settings,
    job: Job,
    destinations: Vec<DestinationRecord>,
    failure: &Failure,
) {
    if context.environment.get(VARIABLE) != Some(job.name()) {
        return;
    }
    let record = RunRecord {
        result: RunResult::Failure,
        exit_code: Some(failure.kind.code()),
        duration_seconds: Some(context.begun.elapsed().as_secs_f64()),
        destinations,
        error: Some(context.runner.masked(&failure.message)),
        hint: failure
            .hint
            .as_deref()
            .map(|hint| context.runner.masked(hint)),
        host: context.hostname.clone(),
        app: Some(settings.schema.app.clone()),
        ..RunRecord::begun(new_run_id(), job, context.now)
    };
    if let Err(error) = History::of(context, settings).append(&record) {
        let reason = format!("{error:#}");
        context.tell(JobEvent::HistoryFails { reason });
    }
    notify::send(context, settings, Occasion::of(&record), &record);
}
