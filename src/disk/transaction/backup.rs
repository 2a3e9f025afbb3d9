//! Old files and folders that stay: the choice of their names, and those of earlier imports that are known.
//!
//! Beside a target may lie a `.bak` that hookshot never made: the user's own, or an editor's. It stays, and the old
//! file gets the next free name. Only a backup that the record of an import describes, and that still is what the
//! record says, is replaced by a newer one.

use std::{
    collections::BTreeSet,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{
    copy::link_or_copy,
    journal::{Backup, Identity, Journal, Replaces, TransactionStep},
    names::{numbered, unnumbered, within},
    swap::{FolderVersion, which},
};
use crate::disk::{exists, folder_of, open_regular, rename_to_nothing, survey, sync_folder};
use crate::model::digest::Digest;

/// The most names that are tried for one backup.
const MAX_NAMES: u32 = 10_000;

impl Backup {
    /// Returns the backup that a step has made; nothing if there was no old file.
    fn of(step: &TransactionStep) -> Option<Backup> {
        if step.kept {
            return Some(Backup {
                target: unnumbered(&step.target)?,
                path: step.target.clone(),
                digest: step.after.clone()?,
                file: None,
                folder: None,
            });
        }
        Some(Backup {
            target: step.target.clone(),
            path: step.backup.clone(),
            digest: step.before.clone()?,
            file: step.old,
            folder: step.folder.clone(),
        })
    }

    /// Returns true if it still lies there, and is what it was.
    fn is_there(&self) -> Result<bool> {
        let Some(folder) = &self.folder else {
            let there = Identity::of(&self.path);
            return Ok(match there {
                None => false,
                Some(_) if there == self.file => true,
                Some(_) => {
                    let reading = || format!("cannot read {}", self.path.display());
                    let file = open_regular(&self.path).with_context(reading)?;
                    let (digest, _) = Digest::of_reader(file).with_context(reading)?;
                    digest.to_string() == self.digest
                }
            });
        };
        Ok(exists(&self.path)
            && which(folder, &self.path)? == FolderVersion::Old
            && survey::listing(&self.path, &folder.rules()?)?.as_ref() == Some(&self.digest))
    }
}

/// The backups that the record of the last import knows.
#[derive(Debug, Default)]
pub struct Known(Vec<Backup>);

/// The name for a backup.
#[derive(Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The place at which the old file will stay.
    pub path: PathBuf,
    /// The present state of that place.
    pub replaces: Replaces,
    /// Files whose names would come first, and which stay because no import made them.
    pub foreign: Vec<PathBuf>,
}

impl Known {
    /// Returns those of the last import or rollback, and those of earlier ones that are still there.
    pub fn of(record: Option<&Journal>) -> Known {
        let Some(record) = record else {
            return Known::default();
        };
        let mut known: Vec<Backup> = record.steps.iter().filter_map(Backup::of).collect();
        for earlier in &record.backups {
            let is_newer = known.iter().any(|backup| backup.path == earlier.path);
            if !is_newer && exists(&earlier.path) {
                known.push(earlier.clone());
            }
        }
        Known(known)
    }

    /// Lists all of them, for the next record.
    pub fn list(&self) -> Vec<Backup> {
        self.0.clone()
    }

    /// Lists those that are still there, for people.
    pub fn paths(&self) -> Vec<PathBuf> {
        let there = self.0.iter().filter(|backup| exists(&backup.path));
        let mut paths: Vec<PathBuf> = there.map(|backup| backup.path.clone()).collect();
        paths.sort();
        paths
    }

    /// Chooses the place of the old `target`: the first name that nothing has, or that a backup of ours has. Names of
    /// `taken` belong to other files of the same import.
    pub fn choose(&self, target: &Path, taken: &BTreeSet<PathBuf>) -> Result<Chosen> {
        let mut foreign = Vec::new();
        for number in 0..MAX_NAMES {
            let path = numbered(target, number);
            if taken.contains(&path) {
                continue;
            }
            let replaces = match path.symlink_metadata() {
                Err(_) => Replaces::Nothing,
                Ok(metadata) => {
                    let mut known = self.0.iter();
                    let ours = known.find(|backup| backup.path == path && backup.target == target);
                    match ours {
                        Some(backup) if backup.is_there()? => Replaces::Inode(metadata.ino()),
                        _ => {
                            foreign.push(path);
                            continue;
                        }
                    }
                }
            };
            return Ok(Chosen {
                path,
                replaces,
                foreign,
            });
        }
        bail!("no name is free for the old {}", target.display())
    }

