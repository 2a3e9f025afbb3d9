//! The part that import and rollback share: carrying out a plan, looking at the result, and going back if it is wrong.

use std::{collections::BTreeSet, os::unix::fs::MetadataExt as _, path::PathBuf};

use anyhow::{Context as _, Result, bail};

use super::kept::Unfed;
use crate::{
    context::Context,
    disk::{
        survey,
        transaction::{
            Change, Names, New, Refused, Transaction, backup::Known, home::Home, names::volume_of,
        },
    },
    error::{Failure, Kind},
    source::engines::engine,
    work::{events::RestoreEvent, remark::RemarkKind, remarks::Remarks},
};

/// Records what the file system refused.
fn remark(refused: Refused, remarks: &mut Remarks) {
    let message = format!("{}: {}", refused.target.display(), refused.what);
    remarks.refused(refused.kind, refused.entry, message);
}

/// The demand on a database that was put in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseCheck {
    /// It must open: a verified archive holds no database that does not.
    Open,
    /// It need not open. It comes back as it was, and the import may have been made because of its damage.
    AsTheyWere,
}

/// Returns the backups that the record of the last import knows. A record that cannot be read knows none: then every
/// backup that is there stays.
pub fn known_backups(context: &Context, home: &Home) -> Known {
    let record = home.record().unwrap_or_else(|error| {
        let reason = format!("{error:#}");
        context.tell(RestoreEvent::BackupsUnknown { reason });
        None
    });
    Known::of(record.as_ref())
}

