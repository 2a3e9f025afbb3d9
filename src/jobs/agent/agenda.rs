//! The agenda of the agent: which job starts when. Pure: time comes in as an argument.
//!
//! One job of a configuration runs at a time, and so many jobs of all of them as the user permits. A moment that comes
//! while its job runs, or that nothing could be started at, is made up for once, or passed over if the schedule is not
//! persistent.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    jobs::planned::{Planned, Start},
    model::{run_record::Job, schedule::Timetable},
};

/// The time after which a start counts as missed, because the machine slept.
const LATE: TimeDelta = TimeDelta::minutes(5);

/// The number of a configuration.
pub type ConfigNumber = usize;

/// The agenda of all configurations.
#[derive(Debug, Default)]
pub struct Agenda {
    entries: BTreeMap<(ConfigNumber, Job), Entry>,
}

/// A job of a configuration.
#[derive(Debug)]
struct Entry {
    planned: Planned,
    timetable: Timetable,
    /// The last moment that was taken care of, or the last start.
    done: DateTime<Utc>,
    is_running: bool,
    /// The moment whose start waits for other jobs.
    waiting: Option<DateTime<Utc>>,
}

/// A job that is to be started, or was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The configuration.
    pub config: ConfigNumber,
    /// The job.
    pub job: Job,
    /// Its moment.
    pub start: Start,
}

/// The starts that are due.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dues {
    /// The jobs to start now.
    pub start: Vec<Due>,
    /// The jobs that start as soon as others have ended, said once.
    pub wait: Vec<Due>,
    /// The moments that were passed over.
    pub passed: Vec<Due>,
}

impl Agenda {
    /// Sets the jobs of a configuration. `last_started` tells when a job last started, if that is known. A job that is on
    /// the agenda already goes on from where it is.
    pub fn set(
        &mut self,
        config: ConfigNumber,
        planned: &Planned,
        now: DateTime<Utc>,
        last_started: impl Fn(Job) -> Option<DateTime<Utc>>,
    ) {
        let is_kept = |(number, job): (ConfigNumber, Job), entry: &Entry| {
            number != config
                || entry.is_running
                || planned.jobs.iter().any(|(other, _)| *other == job)
        };
        self.entries.retain(|key, entry| is_kept(*key, entry));
        for (job, timetable) in &planned.jobs {
            let key = (config, *job);
            let earlier = self.entries.remove(&key);
            let started = last_started(*job).filter(|_| planned.persistent);
            let waiting = earlier.as_ref().and_then(|entry| entry.waiting);
            // A job of a configuration that was gone for a while is scheduled again.
            let done = earlier.as_ref().map(|entry| entry.done);
            let done = done.filter(|done| *done < DateTime::<Utc>::MAX_UTC);
            let entry = Entry {
                planned: planned.clone(),
                timetable: timetable.clone(),
                // Without a history nothing was missed.
                done: done.or(started).unwrap_or(now),
                is_running: earlier.is_some_and(|entry| entry.is_running),
                waiting,
            };
            self.entries.insert(key, entry);
        }
        for ((number, job), entry) in &mut self.entries {
            let is_planned = planned.jobs.iter().any(|(other, _)| other == job);
            if *number == config && !is_planned {
                // It runs, and does not start again.
                entry.done = DateTime::<Utc>::MAX_UTC;
            }
        }
    }

    /// Removes a configuration. A job of it that runs is forgotten when it ends.
    pub fn remove(&mut self, config: ConfigNumber) {
        self.entries
            .retain(|(number, _), entry| *number != config || entry.is_running);
        for ((number, _), entry) in &mut self.entries {
            if *number == config {
                entry.done = DateTime::<Utc>::MAX_UTC;
            }
        }
    }

