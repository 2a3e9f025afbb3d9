//! The work behind the commit point of a transaction, and its end after a crash: going forward, or back.
//!
//! Every step may be repeated. Going forward needs every new file and an old state that was not worked on since;
//! else the old state comes back.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{
    backup::{put_aside, second_name},
    copy::link_or_copy,
    home::Home,
    journal::{Journal, Phase, ROLLBACK, Replaces, TransactionStep},
    names::volume_of,
    swap::{self, FolderVersion, which},
};
use crate::disk::{exists, folder_of, removal, remove_file, survey, sync_folders};
use crate::{
    error::{Failure, Kind},
    model::{digest::Digest, rules::Rules},
};

/// The result of [`recover`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// Nothing had been changed; what was prepared is gone.
    Nothing,
    /// The new state is complete. Import commands may not have ended: these files have what a rollback was to give back
    /// to them, or what they held before an import.
    Finished(Vec<PathBuf>),
    /// The old state is back, for this reason.
    Undone(String),
}

/// Ends what an earlier hookshot left in `journal`. The caller holds the state's lock, and made sure that no process
/// has the targets open.
pub fn recover(home: &Home, mut journal: Journal) -> Result<Recovered> {
    match journal.phase {
        Phase::Preparing => {
            forget(home, &journal)?;
            Ok(Recovered::Nothing)
        }
        Phase::Committed => match obstacle(&journal)? {
            None => {
                apply(&journal)?;
                let unfed = keep_unfed(&journal)?;
                finish(home, &journal)?;
                Ok(Recovered::Finished(unfed))
            }
            Some(reason) => {
                nothing_is_lost_by_going_back(&journal)?;
                journal.phase = Phase::Undoing;
                home.write(&journal)?;
                undo(home, journal)?;
                Ok(Recovered::Undone(reason))
            }
        },
        Phase::Done => {
            end(home, &journal)?;
            Ok(Recovered::Finished(Vec::new()))
        }
        Phase::Undoing | Phase::Undone => {
            undo(home, journal)?;
            Ok(Recovered::Undone("it had failed".to_owned()))
        }
    }
}

/// Keeps what a rollback was to give back to commands, or what they held before an import: it is not known how far they
/// came, and whoever runs them again keeps what they hold then.
fn keep_unfed(journal: &Journal) -> Result<Vec<PathBuf>> {
    let kept = journal.steps.iter().filter(|step| step.kept);
    let needed = kept.map(|step| match journal.verb.as_str() {
        ROLLBACK => &step.backup,
        _ => &step.target,
    });
    let needed = needed.filter(|path| exists(path));
    needed.map(|path| second_name(path)).collect()
}

/// Returns the reason why the work cannot go forward, if it cannot: a new file is gone or is not what it was, or the
/// old state has been worked on since.
fn obstacle(journal: &Journal) -> Result<Option<String>> {
    for step in &journal.steps {
        let target = step.target.display();
        if let Some(folder) = &step.folder {
            if swap::is_in_place(step, folder)? {
                continue;
            }
            let new = step.staged.as_ref().unwrap_or(&step.backup);
            if folder.new.is_some() && which(folder, new)? != FolderVersion::New {
                return Ok(Some(format!("the new {target} is not there any more")));
            }
            let is_old = which(folder, &step.target)? == FolderVersion::Old;
            if is_old && survey::listing(&step.target, &folder.rules()?)? != step.before {
                return Ok(Some(format!("{target} has been worked on since")));
            }
            continue;
        }
        let Some(staged) = &step.staged else {
            continue;
        };
        let now = digest(&step.target)?;
        if !exists(staged) {
            // In place, and perhaps worked on since; unless it is still the old one.
            if now.is_none() || (now == step.before && step.before != step.after) {
                return Ok(Some(format!("the new {target} is not there any more")));
            }
        } else if !is_same_file(staged, &step.target) {
            if digest(staged)? != step.after {
                return Ok(Some(format!("the new {target} is not what it was")));
            }
            if now != step.before {
                return Ok(Some(format!("{target} has been worked on since")));
            }
        }
    }
    Ok(None)
}

