//! `schedule`: the next starts of each job.

use chrono::{DateTime, FixedOffset, Utc};
use serde::Serialize;

use super::planned::Planned;
use crate::{
    config::Settings,
    context::Context,
    model::{retention::Zone, run_record::Job, written::rfc3339},
};

/// The next starts of each job.
#[derive(Debug, Serialize)]
pub struct ScheduleReport {
    /// The name of the application.
    pub app: String,
    /// The zone of the timetables.
    pub timezone: &'static str,
    /// The longest delay of a start, in seconds.
    pub jitter_seconds: u64,
    /// True if a start that was missed is made up for.
    pub persistent: bool,
    /// True if the configuration does not say when the backup starts.
    pub is_default: bool,
    /// The jobs.
    pub jobs: Vec<ScheduledJob>,
}

/// A job and its next starts.
#[derive(Debug, Serialize)]
pub struct ScheduledJob {
    /// The job.
    pub job: Job,
    /// Its timetable, as the configuration writes it.
    pub timetable: String,
    /// Its next starts, without the delay.
    pub runs: Vec<ScheduledRun>,
}

/// A start, in both zones.
#[derive(Debug, Serialize)]
pub struct ScheduledRun {
    /// In UTC.
    pub time: String,
    /// In the zone of the timetables.
    pub local: String,
}

/// Returns the next `count` starts of each job.
pub fn schedule(context: &Context, settings: &Settings, count: usize) -> ScheduleReport {
    let planned = Planned::of(context, settings);
    let zone = planned.zone;
    let jobs = planned.jobs.into_iter().map(|(job, timetable)| {
        let times = timetable.after(zone, context.now).take(count);
        let runs = times.map(|time| ScheduledRun {
            time: rfc3339(time),
            local: local(zone, time),
        });
        ScheduledJob {
            job,
            timetable: timetable.to_string(),
            runs: runs.collect(),
        }
    });
    ScheduleReport {
        app: planned.app,
        timezone: zone.name(),
        jitter_seconds: planned.jitter.as_secs(),
        persistent: planned.persistent,
        is_default: planned.is_default,
        jobs: jobs.collect(),
    }
}

/// Returns a time as RFC 3339 writes it, in a zone.
pub fn local(zone: Zone, time: DateTime<Utc>) -> String {
    let offset = zone.local(time) - time.naive_utc();
    let offset = i32::try_from(offset.num_seconds()).unwrap_or_default();
    match FixedOffset::east_opt(offset) {
        Some(offset) => time
            .with_timezone(&offset)
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, false),
        None => rfc3339(time),
    }
}