/// Chooses where each old file stays, if that is not decided: what lies beside a target and is not of an earlier import
/// keeps its name.
pub fn choose_backups(
    changes: &mut [Change<'_>],
    known: &Known,
    remarks: &mut Remarks,
) -> Result<()> {
    let mut taken: BTreeSet<PathBuf> = changes.iter().map(|change| change.target.clone()).collect();
    let decided = changes.iter().filter_map(|change| change.backup.as_ref());
    taken.extend(decided.map(|(path, _)| path.clone()));
    for change in changes.iter_mut().filter(|change| change.backup.is_none()) {
        let chosen = known.choose(&change.target, &taken)?;
        if change.before.is_some() && !chosen.foreign.is_empty() {
            let foreign: Vec<String> = chosen
                .foreign
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let message = format!(
                "{} is not of an earlier import and stays as it is: the old {} is kept as {}",
                foreign.join(", "),
                change.entry,
                chosen.path.display()
            );
            remarks.warning(RemarkKind::Backup, &change.entry, message);
        }
        taken.insert(chosen.path.clone());
        change.backup = Some((chosen.path, chosen.replaces));
    }
    Ok(())
}

/// Names of the files of this run.
pub fn names(context: &Context) -> Names {
    Names::new(&context.unique)
}

/// Carries out `changes`: all of them, or none and an error that says so. `last` is done when everything is in its
/// place and found good; if it fails, the old state comes back. Returns what the file system refused of owners, times
/// and attributes.
pub fn carry_out(
    context: &Context,
    mut transaction: Transaction,
    changes: &[Change<'_>],
    databases: DatabaseCheck,
    last: impl FnOnce() -> Result<()>,
) -> Result<Remarks> {
    let verb = transaction.verb().to_owned();
    let mut remarks = context.remarks();
    for refused in transaction.prepare(changes)? {
        remark(refused, &mut remarks);
    }
    // The service must not start on the new database before it was looked at.
    let _locks = changes
        .iter()
        .filter_map(|change| {
            let placed = transaction.placed(&change.target)?;
            Some((change.form.engine()?, placed))
        })
        .map(|(found, placed)| engine(found).lock_new(placed))
        .collect::<Result<Vec<_>>>()?;
    context.stop.check()?;
    nothing_has_moved(changes)?;
    let committed = transaction.commit()?;
    match committed
        .apply()
        .and_then(|()| inspect_targets(context, changes, databases))
        .and_then(|()| last())
        .and_then(|()| committed.finish())
    {
        Ok(()) => Ok(remarks),
        Err(cause) => {
            context.tell(RestoreEvent::BringingBack {
                verb: verb.clone(),
                reason: format!("{cause:#}"),
            });
            let undone = committed.undo();
            let no_file = changes.iter().all(|change| change.form.is_kept());
            Err(match undone {
                Ok(()) if no_file => Failure::new(Kind::Failed, format!("{verb} failed: {cause:#}"))
                    .hint("no file was changed: correct the cause and try again"),
                Ok(()) if cause.downcast_ref::<Unfed>().is_some() => Failure::new(Kind::RolledBack, format!("{verb} failed \
                    after it began; every file is the old one again: {cause:#}"))
                    .hint("correct the cause and try again; look at what the command left, or give it what it held before"),
                Ok(()) => Failure::new(Kind::RolledBack, format!("{verb} failed after it began; the old state is back: {cause:#}"))
                    .hint("nothing is lost: correct the cause and try again"),
                Err(second) => Failure::new(
                    Kind::Failed,
                    format!("{verb} failed after it began ({cause:#}), and the old state could not be brought back yet: {second:#}"),
                )
                .hint("do not start the service: correct the cause, then run any hookshot verb; it makes the state \
                    whole, the old one or the new one"),
            }
            .into())
        }
    }
}

/// Fails if a target changed since it was planned on: the work of a service that started, or of an editor that saved,
/// is not overwritten.
fn nothing_has_moved(changes: &[Change<'_>]) -> Result<()> {
    for change in changes {
        let before = || change.before.map(|digest| digest.to_string());
        let has_moved = match change.form.is_folder() {
            true => survey::listing(&change.target, &change.rules())? != before(),
            false => survey::stamp(&change.target)? != change.stamp,
        };
        if has_moved {
            let message = format!(
                "{} changed while hookshot was at work",
                change.target.display()
            );
            return Err(Failure::new(Kind::Blocked, message)
                .hint("stop whoever changes it, and try again; nothing was changed")
                .into());
        }
    }
    Ok(())
}

/// Looks at every target again: content, mode, and whether the database opens.
fn inspect_targets(
    context: &Context,
    changes: &[Change<'_>],
    databases: DatabaseCheck,
) -> Result<()> {
    for change in changes {
        let target = &change.target;
        match &change.new {
            New::Nothing if crate::disk::exists(target) => {
                bail!("{} is still there", target.display())
            }
            New::Nothing => {}
            // Its place identifies it; its content was verified before.
            // A child of a mount point may be nothing: a link that is not restored, say.
            New::Folder { .. } | New::Backup { .. }
                if !crate::disk::exists(target) && volume_of(&change.backup()).is_none() =>
            {
                bail!("{} is not there", target.display())
            }
            New::Backup { .. } => {}
            New::Folder { within, .. } => inspect_targets(context, within, databases)?,
            New::File {
                digest, attributes, ..
            } => {
                let found = survey::present(target, |file| Box::new(file))?
                    .with_context(|| format!("{} is not there", target.display()))?;
                if found.digest != *digest {
                    bail!(
                        "{} does not have the content that was written",
                        target.display()
                    );
                }
                let mode = target.metadata()?.mode() & 0o7777;
                // Bits that could not be restored were reported, and left the file narrower.
                if mode & !attributes.mode != 0 {
                    bail!(
                        "{} has mode {mode:04o}, wider than {:04o}",
                        target.display(),
                        attributes.mode
                    );
                }
                let opened = match (databases, change.form.engine()) {
                    (DatabaseCheck::Open, Some(found)) => {
                        engine(found).opens(target, &context.step())
                    }
                    _ => Ok(()),
                };
                opened.with_context(|| format!("the new {} does not open", target.display()))?;
            }
        }
        let (entry, target) = (change.entry.clone(), target.clone());
        context.tell(match change.form.is_kept() {
            true => RestoreEvent::ContentKept { entry, target },
            false => RestoreEvent::Placed { entry, target },
        });
    }
    Ok(())
}
