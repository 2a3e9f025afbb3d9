//! The next starts of jobs, and the time between those of a destination.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    config::{Settings, schedule::Schedule},
    context::Context,
    model::{
        run_record::Job,
        schedule::{Spread, Timetable},
        written::rfc3339,
    },
};

/// The starts of a timetable of which the longest interval is found: those of a week with one each day, and more.
const STARTS: usize = 10;

/// The next start of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextRun {
    /// The job.
    pub job: Job,
    /// The time.
    #[serde(serialize_with = "as_rfc3339")]
    pub time: DateTime<Utc>,
}

fn as_rfc3339<S: serde::Serializer>(time: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&rfc3339(*time))
}

/// Returns the next start of each job, if the configuration has a schedule. Whether a timer or an agent follows it is
/// not known here.
pub fn next_runs(context: &Context, settings: &Settings) -> Vec<NextRun> {
    let schedule = &settings.schema.schedule;
    if *schedule == Schedule::default() {
        return Vec::new();
    }
    let is_notified = settings.schema.notify.iter().any(|one| one.enabled);
    let zone = schedule.zone(context.zone);
    let next = |(_, job): (&str, Job)| {
        let timetable = schedule.timetable(job, is_notified)?;
        let spread = Spread {
            host: context.hostname.as_deref().unwrap_or_default(),
            app: &settings.schema.app,
            job,
        };
        let delayed = |occasion: DateTime<Utc>| {
            occasion + timetable.delay(zone, occasion, schedule.jitter(), &spread)
        };
        // The delay of the last one may not be over yet.
        let last = timetable.last(zone, context.now).map(delayed);
        let last = last.filter(|last| *last > context.now);
        let time = last.or_else(|| timetable.next(zone, context.now).map(delayed))?;
        Some(NextRun { job, time })
    };
    Job::NAMES.into_iter().filter_map(next).collect()
}

/// Returns the longest time between two of the next starts of a timetable.
pub fn longest_interval(context: &Context, settings: &Settings, timetable: &Timetable) -> Duration {
    let zone = settings.schema.schedule.zone(context.zone);
    let starts: Vec<_> = timetable.after(zone, context.now).take(STARTS).collect();
    let intervals = starts.windows(2).map(|two| two[1] - two[0]);
    let longest = intervals.max().and_then(|longest| longest.to_std().ok());
    longest.unwrap_or_default()
}
