//! Old files and folders that stay: which names they get, and which of those that are there hookshot has made.
//!
//! Beside a target may lie a `.bak` that hookshot never made: the user's own, or an editor's. It stays, and the old file
//! gets the next free name. Only a backup that the record of an import describes, and that still is what the record says,
//! is replaced by a newer one.

use std::{
    collections::BTreeSet,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::{
    exists,
    journal::{Folder, Journal, Step},
    survey,
    swap::{Which, which},
};
use crate::model::digest::Digest;

/// The most names that are tried for one backup.
const MAX_NAMES: u32 = 10_000;

/// The path at which the old file stays: the target's with `.bak` at its end.
pub fn backup_path(target: &Path) -> PathBuf {
    numbered(target, 0)
}

/// The name of the backup with this number: `.bak`, `.bak.1`, `.bak.2` and so on.
fn numbered(target: &Path, number: u32) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    match number {
        0 => name.push(".bak"),
        number => name.push(format!(".bak.{number}")),
    }
    PathBuf::from(name)
}

/// The folder, in a folder that is a mount point, in which the old children stay.
const WITHIN: &str = ".hookshot-bak";

/// The folder in the mount point `volume` that has this number: `.hookshot-bak`, `.hookshot-bak.1` and so on.
fn within(volume: &Path, number: u32) -> PathBuf {
    match number {
        0 => volume.join(WITHIN),
        number => volume.join(format!("{WITHIN}.{number}")),
    }
}

/// Returns the mount point whose child has the backup `path`, if it is such a one.
pub fn volume_of(path: &Path) -> Option<&Path> {
    let folder = path.parent()?;
    let rest = folder.file_name()?.to_str()?.strip_prefix(WITHIN)?;
    let number = rest.strip_prefix('.').unwrap_or("0");
    let is_one = rest.is_empty() || (number.parse::<u32>().is_ok() && rest.starts_with('.'));
    folder.parent().filter(|_| is_one)
}

/// Returns true if `path` is a name that the backup of `target` may have.
pub fn is_backup_of(path: &Path, target: &Path) -> bool {
    if volume_of(path).is_some() && volume_of(path) == target.parent() {
        return path.file_name() == target.file_name();
    }
    let (path, target) = (path.as_os_str(), target.as_os_str());
    let rest = path
        .as_encoded_bytes()
        .strip_prefix(target.as_encoded_bytes());
    match rest.and_then(|rest| rest.strip_prefix(b".bak")) {
        Some(b"") => true,
        Some([b'.', first @ b'1'..=b'9', more @ ..]) => {
            first.is_ascii_digit() && more.len() < 6 && more.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

/// The numbers that tell a file from any other, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its number in its file system.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When its content was changed, Unix seconds.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: i64,
}

impl Identity {
    /// The identity of the file at `path`; nothing if no file is there.
    pub fn of(path: &Path) -> Option<Identity> {
        let metadata = path.symlink_metadata().ok()?;
        metadata.is_file().then(|| Identity {
            inode: metadata.ino(),
            size: metadata.len(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        })
    }
}

/// The state of a backup's name before the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replaces {
    /// It is not known: journals of version 1 do not say.
    #[default]
    Anything,
    /// Nothing, or nothing that may go.
    Nothing,
    /// The backup of an earlier import, with this inode number.
    Inode(u64),
}

/// A backup that an import or a rollback made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The file or folder that it was.
    pub target: PathBuf,
    /// Its path.
    pub path: PathBuf,
    /// SHA-256 of it; of a folder, of its listing.
    pub digest: String,
    /// The file, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Identity>,
    /// The folder, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<Folder>,
}

impl Backup {
    /// The backup that a step has made; nothing if there was no old file.
    fn of(step: &Step) -> Option<Backup> {
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
                    let file = super::open_regular(&self.path).with_context(reading)?;
                    let (digest, _) = Digest::of_reader(file).with_context(reading)?;
                    digest.to_string() == self.digest
                }
            });
        };
        Ok(exists(&self.path)
            && which(folder, &self.path)? == Which::Old
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
    /// Those of the last import or rollback, and those of earlier ones that are still there.
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

    /// All of them, for the next record.
    pub fn list(&self) -> Vec<Backup> {
        self.0.clone()
    }

    /// Those that are still there, for people.
    pub fn paths(&self) -> Vec<PathBuf> {
        let there = self.0.iter().filter(|backup| exists(&backup.path));
        let mut paths: Vec<PathBuf> = there.map(|backup| backup.path.clone()).collect();
        paths.sort();
        paths
    }

    /// Chooses where the old `target` stays: the first name that nothing has, or that a backup of ours has. Names of
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

    /// Chooses where the old children of the mount point `volume` stay: the first folder that holds nothing but backups of
    /// ours.
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

/// Returns what lies at `path`, where a backup is to stay that may be replaced.
pub fn replaced_at(path: &Path) -> Replaces {
    let there = path.symlink_metadata();
    there.map_or(Replaces::Nothing, |it| Replaces::Inode(it.ino()))
}

/// The path of which `path` is the backup.
fn unnumbered(path: &Path) -> Option<PathBuf> {
    let text = path.to_str()?;
    let end = text.rfind(".bak")?;
    let base = PathBuf::from(&text[..end]);
    is_backup_of(path, &base).then_some(base)
}

/// Gives the backup at `path` a second name that stays, and tells it; one that it has already is told again, and so is that of
/// another file with the same content: what fails again and again leaves one file.
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
                super::redo::link_or_copy(path, &name)?;
                super::sync_folder(&super::folder_of(&name))?;
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
            super::rename_to_nothing(path, &name)?;
            return Ok(name);
        }
    }
    bail!("no name is free for {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_backups_are_names_of_backups() {
        let is = |name: &str| is_backup_of(Path::new(name), Path::new("/a/x"));
        for good in [
            "/a/x.bak",
            "/a/x.bak.1",
            "/a/x.bak.9",
            "/a/x.bak.10",
            "/a/.hookshot-bak/x",
            "/a/.hookshot-bak.2/x",
        ] {
            assert!(is(good), "{good}");
        }
        for bad in [
            "/a/x",
            "/a/x.bak.",
            "/a/x.bak.0",
            "/a/x.bak.01",
            "/a/x.bak.1a",
            "/a/x.bak.-1",
            "/a/x.bak/1",
            "/a/.hookshot-bak/y",
            "/a/.hookshot-bak.x/x",
            "/a/.hookshot-bakery/x",
            "/b/.hookshot-bak/x",
            "/a/x.bak.1/b",
            "/a/y.bak",
            "/a/x.bak.12345678",
        ] {
            assert!(!is(bad), "{bad}");
        }
    }

    #[test]
    fn what_nobody_recorded_keeps_its_name() {
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
