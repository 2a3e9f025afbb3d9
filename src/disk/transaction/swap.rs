//! Folders that are replaced as one: the new one and the old one change places in one step (renameat2(2),
//! RENAME_EXCHANGE), and the old one stays as `.bak`.
//!
//! A folder is told by its inode number, which stays when it is renamed and when its disk is mounted again, so that
//! every step here may be repeated whenever the machine dies. Two folders with one number (subvolumes of btrfs) are
//! told by a file that lies in the new one until the work is done. Not promised: that there is a folder at the target
//! between two renames if a file system cannot exchange (NFS and some FUSE); the journal finishes that as well.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, Result, bail};
use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use super::{
    journal::{FolderId, FolderMarks, TransactionStep},
    names::volume_of,
};
use crate::disk::{
    create_folders, exists, folder_of, remove_file, rename_to_nothing, sync_folder, tree::release,
};

/// Returns the folder that is at `path`; nothing if there is none.
pub fn place_of(path: &Path) -> Result<Option<FolderId>> {
    Ok(found(path)?.map(|metadata| FolderId {
        device: None,
        inode: metadata.ino(),
    }))
}

fn found(path: &Path) -> Result<Option<fs::Metadata>> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// One of a step's two folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderVersion {
    /// Nothing is there.
    Nothing,
    /// The old one.
    Old,
    /// The new one.
    New,
    /// Neither.
    Other,
}

/// Tells which of the two folders is at `path`.
pub fn which(folder: &FolderMarks, path: &Path) -> Result<FolderVersion> {
    let Some(metadata) = found(path)? else {
        return Ok(FolderVersion::Nothing);
    };
    let is = |known: Option<FolderId>| known.filter(|known| known.inode == metadata.ino());
    Ok(match (is(folder.old), is(folder.new)) {
        (None, None) => FolderVersion::Other,
        (Some(_), None) => FolderVersion::Old,
        (None, Some(_)) => FolderVersion::New,
        (Some(old), Some(new)) => match &folder.marker {
            Some(marker) if exists(&path.join(marker)) => FolderVersion::New,
            Some(_) => FolderVersion::Old,
            // Version 1 has only their devices.
            None if old.device == Some(metadata.dev()) => FolderVersion::Old,
            None if new.device == Some(metadata.dev()) => FolderVersion::New,
            None => FolderVersion::Other,
        },
    })
}

/// Returns true if the new folder is at the target, or nothing if nothing is to be there.
pub fn is_in_place(step: &TransactionStep, folder: &FolderMarks) -> Result<bool> {
    let there = which(folder, &step.target)?;
    Ok(match folder.new {
        Some(_) => there == FolderVersion::New,
        None => there == FolderVersion::Nothing,
    })
}

/// Puts the new folder in its place, and the old one where it stays.
pub fn apply(step: &TransactionStep, folder: &FolderMarks) -> Result<()> {
    if folder.new.is_none() {
        if which(folder, &step.target)? == FolderVersion::Old {
            keep(step, folder, &step.target)?;
        }
        return Ok(());
    }
    if !is_in_place(step, folder)? {
        let new = step.staged.as_deref().unwrap_or(&step.backup);
        match which(folder, &step.target)? {
            // Nothing was there, or the first of two renames was made before a crash.
            FolderVersion::Nothing => rename_to_nothing(new, &step.target)?,
            FolderVersion::Old => exchange(new, &step.target, &step.fresh_backup)?,
            FolderVersion::New | FolderVersion::Other => {
                bail!("{} was replaced by another process", step.target.display())
            }
        }
    }
    for left in step.staged.iter().chain([&step.fresh_backup]) {
        if which(folder, left)? == FolderVersion::Old {
            keep(step, folder, left)?;
        }
    }
    Ok(())
}

/// Makes what is at `left` the backup; what has the name already stays aside until the transaction is over.
fn keep(step: &TransactionStep, folder: &FolderMarks, left: &Path) -> Result<()> {
    let there = which(folder, &step.backup)?;
    if !matches!(there, FolderVersion::Nothing | FolderVersion::Old)
        && !exists(&step.earlier_backup)
    {
        fs::rename(&step.backup, &step.earlier_backup)?;
    }
    if volume_of(&step.backup).is_some() {
        create_folders(&folder_of(&step.backup))?;
    }
    Ok(rename_to_nothing(left, &step.backup)?)
}

/// Brings the old folder back. The new one is where it was prepared.
pub fn restore(step: &TransactionStep, folder: &FolderMarks) -> Result<()> {
    let there = which(folder, &step.target)?;
    // The home of the new one: beside its target, or the place that a rollback took it from.
    let home = step.staged.as_deref().unwrap_or(&step.backup);
    if there == FolderVersion::Old || (there == FolderVersion::Nothing && folder.old.is_none()) {
        return settle(step, folder, home);
    }
    if folder.old.is_none() {
        if there == FolderVersion::New {
            rename_to_nothing(&step.target, home)?;
        }
        return Ok(());
    }
    let mut places = step.staged.iter().chain([&step.backup, &step.fresh_backup]);
    let Some(at) =
        places.find(|path| which(folder, path).is_ok_and(|which| which == FolderVersion::Old))
    else {
        bail!("the old {} is not there any more", step.target.display());
    };
    match there {
        FolderVersion::Nothing => rename_to_nothing(at, &step.target)?,
        FolderVersion::New => {
            let spare = if *at == step.fresh_backup {
                home
            } else {
                &step.fresh_backup
            };
            exchange(at, &step.target, spare)?;
        }
        FolderVersion::Old | FolderVersion::Other => {
            bail!("{} was replaced by another process", step.target.display())
        }
    }
    settle(step, folder, home)
}

/// Puts the new folder where it belongs once the old one is back.
fn settle(step: &TransactionStep, folder: &FolderMarks, home: &Path) -> Result<()> {
    if folder.new.is_none() {
        return Ok(());
    }
    for left in [&step.backup, &step.fresh_backup] {
        if *left != home && which(folder, left)? == FolderVersion::New {
            rename_to_nothing(left, home)?;
        }
    }
    Ok(())
}

/// Takes from the folder that stays what it shares with the one at the target, and the marker from either.
pub fn part(step: &TransactionStep, folder: &FolderMarks) -> Result<()> {
    if folder.rules.is_some() && step.target.is_dir() && is_folder(&step.backup) {
        let releasing = || format!("cannot part {} from its backup", step.target.display());
        release(&step.backup, &step.target, &folder.rules()?).with_context(releasing)?;
    }
    if let Some(marker) = &folder.marker {
        for place in [&step.target, &step.backup] {
            if is_folder(place) {
                remove_file(&place.join(marker))?;
                sync_folder(place)?;
            }
        }
    }
    Ok(())
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir())
}

/// Lets two folders change places; if the file system cannot do that at once, by way of `spare`.
fn exchange(one: &Path, other: &Path, spare: &Path) -> io::Result<()> {
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            rename_to_nothing(other, spare)?;
            rename_to_nothing(one, other)?;
            Ok(())
        }
        result => Ok(result?),
    }
}
