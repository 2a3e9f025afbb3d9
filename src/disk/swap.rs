//! Folders that are replaced as one: the new one and the old one change places in one step (renameat2(2), RENAME_EXCHANGE),
//! and the old one stays as `.bak`.
//!
//! A folder is told by its device and inode, which stay when it is renamed, so that every step here may be repeated
//! whenever the machine dies. Not promised: that there is a folder at the target between two renames, where a file system
//! cannot exchange (NFS and some FUSE); the journal finishes that as well.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, Result, bail};
use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use super::{
    exists,
    journal::{Folder, Place, Step},
    rename_to_nothing,
};

/// Which folder is at `path`; nothing where there is none.
pub fn place_of(path: &Path) -> Result<Option<Place>> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(Place {
            device: metadata.dev(),
            inode: metadata.ino(),
        })),
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

/// Whether the new folder is at the target, or nothing where nothing is to be.
pub fn is_in_place(step: &Step, folder: &Folder) -> Result<bool> {
    Ok(place_of(&step.target)? == folder.new)
}

/// Puts the new folder in its place, and the old one where it stays.
pub fn apply(step: &Step, folder: &Folder) -> Result<()> {
    let old = folder.old;
    if folder.new.is_none() {
        if old.is_some() && place_of(&step.target)? == old {
            keep(step, folder, &step.target)?;
        }
        return Ok(());
    }
    if !is_in_place(step, folder)? {
        let new = step.staged.as_deref().unwrap_or(&step.backup);
        match place_of(&step.target)? {
            // Nothing was there, or the first of two renames was made before a crash.
            None => rename_to_nothing(new, &step.target)?,
            there if there == old => exchange(new, &step.target, &step.fresh_backup)?,
            Some(_) => bail!("{} was replaced by somebody else", step.target.display()),
        }
    }
    for left in step.staged.iter().chain([&step.fresh_backup]) {
        if old.is_some() && place_of(left)? == old {
            keep(step, folder, left)?;
        }
    }
    Ok(())
}

/// Makes what is at `left` the backup; an earlier backup stays aside until the transaction is over.
fn keep(step: &Step, folder: &Folder, left: &Path) -> Result<()> {
    let there = place_of(&step.backup)?;
    if there.is_some() && there != folder.old && !exists(&step.earlier_backup) {
        fs::rename(&step.backup, &step.earlier_backup)?;
    }
    Ok(rename_to_nothing(left, &step.backup)?)
}

/// Brings the old folder back. The new one is where it was prepared.
pub fn restore(step: &Step, folder: &Folder) -> Result<()> {
    let there = place_of(&step.target)?;
    // Where the new one belongs: beside its target, or where a rollback took it from.
    let home = step.staged.as_deref().unwrap_or(&step.backup);
    if there == folder.old {
        return settle(step, folder, home);
    }
    if folder.old.is_none() {
        if there == folder.new {
            rename_to_nothing(&step.target, home)?;
        }
        return Ok(());
    }
    let mut places = step.staged.iter().chain([&step.backup, &step.fresh_backup]);
    let Some(at) = places.find(|path| place_of(path).is_ok_and(|place| place == folder.old)) else {
        bail!("the old {} is not there any more", step.target.display());
    };
    match there {
        None => rename_to_nothing(at, &step.target)?,
        there if there == folder.new => {
            let spare = if *at == step.fresh_backup {
                home
            } else {
                &step.fresh_backup
            };
            exchange(at, &step.target, spare)?;
        }
        Some(_) => bail!("{} was replaced by somebody else", step.target.display()),
    }
    settle(step, folder, home)
}

/// Puts the new folder where it belongs once the old one is back.
fn settle(step: &Step, folder: &Folder, home: &Path) -> Result<()> {
    if folder.new.is_none() {
        return Ok(());
    }
    for left in [&step.backup, &step.fresh_backup] {
        if *left != home && place_of(left)? == folder.new {
            rename_to_nothing(left, home)?;
        }
    }
    Ok(())
}

/// Lets two folders change places; where the file system cannot do that at once, by way of `spare`.
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
