//! Ends the records of runs that were killed: their hooks run, and what they left at work ends.

use super::{
    history::History,
    hooks::{Hooks, WorkOutcome},
    notify,
};
use crate::{
    config::{
        Settings,
        hooks::{Operation, Stage},
    },
    context::Context,
    model::{
        occasion::Occasion,
        run_record::{Job, KILLED, RunRecord, RunResult},
        written::rfc3339,
    },
    source::leftover,
    work::events::JobEvent,
};

/// Ends the record of each run of `job` that has no end. The caller holds the job's lock, so these runs are dead. An
/// archive of such a run counts as not delivered.
///
/// Its hooks `after`, `failure` and `finally` run now, even if they ran before the kill: what a `before` hook stopped has
/// to start again.
pub fn close(
    context: &Context,
    settings: &Settings,
    history: &History,
    runs: &mut [RunRecord],
    job: Job,
) {
    let hint = match job {
        Job::Drill => {
            "nothing of it is left; look for a power cut, a full memory (`dmesg`), or a time limit of the unit"
        }
        Job::Protect => "look at the service, and at the archive of before the upgrade",
        _ => {
            "the next run delivers what it made; look for a power cut, a full memory (`dmesg`), or a time limit of the unit"
        }
    };
    let is_killed = |run: &&mut RunRecord| run.job == job && run.result == RunResult::Running;
    for run in runs.iter_mut().filter(is_killed) {
        context.tell(JobEvent::KilledRun {
            run_id: run.run_id.clone(),
            started_at: rfc3339(run.started_at),
        });
        // The probe of a drill bears this mark.
        leftover::end(&run.run_id);
        run.result = RunResult::Failure;
        run.exit_code = Some(KILLED);
        run.error = Some("the run was killed before its end".to_owned());
        run.hint = Some(hint.to_owned());
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
        let mut hooks = Hooks::new(context, settings, Operation::of(job), &run_id);
        for stage in [Stage::After, Stage::Failure, Stage::Finally] {
            hooks.after(stage, &outcome);
        }
        notify::send(context, settings, Occasion::of(run), run);
    }
}
