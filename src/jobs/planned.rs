//! The jobs that the schedule of a configuration starts, when, and by which command line.

use std::{ffi::OsString, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    config::{Choices, Settings, absolute, schedule::Schedule},
    context::Context,
    model::{
        retention::Zone,
        run_record::Job,
        schedule::{Spread, Timetable},
    },
};

/// The jobs that a configuration schedules.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The name of the application.
    pub app: String,
    /// The name of the machine, by which delays differ.
    pub host: String,
    /// The zone of the timetables.
    pub zone: Zone,
    /// The zone, if the configuration names it.
    pub written_zone: Option<Zone>,
    /// The longest delay of a start.
    pub jitter: Duration,
    /// True if a start that was missed is made up for.
    pub persistent: bool,
    /// True if the configuration does not say when the backup starts.
    pub is_default: bool,
    /// The jobs, each with its timetable.
    pub jobs: Vec<(Job, Timetable)>,
}

/// A start of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The moment that the timetable names.
    pub moment: DateTime<Utc>,
    /// The moment at which the agent starts the job: later by a delay.
    pub time: DateTime<Utc>,
}

impl Planned {
    /// Returns the jobs of a configuration.
    pub fn of(context: &Context, settings: &Settings) -> Planned {
        let schema = &settings.schema;
        let schedule: &Schedule = &schema.schedule;
        let is_notified = is_notified(settings);
        let timetable = |(_, job)| Some((job, schedule.timetable(job, is_notified)?));
        Planned {
            app: schema.app.clone(),
            host: context.hostname.clone().unwrap_or_default(),
            zone: schedule.zone(context.zone),
            written_zone: schedule.written_zone(),
            jitter: schedule.jitter(),
            persistent: schedule.persistent,
            is_default: schedule.enabled && !schedule.is_written(Job::Backup),
            jobs: (Job::NAMES.into_iter().filter_map(timetable))
                // Nothing is verified if every destination is turned off.
                .filter(|(job, _)| *job != Job::Verify || destinations(settings).next().is_some())
                .collect(),
        }
    }

    /// Returns the start that belongs to a moment of a job's timetable.
    pub fn start(&self, job: Job, timetable: &Timetable, moment: DateTime<Utc>) -> Start {
        let spread = Spread {
            host: &self.host,
            app: &self.app,
            job,
        };
        let delay = timetable.delay(self.zone, moment, self.jitter, &spread);
        let delay = TimeDelta::from_std(delay).unwrap_or_default();
        Start {
            moment,
            time: moment + delay,
        }
    }

    /// Returns the next start of a job after `now`; `None` if it is not scheduled.
    pub fn next(&self, job: Job, now: DateTime<Utc>) -> Option<Start> {
        let (_, timetable) = self.jobs.iter().find(|(other, _)| *other == job)?;
        let moment = timetable.next(self.zone, now)?;
        Some(self.start(job, timetable, moment))
    }
}

/// Returns the arguments of hookshot that run a job, without global options.
pub fn command_line(job: Job, settings: &Settings) -> Vec<String> {
    let words: &[&str] = match job {
        // A prune of the same configuration may be at work.
        Job::Backup => &["backup", "--lock-wait", "1h"],
        Job::Prune => &["prune"],
        Job::Verify => &["verify", "--since", "7d", "--without-key"],
        Job::Status => &["status"],
        Job::Drill => &["drill", "--lock-wait", "1h"],
        Job::Protect => &["protect"],
    };
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    if job == Job::Verify {
        words.extend(destinations(settings).map(|name| format!("@{name}")));
    }
    words
}

/// Returns the options for the places of the state that the command line names, as absolute paths.
pub fn places(said: &Choices) -> Vec<OsString> {
    let places = [
        ("--services", &said.services),
        ("--secrets", &said.secrets),
        ("--data-dir", &said.data_dir),
    ];
    let named = places
        .into_iter()
        .filter_map(|(option, path)| Some((option, path.as_ref()?)));
    named
        .flat_map(|(option, path)| {
            let path = absolute(path).unwrap_or_else(|_| path.clone());
            [option.into(), path.into()]
        })
        .collect()
}

/// Returns the names of the destinations of `[backup] to`, without those that are turned off; all if it names none.
fn destinations(settings: &Settings) -> impl Iterator<Item = &String> {
    let to = &settings.schema.to;
    let all = settings.schema.destinations.iter();
    let enabled = all.filter(|(_, destination)| destination.enabled);
    let names = enabled.map(|(name, _)| name);
    names.filter(|name| to.is_empty() || to.contains(name))
}

/// Returns true if the configuration notifies anything.
fn is_notified(settings: &Settings) -> bool {
    settings.schema.notify.iter().any(|one| one.enabled)
}