/// Refuses to go back if that would overwrite later work on a new file, or in the place of a removed one.
fn nothing_is_lost_by_going_back(journal: &Journal) -> Result<()> {
    for step in &journal.steps {
        let mut has_more = false;
        let now = match &step.folder {
            Some(folder) if swap::is_in_place(step, folder)? => {
                // Excluded files would go with the new folder.
                let whole = survey::listing(&step.target, &Rules::everything())?;
                has_more = folder.whole.is_some() && whole != folder.whole;
                survey::listing(&step.target, &folder.rules()?)?
            }
            Some(_) => continue,
            None if step.staged.as_ref().is_some_and(|staged| exists(staged)) => continue,
            None => digest(&step.target)?,
        };
        if has_more || (now.is_some() && now != step.before && now != step.after) {
            let message = format!(
                "an earlier {} was interrupted, and both old and new files have been worked on since: {}",
                journal.verb,
                step.target.display()
            );
            let hint = "docs/recovery.md, \"A damaged journal\", says how to finish by hand";
            return Err(Failure::new(Kind::Blocked, message).hint(hint).into());
        }
    }
    Ok(())
}

/// Gives the old files their second names and the new ones their places.
pub fn apply(journal: &Journal) -> Result<()> {
    let mut pending = Vec::new();
    for step in &journal.steps {
        if is_pending(step)? {
            pending.push(step);
        }
    }
    for step in pending.iter().filter(|step| step.folder.is_none()) {
        keep_backup(step).with_context(|| format!("cannot keep {}", step.backup.display()))?;
    }
    // The old file must have its second name on the disk before its first one is taken away.
    sync_folders(pending.iter().map(|step| step.target.clone()))?;
    for step in &pending {
        let put = match &step.folder {
            Some(folder) => swap::apply(step, folder),
            None => put(step).map_err(Into::into),
        };
        put.with_context(|| format!("cannot put the new {} in place", step.target.display()))?;
    }
    for volume in &journal.volumes {
        volume.apply()?;
    }
    let changed = pending.iter().map(|step| step.target.clone());
    let backups = pending.iter().map(|step| step.backup.clone());
    sync_folders(changed.chain(backups.filter(|path| folder_of(path).is_dir())))
}

fn is_pending(step: &TransactionStep) -> Result<bool> {
    if step.folder.is_some() {
        // Every part of it looks whether it is done.
        return Ok(true);
    }
    match &step.staged {
        Some(staged) => Ok(exists(staged)),
        // A file that is there after a removal, and is not the removed one, is the user's new file.
        None => Ok(step.before.is_some() && digest(&step.target)? == step.before),
    }
}

fn put(step: &TransactionStep) -> io::Result<()> {
    let Some(staged) = &step.staged else {
        return remove_file(&step.target);
    };
    if step.before.is_some() {
        return fs::rename(staged, &step.target);
    }
    // Nothing was there: what has appeared meanwhile is not ours to replace.
    match fs::hard_link(staged, &step.target) {
        Ok(()) => remove_file(staged),
        Err(_) if is_same_file(staged, &step.target) => remove_file(staged),
        Err(_) if exists(&step.target) => Err(io::ErrorKind::AlreadyExists.into()),
        // A file system without links.
        Err(_) => fs::rename(staged, &step.target),
    }
}

/// Gives the old file its second name, and keeps what has that name already until the work is over.
fn keep_backup(step: &TransactionStep) -> Result<()> {
    if step.before.is_none() || !exists(&step.target) || is_same_file(&step.target, &step.backup) {
        return Ok(remove_file(&step.fresh_backup)?);
    }
    if exists(&step.backup) && !exists(&step.earlier_backup) {
        // A copy of the old file, on a file system without links: it was made before a crash.
        if step.replaces == Replaces::Nothing && digest(&step.backup)? == step.before {
            return Ok(remove_file(&step.fresh_backup)?);
        }
        fs::rename(&step.backup, &step.earlier_backup)?;
    }
    remove_file(&step.fresh_backup)?;
    link_or_copy(&step.target, &step.fresh_backup)?;
    fs::rename(&step.fresh_backup, &step.backup)?;
    Ok(())
}

/// Ends the work: from here on the new state stays. If that cannot be recorded, the work is not ended, and can be
/// undone. What is left of it is removed now, or else by the next hookshot.
pub fn finish(home: &Home, journal: &Journal) -> Result<()> {
    let mut done = journal.clone();
    done.phase = Phase::Done;
    home.write(&done)?;
    if let Err(error) = end(home, &done) {
        let verb = &done.verb;
        tracing::warn!(
            "The {verb} is complete, but what is left of it cannot be removed now; the next hookshot removes it: {error:#}"
        );
    }
    Ok(())
}

