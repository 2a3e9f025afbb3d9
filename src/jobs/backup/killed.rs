//! Ends the record of a run that was killed: its hooks run, and its archive counts as not delivered.

use crate::{
    config::{
        Settings,
        hooks::{Operation, Stage},
    },
    context::Context,
    jobs::{
        history::History,
        hooks::{Hooks, WorkOutcome},
        notify,
    },
    model::{
        occasion::Occasion,
        run_record::{Job, KILLED, RunRecord, RunResult},
        written::rfc3339,
    },
    work::events::JobEvent,
};

/// Ends the record of each run of the job that has no end. The caller holds the job's lock, so these runs are dead.
///
/// Its hooks `after`, `failure` and `finally` run now, even if they ran before the kill: what a `before` hook stopped has
/// to start again.
pub fn close(context: &Context, settings: &Settings, history: &History, runs: &mut [RunRecord]) {
    let is_killed =
        |run: &&mut RunRecord| run.job == Job::Backup && run.result == RunResult::Running;
    for run in runs.iter_mut().filter(is_killed) {
        context.tell(JobEvent::KilledRun {
            run_id: run.run_id.clone(),
            started_at: rfc3339(run.started_at),
        });
        run.result = RunResult::Failure;
        run.exit_code = Some(KILLED);
        run.error = Some("the run was killed before its end".to_owned());
        run.hint = Some(
            "the next run delivers what it made; look for a power cut, a full memory (`dmesg`), or a time limit of the unit"
                .to_owned(),
        );
        let outcome = WorkOutcome {
            result: Some(RunResult::Failure),
            exit_code: Some(KILLED),
            archive: run.archive.clone(),
            error: run.error.clone(),
        };
        // What cannot be recorded would be done again by each run.
        if let Err(error) = history.append(run) {
            let reason = format!("{error:#}");
            context.tell(JobEvent::HistoryFails { reason });
            continue;
        }
        let run_id = run.run_id.clone();
        let mut hooks = Hooks::new(context, settings, Operation::Backup, &run_id);
        for stage in [Stage::After, Stage::Failure, Stage::Finally] {
            hooks.after(stage, &outcome);
        }
        notify::send(context, settings, Occasion::of(run), run);
    }
}
