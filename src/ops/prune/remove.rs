//! Removes what a plan says: archive by archive, the oldest first, each looked for again right before it goes.

use anyhow::Result;
use tracing::{info, warn};

use super::{Place, Undone, plan::Plan};
use crate::{
    context::Context,
    error::{Failure, Kind},
    model::{
        archive_name::mark_of,
        retention::{Archive, Judged, Removal, Standing, Verdict},
    },
};

/// Removes archives, and notes in `place` the removed and the failed ones. If an archive cannot be removed, the rest
/// goes on. Only an interruption is an error; archives left then are not in the note.
pub fn apply(context: &Context, plan: &Plan, place: &mut Place) -> Result<()> {
    let mut doomed: Vec<(&Archive, &Removal)> = plan.judged.iter().filter_map(removal).collect();
    doomed.sort_by_key(|(archive, _)| (archive.order(), &archive.name));
    for (archive, removal) in doomed {
        context.stop.check()?;
        match one(context, plan, archive, removal) {
            Ok(Outcome::Removed) => {
                info!(archive = %archive.name, place = %place.destination, "Removed: {removal}");
                place.removed += 1;
                place.removed_bytes += plan.size_bytes(&archive.name);
            }
            Ok(Outcome::Gone) => {}
            Ok(Outcome::Spared(message)) => place.undone.push(Undone {
                name: archive.name.clone(),
                message,
            }),
            Err(error) => place.undone.push(undone(error, &archive.name)?),
        }
    }
    for archive in &plan.strays {
        context.stop.check()?;
        if let Err(error) = stray(plan, archive) {
            place.undone.push(undone(error, &mark_of(archive))?);
        }
    }
    Ok(())
}

fn removal(judged: &Judged) -> Option<(&Archive, &Removal)> {
    match &judged.verdict {
        Verdict::Remove(removal) => Some((&judged.archive, removal)),
        Verdict::Keep(_) => None,
    }
}

fn undone(error: anyhow::Error, name: &str) -> Result<Undone> {
    let failure = Failure::of(&error);
    if matches!(failure.kind, Kind::Interrupted(_)) {
        return Err(error);
    }
    Ok(Undone {
        name: name.to_owned(),
        message: failure.message,
    })
}

/// The result for one archive.
enum Outcome {
    Removed,
    /// Another process removed it.
    Gone,
    /// It is not what the plan was made for, and why.
    Spared(String),
}

fn one(context: &Context, plan: &Plan, archive: &Archive, removal: &Removal) -> Result<Outcome> {
    let repository = &*plan.destination.repository;
    let Some(found) = repository.find(&archive.name)? else {
        return Ok(Outcome::Gone);
    };
    if found.size_bytes != plan.size_bytes(&archive.name) {
        let message = "it changed after it was listed".to_owned();
        return Ok(Outcome::Spared(message));
    }
    let replacement = &removal.replacement;
    let is_there = repository
        .find(replacement)?
        .is_some_and(|found| found.size_bytes == plan.size_bytes(replacement));
    if !is_there {
        let message = format!("{replacement}, which takes its place, is gone or changed");
        return Ok(Outcome::Spared(message));
    }
    let mark = repository.mark(&archive.name)?;
    if mark.is_some_and(|mark| mark.holds(context.now)) {
        return Ok(Outcome::Spared("somebody has marked it".to_owned()));
    }
    // An archive that was misread on its way is not damaged.
    if archive.standing == Standing::Damaged
        && repository.standing(context, &archive.name)? != Some(Standing::Damaged)
    {
        let message = "it was found damaged, and at the second look it is not".to_owned();
        return Ok(Outcome::Spared(message));
    }
    repository.remove(&archive.name)?;
    if mark.is_some()
        && let Err(error) = repository.remove_mark(&archive.name)
    {
        warn!(archive = %archive.name, "Its mark is still there, and goes with the next run: {error:#}");
    }
    Ok(Outcome::Removed)
}

/// Removes the mark of an archive that is still not there.
fn stray(plan: &Plan, archive: &str) -> Result<()> {
    let repository = &*plan.destination.repository;
    match repository.find(archive)? {
        Some(_) => Ok(()),
        None => repository.remove_mark(archive),
    }
}