/// Removes what is left, and ends the journal. Everything that is to go is gone, durably, before the journal is:
/// nothing else tells of it.
fn end(home: &Home, journal: &Journal) -> Result<()> {
    for step in &journal.steps {
        discard(step)?;
        remove_file(&step.fresh_backup)?;
        if step.kept {
            remove_file(&step.backup)?;
        }
        if let Some(folder) = &step.folder {
            swap::part(step, folder)?;
        }
    }
    remove_litter(journal)?;
    home.end().context("cannot end the journal")
}

/// Removes the backup of an earlier import. What turns out to be anything else gets a name of its own.
fn discard(step: &TransactionStep) -> Result<()> {
    let earlier = &step.earlier_backup;
    let Some(there) = swap::place_of(earlier)? else {
        return Ok(());
    };
    let is_ours = match step.replaces {
        Replaces::Anything => true,
        Replaces::Nothing => false,
        Replaces::Inode(inode) => there.inode == inode,
    };
    if is_ours {
        return remove(earlier).with_context(|| format!("cannot remove {}", earlier.display()));
    }
    let name = put_aside(earlier, &step.target)?;
    let backup = step.backup.display();
    tracing::warn!("{backup} appeared meanwhile, and is now {}", name.display());
    Ok(())
}

/// Removes what was prepared, and the journal.
pub fn forget(home: &Home, journal: &Journal) -> Result<()> {
    for step in &journal.steps {
        // The new folder is a backup, which stays as it was.
        if let (Some(folder), None) = (&step.folder, &step.staged) {
            swap::part(step, folder)?;
        }
    }
    remove_litter(journal)?;
    Ok(home.forget()?)
}

/// Brings the old state back.
pub fn undo(home: &Home, mut journal: Journal) -> Result<()> {
    if journal.phase != Phase::Undone {
        for step in &journal.steps {
            restore(step)
                .with_context(|| format!("cannot bring back {}", step.target.display()))?;
        }
        for volume in &journal.volumes {
            volume.restore()?;
        }
        sync_folders(journal.steps.iter().map(|step| step.target.clone()))?;
        // From here on the backups may change: what they hold is not needed any more.
        journal.phase = Phase::Undone;
        home.write(&journal)?;
    }
    for step in &journal.steps {
        if exists(&step.earlier_backup) {
            fs::rename(&step.earlier_backup, &step.backup)?;
        } else if step.folder.is_none() && is_same_file(&step.target, &step.backup) {
            remove_file(&step.backup)?;
        }
        remove_file(&step.fresh_backup)?;
    }
    for step in &journal.steps {
        if volume_of(&step.backup).is_some() {
            // That of an earlier import holds something, and stays.
            let _ = fs::remove_dir(folder_of(&step.backup));
        }
    }
    forget(home, &journal)
}

/// Brings the old file of one step back, from its backup.
fn restore(step: &TransactionStep) -> Result<()> {
    if let Some(folder) = &step.folder {
        return swap::restore(step, folder);
    }
    let untouched = match &step.staged {
        Some(staged) => exists(staged) && !is_same_file(staged, &step.target),
        None => is_pending(step)?,
    };
    if untouched {
        return Ok(());
    }
    if step.before.is_none() {
        return Ok(remove_file(&step.target)?);
    }
    if is_same_file(&step.target, &step.backup) || digest(&step.target)? == step.before {
        return Ok(());
    }
    if digest(&step.backup)? != step.before {
        bail!("{} is not the old file any more", step.backup.display());
    }
    remove_file(&step.fresh_backup)?;
    link_or_copy(&step.backup, &step.fresh_backup)?;
    fs::rename(&step.fresh_backup, &step.target)?;
    Ok(())
}

/// Removes what was prepared, durably.
fn remove_litter(journal: &Journal) -> Result<()> {
    let staged = journal.steps.iter().filter_map(|step| step.staged.as_ref());
    for path in journal.litter.iter().chain(staged) {
        remove(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    let gone = journal
        .litter
        .iter()
        .cloned()
        .chain(journal.steps.iter().map(|step| step.target.clone()));
    sync_folders(gone.filter(|path| folder_of(path).is_dir()))
}

/// Removes a file or a folder with everything in it; that it is not there is fine.
fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => removal::remove_tree(path),
        Ok(_) => fs::remove_file(path),
        // The folder that would hold it is not there either, or is not a folder.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Returns the SHA-256 of a file as the journal has it; `None` if the file is missing.
fn digest(path: &Path) -> Result<Option<String>> {
    match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => {
            let reading = || format!("cannot read {}", path.display());
            let (digest, _) =
                Digest::of_reader(result.with_context(reading)?).with_context(reading)?;
            Ok(Some(digest.to_string()))
        }
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.symlink_metadata(), other.symlink_metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}
