//! `--if-changed`: no archive is made if the newest ones hold the present state.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};

use super::{identity::is_of_this_machine, place::Place};
use crate::{
    catalog::notes::{Unchanged, read_unchanged, write_unchanged},
    config::Settings,
    context::Context,
    model::{
        archive_name::ArchiveName, digest::Digest, known_archive::KnownContent,
        run_record::RunRecord, undelivered::known_at,
    },
};

/// The state that the newest good archive of every destination holds.
pub struct Held {
    /// Its digest.
    pub digest: Digest,
    /// The newest of these archives.
    pub archive: String,
    /// The newest good archive of each place, by the place's name.
    pub archives: BTreeMap<String, String>,
}

/// Returns the state that every place holds; `None` if one of them cannot tell, holds another, or if the newest archive
/// of one is older than `max_unchanged`, or of another machine. Then an archive is made. `runs` is the history.
pub fn held(
    context: &Context,
    settings: &Settings,
    places: &[Place],
    runs: &[RunRecord],
) -> Result<Option<Held>> {
    let mut held: Option<Held> = None;
    let mut archives = BTreeMap::new();
    for place in places {
        context.stop.check()?;
        let Ok(Some((archive, content))) = newest(context, settings, place) else {
            return Ok(None);
        };
        let max_age = settings.schema.delivery.max_unchanged;
        if is_older(&content, context.now, max_age) {
            return Ok(None);
        }
        let known = known_at(runs, &place.name);
        let maker = content.maker();
        if !is_of_this_machine(context, settings, &known, &archive, &maker) {
            return Ok(None);
        }
        // What changed while it was read may be no state at all.
        if content.torn > 0 {
            return Ok(None);
        }
        let Ok(digest) = content.state_sha256.parse() else {
            return Ok(None);
        };
        archives.insert(place.name.clone(), archive.clone());
        match &mut held {
            Some(held) if held.digest != digest => return Ok(None),
            Some(held) => {
                let order = |name: &str| ArchiveName::of_file(name).map(|name| name.order());
                if order(&archive) > order(&held.archive) {
                    held.archive = archive;
                }
            }
            None => {
                held = Some(Held {
                    digest,
                    archive,
                    archives: BTreeMap::new(),
                });
            }
        }
    }
    Ok(held.map(|held| Held { archives, ..held }))
}

/// Writes to a place that the archive which was compared still holds the present state. Its SHA-256 comes from the run
/// that made it, else from the note before; it is left out if neither knows it.
pub fn note(
    context: &Context,
    settings: &Settings,
    place: &Place,
    held: &Held,
    run_id: &str,
    runs: &[RunRecord],
) -> Result<()> {
    let destination = place.open(context, settings)?;
    let prefix = &settings.schema.prefix;
    let name = held.archives.get(&place.name).unwrap_or(&held.archive);
    // Another machine's archive may have the name at another place.
    let known = known_at(runs, &place.name);
    let known = known.get(name.as_str());
    let made = runs
        .iter()
        .rev()
        .filter(|run| run.archive.as_deref() == known.copied());
    let sha256_there = |run: &RunRecord| {
        let mut there = run.destinations.iter();
        let there = there.find(|there| there.name == place.name);
        let there = there.and_then(|there| there.sha256.clone());
        there.or_else(|| run.sha256.clone())
    };
    let sha256 = made.filter_map(sha256_there).next();
    let before = match sha256 {
        Some(_) => None,
        None => read_unchanged(&destination, prefix)?.filter(|note| note.name == *name),
    };
    let note = Unchanged {
        time: context.now,
        run_id: run_id.to_owned(),
        name: name.clone(),
        sha256: sha256.or(before.and_then(|note| note.sha256)),
    };
    write_unchanged(context, &destination, prefix, &note)
}

/// Returns the newest good archive of a place, and what it holds; `None` if that is not known.
fn newest(
    context: &Context,
    settings: &Settings,
    place: &Place,
) -> Result<Option<(String, KnownContent)>> {
    let destination = place.open(context, settings)?;
    let repository = &destination.repository;
    let (name, inside) = repository.newest_inside(context, &settings.schema.prefix)?;
    Ok(inside.content().map(|content| (name, content)))
}

fn is_older(content: &KnownContent, now: DateTime<Utc>, age: Duration) -> bool {
    let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
    let made = DateTime::from_timestamp(content.created_at, 0);
    made.is_none_or(|made| now.signed_duration_since(made) >= age)
}
