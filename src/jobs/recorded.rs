//! One recorded run of a job: its first record, its hooks, its work, its last record, the metrics and the notifications.

use anyhow::Result;

use super::{
    history::History,
    hooks::{Begin, HookReport, Hooks, WorkOutcome},
    killed, metrics,
    notify::{self, NotificationOutcome},
};
use crate::{
    config::{
        Settings,
        hooks::{Operation, Stage},
    },
    context::Context,
    error::Failure,
    model::{
        occasion::Occasion,
        run_record::{RunRecord, RunResult, SkipReason},
    },
    work::events::JobEvent,
};

/// The work of a job, which collects its own failures.
pub trait JobWork {
    /// Does the work; `runs` are those of the history. Without a `before` hook that failed or skipped the run.
    fn work(&mut self, runs: &[RunRecord], record: &mut RunRecord);

    /// Does what depends on the work, behind the `after` hooks.
    fn follow(&mut self, _runs: &[RunRecord], _record: &mut RunRecord) {}

    /// Notes that a `before` hook asked to skip the run: the work is not done.
    fn skip(&mut self, record: &mut RunRecord) {
        record.skipped = Some(SkipReason::Hook);
    }

    /// Notes that a `before` hook failed: the work is not done.
    fn fail(&mut self, failure: Failure, record: &mut RunRecord);

    /// Notes what is left undone beside the work.
    fn leave(&mut self, undone: Vec<String>);

    /// Writes the present outcome into the record: result, exit code, error, hint, duration.
    fn settle(&self, record: &mut RunRecord);

    /// Ends the work, just before its last record.
    fn end(&mut self) {}
}

/// A run of a job, whose lock the caller holds.
pub struct Recorded<'a> {
    pub context: &'a Context,
    pub settings: &'a Settings,
    /// The history; `None` without a configuration.
    pub history: Option<&'a History>,
}

/// The end of a run.
pub struct Ended {
    pub record: RunRecord,
    pub hooks: Vec<HookReport>,
    pub notifications: Vec<NotificationOutcome>,
}

impl Recorded<'_> {
    /// Runs the job that `record` begins. A run with a reason to be skipped does no work and has no `before` hooks.
    pub fn run(
        &self,
        mut record: RunRecord,
        skipped: Option<SkipReason>,
        work: &mut dyn JobWork,
    ) -> Ended {
        let runs = self.past(&record, work);
        self.append(&record, work);
        let mut notifications = self.notify(&record);
        let run_id = record.run_id.clone();
        let operation = Operation::of(record.job);
        let mut hooks = Hooks::new(self.context, self.settings, operation, &run_id);
        record.skipped = skipped;
        if record.skipped.is_none() {
            match hooks.before() {
                Begin::Go => {
                    work.work(&runs, &mut record);
                    work.settle(&mut record);
                    hooks.after(Stage::After, &outcome(&record));
                    work.follow(&runs, &mut record);
                }
                Begin::Skip => work.skip(&mut record),
                Begin::Failed(failure) => work.fail(failure, &mut record),
            }
        }
        work.leave(std::mem::take(&mut hooks.faults));
        work.settle(&mut record);
        match record.result {
            RunResult::Success => hooks.after(Stage::Success, &outcome(&record)),
            RunResult::Partial | RunResult::Failure => {
                hooks.after(Stage::Failure, &outcome(&record));
            }
            RunResult::Running | RunResult::Skipped => {}
        }
        hooks.after(Stage::Finally, &outcome(&record));
        work.leave(std::mem::take(&mut hooks.faults));
        work.end();
        work.settle(&mut record);
        let is_appended = self.append(&record, work);
        self.write_metrics(work);
        let recorded = (record.result, record.error.clone());
        work.settle(&mut record);
        if is_appended && recorded != (record.result, record.error.clone()) {
            // History and exit code are one.
            self.append(&record, work);
        }
        notifications.extend(self.notify(&record));
        Ended {
            record,
            hooks: hooks.reports,
            notifications,
        }
    }

    /// Returns the runs of the history. Ends the records of those that were killed.
    fn past(&self, record: &RunRecord, work: &mut dyn JobWork) -> Vec<RunRecord> {
        let Some(history) = self.history else {
            return Vec::new();
        };
        let mut runs = self.noted(history.read(), work).unwrap_or_default();
        killed::close(self.context, self.settings, history, &mut runs, record.job);
        runs
    }

    /// Appends the record to the history; returns false if that failed.
    fn append(&self, record: &RunRecord, work: &mut dyn JobWork) -> bool {
        let Some(history) = self.history else {
            return true;
        };
        self.noted(history.append(record), work).is_some()
    }

    /// Returns the value of a step of the history. A failure leaves the run undone in part: the work counts more than
    /// the record of it.
    fn noted<T>(&self, value: Result<T>, work: &mut dyn JobWork) -> Option<T> {
        value
            .inspect_err(|error| {
                let reason = format!("{error:#}");
                work.leave(vec![format!("the history is not complete: {reason}")]);
                self.context.tell(JobEvent::HistoryFails { reason });
            })
            .ok()
    }

    /// Writes the metrics to `prometheus_file`, if the configuration names one. They tell of this run, so they come after
    /// its record.
    fn write_metrics(&self, work: &mut dyn JobWork) {
        if self.history.is_some()
            && let Err(failure) = metrics::publish(self.context, self.settings)
        {
            work.leave(vec![failure.message]);
        }
    }

    /// Sends the notifications of the run's beginning or end. Their failures change nothing else.
    fn notify(&self, record: &RunRecord) -> Vec<NotificationOutcome> {
        notify::send(self.context, self.settings, Occasion::of(record), record)
    }
}

/// Returns the outcome that hooks are told.
fn outcome(record: &RunRecord) -> WorkOutcome {
    WorkOutcome {
        result: Some(record.result),
        exit_code: Some(record.exit_code.unwrap_or_default()),
        archive: record.archive.clone(),
        error: record.error.clone(),
    }
}
