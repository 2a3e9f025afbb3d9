//! The runs of a configuration: those that ended, the one that is at work, and those that were killed.

use std::time::Duration;

use anyhow::Result;
use chrono::TimeDelta;
use serde::Serialize;

use super::{history::History, lock::is_locked};
use crate::{
    config::Settings,
    context::Context,
    model::run_record::{Job, RunRecord, RunResult},
};

/// The request for a history.
#[derive(Debug, Clone, Copy, Default)]
pub struct HistoryRequest {
    /// The most runs.
    pub last: Option<usize>,
    /// The only job.
    pub job: Option<Job>,
    /// The longest time since a run began.
    pub since: Option<Duration>,
}

/// Runs of a configuration, the newest first.
#[derive(Debug, Serialize)]
pub struct HistoryReport {
    /// The runs.
    pub runs: Vec<ShownRun>,
}

/// A run, and its standing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownRun {
    /// The run.
    #[serde(flatten)]
    pub record: RunRecord,
    /// True if it did not end and is not at work.
    pub killed: bool,
}

/// Returns the runs of the history that a request selects.
pub fn history(
    context: &Context,
    settings: &Settings,
    request: &HistoryRequest,
) -> Result<HistoryReport> {
    let runs = Runs::read(context, settings)?;
    let since = request.since.map(|since| {
        let since = TimeDelta::from_std(since).unwrap_or(TimeDelta::MAX);
        context.now.checked_sub_signed(since).unwrap_or_default()
    });
    let is_wanted = |run: &&RunRecord| {
        request.job.is_none_or(|job| run.job == job)
            && since.is_none_or(|since| run.started_at >= since)
    };
    let newest_first = runs.all().iter().rev().filter(is_wanted);
    let selected = newest_first.take(request.last.unwrap_or(usize::MAX));
    Ok(HistoryReport {
        runs: selected.map(|run| runs.shown(run)).collect(),
    })
}

/// The runs of a configuration.
#[derive(Debug)]
pub struct Runs {
    all: Vec<RunRecord>,
    /// The position of the run that is at work.
    living: Option<usize>,
}

impl Runs {
    /// Reads the history. A run without an end is at work if it is the newest one and the lock of jobs is held. A look
    /// at the destinations takes no lock, so it counts as at work until the next one begins.
    ///
    /// Not promised: that it still is at work a moment later.
    pub fn read(context: &Context, settings: &Settings) -> Result<Runs> {
        let all = History::of(context, settings).read()?;
        let is_open = |run: &RunRecord| run.result == RunResult::Running && run.job != Job::Status;
        let newest = all.iter().rposition(is_open);
        let living = match newest {
            Some(at) if is_locked(settings)? => Some(at),
            _ => None,
        };
        Ok(Runs { all, living })
    }

    /// Returns all runs, the one that began first comes first.
    pub fn all(&self) -> &[RunRecord] {
        &self.all
    }

    /// Returns the run that is at work.
    pub fn living(&self) -> Option<&RunRecord> {
        self.all.get(self.living?)
    }

    /// Returns the last run of a job that ended or was killed.
    pub fn last(&self, job: Job) -> Option<&RunRecord> {
        let mut runs = self.all.iter().rev();
        runs.find(|run| run.job == job && (run.result != RunResult::Running || self.is_killed(run)))
    }

    /// Returns true if a run did not end and is not at work.
    pub fn is_killed(&self, run: &RunRecord) -> bool {
        if run.job == Job::Status {
            let mut later = self
                .all
                .iter()
                .rev()
                .take_while(|one| one.run_id != run.run_id);
            return run.result == RunResult::Running && later.any(|one| one.job == Job::Status);
        }
        let living = self.living();
        run.result == RunResult::Running && living.is_none_or(|living| living.run_id != run.run_id)
    }

    /// Returns a run with its standing.
    pub fn shown(&self, run: &RunRecord) -> ShownRun {
        ShownRun {
            record: run.clone(),
            killed: self.is_killed(run),
        }
    }
}
