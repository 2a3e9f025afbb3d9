//! `--if-changed`: no archive is made if the newest ones hold the present state.

use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};

use super::place::Place;
use crate::{
    catalog::{
        destination::Destination,
        notes::{Unchanged, write_unchanged},
    },
    config::Settings,
    context::Context,
    model::{
        archive_name::ArchiveName, digest::Digest, manifest::Manifest, run_record::RunRecord,
        state_digest::state_digest,
    },
    store::Pages,
    work::events::Events,
};

/// The state that the newest good archive of every destination holds.
pub struct Held {
    /// Its digest.
    pub digest: Digest,
    /// The newest of these archives.
    pub archive: String,
}

/// Returns the state that every place holds; `None` if one of them cannot tell, holds another, or if the newest archive
/// of one is older than `max_unchanged`. Then an archive is made.
pub fn held(context: &Context, settings: &Settings, places: &[Place]) -> Result<Option<Held>> {
    let mut held: Option<Held> = None;
    for place in places {
        context.stop.check()?;
        let Ok(Some((archive, manifest))) = newest(context, settings, place) else {
            return Ok(None);
        };
        let max_age = settings.schema.delivery.max_unchanged;
        if is_older(&manifest, context.now, max_age) {
            return Ok(None);
        }
        let digest = state_digest(&manifest);
        match &mut held {
            Some(held) if held.digest != digest => return Ok(None),
            Some(held) => {
                let order = |name: &str| ArchiveName::of_file(name).map(|name| name.order());
                if order(&archive) > order(&held.archive) {
                    held.archive = archive;
                }
            }
            None => held = Some(Held { digest, archive }),
        }
    }
    Ok(held)
}

/// Writes to a place that its newest good archive still holds the present state.
pub fn note(
    context: &Context,
    settings: &Settings,
    place: &Place,
    run_id: &str,
    runs: &[RunRecord],
) -> Result<()> {
    let destination = place.open(context, settings)?;
    let prefix = &settings.schema.prefix;
    let repository = &destination.repository;
    let name = repository.newest_good(prefix, context.now, &Events::default())?;
    let is_it = |run: &&RunRecord| run.archive.as_deref() == Some(&name);
    let made = runs.iter().rev().filter(is_it);
    let sha256 = made.filter_map(|run| run.sha256.clone()).next();
    let note = Unchanged {
        time: context.now,
        run_id: run_id.to_owned(),
        sha256: match sha256 {
            Some(sha256) => Some(sha256),
            None => Some(sha256_of(context, &destination, &name)?),
        },
        name,
    };
    write_unchanged(context, &destination, prefix, &note)
}

/// Reads an archive that no run in the history made, and returns its SHA-256.
fn sha256_of(context: &Context, destination: &Destination, archive: &str) -> Result<String> {
    let pages = Pages::new(destination.repository.open(archive)?)?;
    let (digest, _) = Digest::of_reader(context.watch(pages))?;
    Ok(digest.to_string())
}

/// Returns the newest good archive of a place, with its manifest.
fn newest(
    context: &Context,
    settings: &Settings,
    place: &Place,
) -> Result<Option<(String, Manifest)>> {
    let destination = place.open(context, settings)?;
    let repository = &destination.repository;
    let name = repository.newest_good(&settings.schema.prefix, context.now, &context.events)?;
    let manifest = repository.manifest(&name)?;
    Ok(manifest.map(|manifest| (name, manifest)))
}

fn is_older(manifest: &Manifest, now: DateTime<Utc>, age: Duration) -> bool {
    let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
    let made = DateTime::from_timestamp(manifest.created_at, 0);
    made.is_none_or(|made| now.signed_duration_since(made) >= age)
}