    /// Chooses the place of the old children of the mount point `volume`: the first folder that holds nothing but
    /// backups of ours.
    pub fn choose_within(&self, volume: &Path) -> Result<Chosen> {
        let mut foreign = Vec::new();
        for number in 0..MAX_NAMES {
            let path = within(volume, number);
            let is_free = match path.symlink_metadata() {
                Err(_) => true,
                Ok(metadata) if metadata.is_dir() => self.holds_nothing_else(&path)?,
                Ok(_) => false,
            };
            if is_free {
                return Ok(Chosen {
                    path,
                    replaces: Replaces::Nothing,
                    foreign,
                });
            }
            foreign.push(path);
        }
        bail!("no name is free for what {} holds", volume.display())
    }

    fn holds_nothing_else(&self, folder: &Path) -> Result<bool> {
        let listing = || format!("cannot read {}", folder.display());
        for entry in folder.read_dir().with_context(listing)? {
            let path = entry.with_context(listing)?.path();
            let known = self.0.iter().find(|backup| backup.path == path);
            let Some(known) = known else {
                return Ok(false);
            };
            if !known.is_there()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Returns the state of `path`, at which a backup is to stay that may be replaced.
pub fn replaced_at(path: &Path) -> Replaces {
    let there = path.symlink_metadata();
    there.map_or(Replaces::Nothing, |it| Replaces::Inode(it.ino()))
}

/// Gives the backup at `path` a second name that stays, and tells it; one that it has already is told again, and so is
/// that of another file with the same content: what fails again and again leaves one file.
pub fn second_name(path: &Path) -> Result<PathBuf> {
    let base = unnumbered(path).context("it is not a backup")?;
    let inode = Identity::of(path).map(|file| file.inode);
    for number in 1..MAX_NAMES {
        let name = numbered(&base, number);
        if name == path {
            continue;
        }
        match Identity::of(&name) {
            Some(file) if Some(file.inode) == inode => return Ok(name),
            Some(_) if is_equal(path, &name)? => return Ok(name),
            None if !exists(&name) => {
                link_or_copy(path, &name)?;
                sync_folder(&folder_of(&name))?;
                return Ok(name);
            }
            _ => {}
        }
    }
    bail!("no name is free for {}", path.display())
}

fn is_equal(one: &Path, other: &Path) -> Result<bool> {
    let size = |path: &Path| Identity::of(path).map(|file| file.size);
    if size(one) != size(other) {
        return Ok(false);
    }
    let digest = |path: &Path| {
        let present = survey::present(path, |file| Box::new(file))?;
        Ok::<_, anyhow::Error>(present.map(|present| present.digest))
    };
    Ok(digest(one)? == digest(other)?)
}

/// Gives something that is not ours, and lies at a name of ours, a name of its own beside `target`.
pub(super) fn put_aside(path: &Path, target: &Path) -> Result<PathBuf> {
    for number in 0..MAX_NAMES {
        let name = numbered(target, number);
        if !exists(&name) {
            rename_to_nothing(path, &name)?;
            return Ok(name);
        }
    }
    bail!("no name is free for {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::{super::names::backup_path, *};

    #[test]
    fn a_file_that_is_not_recorded_keeps_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("x");
        let choose = |taken: &[PathBuf]| {
            let taken = taken.iter().cloned().collect();
            Known::default().choose(&target, &taken).expect("a name")
        };
        let first = backup_path(&target);
        assert_eq!(choose(&[]).path, first);
        assert_eq!(
            choose(std::slice::from_ref(&first)).path,
            numbered(&target, 1)
        );
        std::fs::write(&first, "mine").expect("written");
        std::os::unix::fs::symlink("nowhere", numbered(&target, 1)).expect("a link");
        let chosen = choose(&[]);
        assert_eq!(chosen.path, numbered(&target, 2));
        assert_eq!(chosen.foreign, [first, numbered(&target, 1)]);
        assert_eq!(chosen.replaces, Replaces::Nothing);
    }
}
