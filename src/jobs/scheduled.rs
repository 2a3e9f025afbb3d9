//! A run of `prune`, `verify` or `status` that a schedule started: it is recorded and notified, one at a time.
//!
//! `HOOKSHOT_JOB` names the job; the units of systemd and the agent set it. Without it, a verb is not recorded.
//! `backup` records itself.

use std::time::Duration;

use anyhow::Result;
use uuid::Uuid;

use super::{
    history::History,
    notify,
    places::{JobLock, JobPlaces},
};
use crate::{
    config::{Choices, Settings},
    context::Context,
    error::Failure,
    model::{
        occasion::Occasion,
        run_record::{Job, RunRecord, RunResult},
    },
    work::events::JobEvent,
};

/// The variable that names the job of a run that a schedule started.
pub const VARIABLE: &str = "HOOKSHOT_JOB";
/// The time to wait for another job of the same configuration.
const WAIT: Duration = Duration::from_secs(3600);
/// Exit codes that leave parts undone.
const PARTIAL: u8 = 3;

/// A run that a schedule started.
pub struct ScheduledRun<'a> {
    context: &'a Context,
    settings: Settings,
    history: History,
    record: RunRecord,
    earlier: Option<RunResult>,
    _lock: Option<JobLock>,
}

impl<'a> ScheduledRun<'a> {
    /// Begins the run of the job that the environment names; `None` if it names none that is recorded here.
    pub fn begin(context: &'a Context, choices: &Choices) -> Result<Option<ScheduledRun<'a>>> {
        let named = context.environment.get(VARIABLE).unwrap_or_default();
        let job = Job::NAMES.iter().find(|(name, _)| *name == named);
        let Some((_, job)) = job.filter(|(_, job)| !matches!(job, Job::Backup | Job::Drill)) else {
            return Ok(None);
        };
        let settings = Settings::load(choices)?;
        // A look at the destinations changes nothing: it waits for no other job.
        let lock = match job {
            Job::Status => None,
            _ => Some(JobPlaces::of(context, &settings).lock(context, WAIT)?),
        };
        let history = History::of(context, &settings);
        let runs = history.read().unwrap_or_default();
        let mut run = ScheduledRun {
            context,
            record: RunRecord {
                host: context.hostname.clone(),
                app: Some(settings.schema.app.clone()),
                ..RunRecord::begun(Uuid::new_v4().to_string(), *job, context.now)
            },
            earlier: History::last(&runs, *job).map(|run| run.result),
            settings,
            history,
            _lock: lock,
        };
        run.append();
        if *job != Job::Status {
            run.notify(Occasion::Start);
        }
        Ok(Some(run))
    }

    /// Records and notifies the end of the run: its exit code, and its failure if that is known.
    pub fn end(mut self, code: u8, failure: Option<&Failure>) {
        let job = self.record.job.name();
        self.record.exit_code = Some(code);
        self.record.duration_seconds = Some(self.context.begun.elapsed().as_secs_f64());
        self.record.result = match code {
            0 => RunResult::Success,
            PARTIAL => RunResult::Partial,
            _ => RunResult::Failure,
        };
        if code != 0 {
            let message = failure.map(|failure| self.context.runner.masked(&failure.message));
            let message = message.unwrap_or_else(|| format!("{job} ended with exit code {code}"));
            self.record.error = Some(message);
            let hint = failure.and_then(|failure| failure.hint.clone());
            let hint = hint.or_else(|| {
                Some(format!(
                    "run `hookshot {job}` by hand: it says what is wrong"
                ))
            });
            self.record.hint = hint;
        }
        self.append();
        match self.record.job {
            Job::Status => {
                let was_unhealthy =
                    matches!(self.earlier, Some(RunResult::Failure | RunResult::Partial));
                match (code != 0, was_unhealthy) {
                    (true, false) => self.notify(Occasion::Stale),
                    (false, true) => self.notify(Occasion::Recovered),
                    _ => {}
                }
            }
            _ => self.notify(Occasion::of(&self.record)),
        }
    }

    fn append(&mut self) {
        if let Err(error) = self.history.append(&self.record) {
            let reason = format!("{error:#}");
            self.context.tell(JobEvent::HistoryFails { reason });
        }
    }

    fn notify(&self, occasion: Occasion) {
        notify::send(self.context, &self.settings, occasion, &self.record);
    }
}