    /// Returns the starts that are due at `now`, and counts them as begun: at most as many jobs run as `parallel`.
    pub fn take_due(&mut self, now: DateTime<Utc>, parallel: usize) -> Dues {
        let mut dues = Dues::default();
        let mut ripe = Vec::new();
        for ((config, job), entry) in &mut self.entries {
            let Some(start) = entry.due(*job, now) else {
                continue;
            };
            let due = Due {
                config: *config,
                job: *job,
                start,
            };
            let is_new = entry.waiting != Some(start.moment);
            let is_late = is_new && now - start.time > LATE;
            if !entry.planned.persistent && (entry.is_running || is_late) {
                entry.done = start.moment;
                dues.passed.push(due);
                continue;
            }
            entry.waiting = Some(start.moment);
            ripe.push((due, is_new));
        }
        ripe.sort_by_key(|(due, _)| (due.start.time, due.config, due.job));
        for (due, is_new) in ripe {
            let is_free = self.running() < parallel && !self.is_at_work(due.config);
            let Some(entry) = self.entries.get_mut(&(due.config, due.job)) else {
                continue;
            };
            if is_free {
                entry.done = due.start.moment;
                entry.is_running = true;
                entry.waiting = None;
                dues.start.push(due);
            } else if is_new {
                dues.wait.push(due);
            }
        }
        dues
    }

    /// Counts a job as ended.
    pub fn ended(&mut self, config: ConfigNumber, job: Job) {
        if let Some(entry) = self.entries.get_mut(&(config, job)) {
            entry.is_running = false;
            if entry.done == DateTime::<Utc>::MAX_UTC {
                self.entries.remove(&(config, job));
            }
        }
    }

    /// Returns the next start after `now`, of the jobs that do not run.
    pub fn next(&self, now: DateTime<Utc>) -> Option<Due> {
        let starts = self.entries.iter().filter_map(|((config, job), entry)| {
            let start = entry.upcoming(*job, now)?;
            Some(Due {
                config: *config,
                job: *job,
                start,
            })
        });
        starts.min_by_key(|due| due.start.time)
    }

    /// Returns the next start of one job.
    pub fn next_of(&self, config: ConfigNumber, job: Job, now: DateTime<Utc>) -> Option<Start> {
        self.entries.get(&(config, job))?.upcoming(job, now)
    }

    /// Returns true if nothing is scheduled.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the number of jobs.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the number of jobs that run.
    pub fn running(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| entry.is_running)
            .count()
    }

    fn is_at_work(&self, config: ConfigNumber) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|((number, _), entry)| *number == config && entry.is_running)
    }
}

impl Entry {
    /// Returns the start that is due at `now`.
    fn due(&self, job: Job, now: DateTime<Utc>) -> Option<Start> {
        if self.done == DateTime::<Utc>::MAX_UTC {
            return None;
        }
        let (zone, done) = (self.planned.zone, self.done);
        let newest = self.timetable.due(zone, done, now)?;
        let start = self.planned.start(job, &self.timetable, newest);
        if start.time <= now {
            return Some(start);
        }
        // The newest moment is delayed until later. The one before it may have been missed.
        let before = self
            .timetable
            .last(zone, newest - TimeDelta::nanoseconds(1))?;
        (done < before && done <= now).then(|| self.planned.start(job, &self.timetable, before))
    }

    /// Returns the first start after `now`.
    fn upcoming(&self, job: Job, now: DateTime<Utc>) -> Option<Start> {
        if self.done == DateTime::<Utc>::MAX_UTC {
            return None;
        }
        let zone = self.planned.zone;
        // A moment that has come may be delayed still.
        let delayed = self.timetable.due(zone, self.done, now);
        let delayed = delayed.map(|moment| self.planned.start(job, &self.timetable, moment));
        let next = || {
            let next = self.timetable.upcoming(zone, self.done, now)?;
            Some(self.planned.start(job, &self.timetable, next))
        };
        delayed.filter(|start| start.time > now).or_else(next)
    }
}

#[cfg(test)]
mod tests;
