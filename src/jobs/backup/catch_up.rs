//! Copies the archives of earlier runs to destinations that did not get them.

use anyhow::Result;
use chrono::TimeDelta;

use super::place::Place;
use crate::{
    archive::reader::Discard,
    catalog::{each::Hosts, filter::ArchiveFilter},
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::{
        run_record::{DestinationRecord, RunRecord},
        undelivered::undelivered,
    },
    ops::copy::{CopyRequest, copy},
    work::events::JobEvent,
};

/// Returns the archives that a destination is owed, the oldest first.
pub fn owed(context: &Context, settings: &Settings, runs: &[RunRecord], name: &str) -> Vec<String> {
    let within = TimeDelta::from_std(settings.schema.delivery.within).unwrap_or(TimeDelta::MAX);
    let since = context.now.checked_sub_signed(within).unwrap_or_default();
    undelivered(runs, name, since)
}

/// Brings the archives that `place` is owed from the places that hold them, and notes in `record` what arrived and what is
/// gone everywhere. Returns the failures.
pub fn catch_up(
    context: &Context,
    settings: &Settings,
    owed: &[String],
    place: &Place,
    others: &[Place],
    record: &mut DestinationRecord,
) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for archive in owed {
        context.stop.check()?;
        match bring(context, settings, archive, place, others) {
            Ok(true) => record.caught_up.push(archive.clone()),
            Ok(false) => record.gone.push(archive.clone()),
            Err(error) => {
                let failure = Failure::of(&error);
                if matches!(failure.kind, Kind::Interrupted(_)) {
                    return Err(error);
                }
                context.tell(JobEvent::NotCaughtUp {
                    archive: archive.clone(),
                    destination: place.name.clone(),
                    reason: failure.message.clone(),
                });
                let message = failure.message;
                faults.push(format!(
                    "{archive} was not delivered to {}: {message}",
                    place.name
                ));
            }
        }
    }
    Ok(faults)
}

/// Brings one archive, or verifies the one that is there already; returns false if no place holds it.
fn bring(
    context: &Context,
    settings: &Settings,
    archive: &str,
    place: &Place,
    others: &[Place],
) -> Result<bool> {
    let destination = place.open(context, settings)?;
    if destination.repository.find(archive)?.is_some() {
        // A run that was killed may have stored it, and one that failed may have left it without a proof.
        let repository = &destination.repository;
        repository.read(context, "verifying", archive, &mut Discard)?;
        return Ok(true);
    }
    let mut last = None;
    for other in others.iter().filter(|other| other.name != place.name) {
        let found = other.open(context, settings);
        match found.and_then(|other| other.repository.find(archive)) {
            Ok(Some(_)) => {}
            Ok(None) => continue,
            Err(error) => {
                last = Some(error);
                continue;
            }
        }
        context.tell(JobEvent::CatchesUp {
            archive: archive.to_owned(),
            destination: place.name.clone(),
        });
        let request = CopyRequest {
            from: other.archive_word(archive),
            to: place.word.clone(),
            hosts: Hosts::Ours,
            filter: ArchiveFilter::default(),
        };
        match copy(context, settings, &request) {
            Ok(_) => return Ok(true),
            Err(error) if matches!(Failure::of(&error).kind, Kind::Interrupted(_)) => {
                return Err(error);
            }
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(false), Err)
}
