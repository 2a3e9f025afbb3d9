//! A run of `prune`, `verify` or `status` that a schedule started: it is recorded and notified, one at a time.
//!
//! `HOOKSHOT_JOB` names the job; the units of systemd and the agent set it. Without it, a verb is not recorded.
//! `backup` records itself.

use std::time::Duration;

use anyhow::Result;
use chrono::TimeDelta;

use super::{
    health_news::{Health, News},
    history::History,
    known_secrets,
    lock::{JobLock, lock},
    notify,
};
use crate::{
    config::{Choices, Settings},
    context::Context,
    error::Failure,
    model::{
        occasion::Occasion,
        run_record::{Job, KILLED, RunRecord, RunResult},
    },
    work::{events::JobEvent, run_id::new_run_id},
};

pub use crate::work::shell::JOB as VARIABLE;
/// The time to wait for another job of the same configuration.
const WAIT: Duration = Duration::from_secs(3600);
/// The longest time that a run which takes no lock may last.
const DAY: TimeDelta = TimeDelta::days(1);
/// Exit codes that leave parts undone.
const PARTIAL: u8 = 3;

/// A run that a schedule started.
pub struct ScheduledRun<'a> {
    context: &'a Context,
    settings: Settings,
    history: History,
    record: RunRecord,
    _lock: Option<JobLock>,
}

impl<'a> ScheduledRun<'a> {
    /// Begins a run of `verb`, which is a job, if the environment says that a schedule started it. `backup` records
    /// itself.
    pub fn begin(
        context: &'a Context,
        choices: &Choices,
        verb: Option<Job>,
    ) -> Result<Option<ScheduledRun<'a>>> {
        let named = context.environment.get(VARIABLE);
        let job = verb.filter(|job| named == Some(job.name()));
        let Some(job) = job.filter(|job| !matches!(job, Job::Backup | Job::Drill)) else {
            return Ok(None);
        };
        let settings = Settings::load(choices)?;
        known_secrets::mask(context, &settings);
        // What only reads keeps no other job waiting.
        let lock = match job {
            Job::Prune => Some(lock(context, &settings, WAIT)?),
            _ => None,
        };
        let history = History::of(context, &settings);
        let runs = history.read().unwrap_or_default();
        close(context, &settings, &history, &runs, job);
        let earlier = History::last(&runs, job);
        let mut run = ScheduledRun {
            context,
            record: RunRecord {
                told: earlier.map(|run| run.told.clone()).unwrap_or_default(),
                host: context.hostname.clone(),
                app: Some(settings.schema.app.clone()),
                ..RunRecord::begun(new_run_id(), job, context.now)
            },
            settings,
            history,
            _lock: lock,
        };
        run.append();
        if job != Job::Status {
            run.notify(Occasion::Start);
        }
        Ok(Some(run))
    }

    /// Records and notifies the end of the run: its exit code, its failure if that is known, and the number of sealed
    /// archives that it did not open.
    pub fn end(mut self, code: u8, failure: Option<&Failure>, outside: usize) {
        let job = self.record.job.name();
        self.record.outside = Some(outside).filter(|outside| *outside > 0);
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
            let hint = failure.and_then(|failure| failure.hint.as_deref());
            let hint = hint.map(|hint| self.context.runner.masked(hint));
            let hint = hint.or_else(|| {
                Some(format!(
                    "run `hookshot {job}` by hand: it says what is wrong"
                ))
            });
            self.record.hint = hint;
        }
        self.append();
        match self.record.job {
            Job::Status => self.tell_of_health(Health::of(code, failure)),
            _ => self.notify(Occasion::of(&self.record)),
        }
    }

    /// Sends the news of a check of the health, and records which notifications got them.
    fn tell_of_health(&mut self, health: Health) {
        let notifications = &self.settings.schema.notify;
        let Some(news) = News::of(health, notifications, &self.record.told) else {
            return;
        };
        let (context, settings) = (self.context, &self.settings);
        let outcomes = notify::send_to(context, settings, &news.to, news.occasion, &self.record);
        let told = news.told(&outcomes);
        if told != self.record.told {
            self.record.told = told;
            self.append();
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

/// Ends the records of earlier runs of the job that were killed: the lock keeps living ones of `prune` out, and no other
/// takes longer than a day. They are notified, but for `status`: this run tells the health.
fn close(context: &Context, settings: &Settings, history: &History, runs: &[RunRecord], job: Job) {
    let is_dead = |run: &&RunRecord| {
        let age = context.now.signed_duration_since(run.started_at);
        run.job == job && run.result == RunResult::Running && (job == Job::Prune || age > DAY)
    };
    for run in runs.iter().filter(is_dead) {
        let ended = RunRecord {
            result: RunResult::Failure,
            exit_code: Some(KILLED),
            error: Some("the run was killed before its end".to_owned()),
            hint: Some(
                "look for a power cut, a full memory (`dmesg`), or a time limit of the unit"
                    .to_owned(),
            ),
            ..run.clone()
        };
        // What cannot be recorded would be told again by each run.
        if let Err(error) = history.append(&ended) {
            let reason = format!("{error:#}");
            context.tell(JobEvent::HistoryFails { reason });
        } else if job != Job::Status {
            notify::send(context, settings, Occasion::of(&ended), &ended);
        }
    }
}
