//! Removes the archives of a plan one by one, the oldest first. Each is checked again right before it is removed.

use anyhow::Result;

use super::{
    plan::PrunePlan,
    report::{DestinationPrune, NotRemoved},
};
use crate::{
    context::Context,
    error::{Failure, Kind},
    model::{
        archive_name::mark_of,
        retention::{Archive, Judged, Removal, Standing, Verdict},
    },
    work::events::CatalogEvent,
};

/// Removes archives, and notes in `report` the removed and the failed ones. If an archive cannot be removed, the others
/// follow. Only an interruption is an error, and a repository in which another process works; archives left then are
/// not in the note.
pub fn apply(context: &Context, plan: &PrunePlan, report: &mut DestinationPrune) -> Result<()> {
    let mut removals: Vec<(&Archive, &Removal)> = plan.judged.iter().filter_map(removal).collect();
    removals.retain(|(archive, _)| !plan.spared.contains(&archive.name));
    removals.sort_by_key(|(archive, _)| (archive.order(), &archive.name));
    let vault = plan.destination.repository.vault();
    let _alone = match vault.filter(|_| !removals.is_empty()) {
        Some(vault) => Some(vault.alone()?),
        None => None,
    };
    for (archive, removal) in removals {
        context.stop.check()?;
        match remove_archive(context, plan, archive, removal) {
            Ok(Outcome::Removed) => {
                context.tell(CatalogEvent::Removed {
                    archive: archive.name.clone(),
                    destination: report.destination.clone(),
                    reason: removal.to_string(),
                });
                report.removed += 1;
                report.removed_bytes += plan.size_bytes(&archive.name);
            }
            Ok(Outcome::Gone) => {}
            Ok(Outcome::Spared(message)) => report.undone.push(NotRemoved {
                name: archive.name.clone(),
                message,
                hint: None,
            }),
            Err(error) => report.undone.push(undone(error, &archive.name)?),
        }
    }
    if let Some(vault) = vault
        && let Err(error) = vault.reclaim()
    {
        // Leftovers of earlier runs can wait for one that finds the repository free.
        let can_wait = report.removed == 0 && Failure::of(&error).kind == Kind::Blocked;
        let undone = undone(error, "content that no archive has any more")?;
        if !can_wait {
            report.undone.push(undone);
        }
    }
    forget(context, plan);
    for archive in &plan.strays {
        context.stop.check()?;
        if let Err(error) = remove_stray_mark(plan, archive) {
            report.undone.push(undone(error, &mark_of(archive))?);
        }
    }
    Ok(())
}

/// Drops the records of archives that are gone. A folder without archives may be that of a disk that is not mounted.
fn forget(context: &Context, plan: &PrunePlan) {
    let Some(records) = plan.destination.repository.records() else {
        return;
    };
    if plan.judged.is_empty() {
        return;
    }
    let prefix = plan.prefix.as_deref();
    if let Err(error) = records.forget(context, prefix, |name| plan.is_listed(name)) {
        let reason = format!("{error:#}");
        context.tell(CatalogEvent::RecordsStay { reason });
    }
}

fn removal(judged: &Judged) -> Option<(&Archive, &Removal)> {
    match &judged.verdict {
        Verdict::Remove(removal) => Some((&judged.archive, removal)),
        Verdict::Keep(_) => None,
    }
}

fn undone(error: anyhow::Error, name: &str) -> Result<NotRemoved> {
    let failure = Failure::of(&error);
    if matches!(failure.kind, Kind::Interrupted(_)) {
        return Err(error);
    }
    Ok(NotRemoved {
        name: name.to_owned(),
        message: failure.message,
        hint: failure.hint,
    })
}

/// The result for one archive.
enum Outcome {
    Removed,
    /// Another process removed it.
    Gone,
    /// It differs from the archive of the plan; the message says how.
    Spared(String),
}

fn remove_archive(
    context: &Context,
    plan: &PrunePlan,
    archive: &Archive,
    removal: &Removal,
) -> Result<Outcome> {
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
        return Ok(Outcome::Spared("it was marked meanwhile".to_owned()));
    }
    // An archive that was misread on its way is not damaged.
    if archive.standing == Standing::Damaged
        && repository.standing(context, &archive.name)? != Some(Standing::Damaged)
    {
        let message = "it was found damaged, but not when it was read again".to_owned();
        return Ok(Outcome::Spared(message));
    }
    repository.remove(&archive.name)?;
    if mark.is_some()
        && let Err(error) = repository.remove_mark(&archive.name)
    {
        context.tell(CatalogEvent::MarkStays {
            archive: archive.name.clone(),
            reason: format!("{error:#}"),
        });
    }
    Ok(Outcome::Removed)
}

/// Removes the mark of an archive that is still missing.
fn remove_stray_mark(plan: &PrunePlan, archive: &str) -> Result<()> {
    let repository = &*plan.destination.repository;
    match repository.find(archive)? {
        Some(_) => Ok(()),
        None => repository.remove_mark(archive),
    }
}
