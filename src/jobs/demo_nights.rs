//! The nights of the made-up shop: a backup each, at the time of that night, and the last ones reach one destination only.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};

use super::backup::{BackupRequest, backup};
use crate::{
    config::Choices,
    context::Context,
    disk::{
        aside::{move_aside, move_back},
        publish::{Existing, publish},
        remove_file,
    },
    model::run_record::RunResult,
    ops::demo_shop::Shop,
    work::events::Events,
};

/// The nights of the story.
pub const NIGHTS: u64 = 60;
/// The last nights, in which the second destination is away.
pub const MISSED: u64 = 3;
/// The hour of a night's backup, UTC.
const HOUR: u32 = 2;

/// Lives through the nights until `context.now`.
pub fn live(context: &Context, shop: &Shop) -> Result<()> {
    let choices = Choices {
        config: Some(shop.config()),
        ..Choices::default()
    };
    for number in (0..NIGHTS).rev() {
        context.stop.check()?;
        let time = night(context.now, number);
        let day = usize::try_from(NIGHTS - number)?;
        shop.grow(day, time - TimeDelta::minutes(20))?;
        let missed = match number < MISSED {
            true => Some(Away::begin(shop.destination("offsite"))?),
            false => None,
        };
        let context = Context {
            now: time,
            begun: Instant::now(),
            // The warnings of these nights are of the past.
            events: Events::default(),
            ..context.clone()
        };
        let report = backup(&context, &choices, &BackupRequest::default())?;
        match (&missed, report.result, report.failure) {
            (None, RunResult::Success, _) | (Some(_), RunResult::Partial, _) => {}
            (_, _, Some(failure)) => return Err(failure.into()),
            (_, result, None) => anyhow::bail!("a night of the shop ended as {result:?}"),
        }
        if let Some(away) = missed {
            away.end()?;
        }
        if let Some(archive) = &report.archive {
            for name in ["local", "offsite"] {
                arrive(&shop.destination(name).join(archive), time)?;
            }
        }
    }
    Ok(())
}

/// Returns the time of the backup that was this number of nights ago, some minutes late as timers are.
fn night(now: DateTime<Utc>, ago: u64) -> DateTime<Utc> {
    let minute = u32::try_from(ago * 7 % 23).unwrap_or_default();
    let time = NaiveTime::from_hms_opt(HOUR, minute, 11).unwrap_or_default();
    let today = now.date_naive().and_time(time).and_utc();
    let newest = match today < now {
        true => today,
        false => today - Days::new(1),
    };
    newest - Days::new(ago)
}

/// Dates an archive's file as its store would have: no archive comes weeks after its time.
fn arrive(archive: &Path, time: DateTime<Utc>) -> Result<()> {
    if !archive.exists() {
        return Ok(());
    }
    let file = fs::OpenOptions::new().append(true).open(archive)?;
    Ok(file.set_modified((time + TimeDelta::seconds(9)).into())?)
}

/// A destination that is away: a file stands in the place of its folder.
struct Away {
    folder: PathBuf,
    aside: PathBuf,
}

impl Away {
    fn begin(folder: PathBuf) -> Result<Away> {
        let aside = move_aside(&folder, ".away").context("cannot take a destination away")?;
        publish(&folder, b"the disk is not mounted\n", Existing::Keep)?;
        Ok(Away { folder, aside })
    }

    fn end(self) -> Result<()> {
        remove_file(&self.folder)?;
        move_back(&self.aside, &self.folder).context("cannot bring a destination back")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_night_is_over_and_each_is_a_day_before_the_next() {
        for now in ["2026-11-30T01:00:00Z", "2026-11-30T23:00:00Z"] {
            let now: DateTime<Utc> = now.parse().expect("a time");
            let newest = night(now, 0);
            assert!(newest < now && now - newest < TimeDelta::days(1), "{now}");
            let days = (0..NIGHTS).map(|ago| night(now, ago).date_naive());
            let days: Vec<_> = days.collect();
            assert!(days.windows(2).all(|two| two[0].pred_opt() == Some(two[1])));
        }
    }
}
