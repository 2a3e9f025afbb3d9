//! The journal: the record that makes several replacements one (docs/architecture/transaction.md).
//!
//! Its phase says what the next hookshot has to do; every change of phase is one atomic replacement (`home`).

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::names::is_backup_of;
use crate::{
    disk::{volume::Volume, written_path},
    error::{Failure, Kind},
    model::rules::{Rules, WrittenRules},
};

/// The verb that undoes the last import.
pub const ROLLBACK: &str = "rollback";
/// Version 2 tells folders by their inode numbers alone, and names backups `.bak.N`; version 1 is still understood.
pub(super) const VERSION: u64 = 2;

/// The work that is left for the next hookshot when it finds the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing was replaced yet: remove the litter.
    Preparing,
    /// The commit point is behind: finish the work.
    Committed,
    /// The work failed: bring the old state back.
    Undoing,
    /// The old state is back: put the backups in order.
    Undone,
    /// The new state is in place and was looked at: remove what is left of the work.
    Done,
}

/// One file of the transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionStep {
    /// The entry's name.
    pub entry: String,
    /// The file that is replaced, created or removed.
    #[serde(with = "written_path::one")]
    pub target: PathBuf,
    /// The new file beside it; `None` for a removal. That it is gone says that it was put in place.
    #[serde(default, with = "written_path::optional")]
    pub staged: Option<PathBuf>,
    /// The path at which the old file stays.
    #[serde(with = "written_path::one")]
    pub backup: PathBuf,
    /// The new backup before it has its name.
    #[serde(with = "written_path::one")]
    pub fresh_backup: PathBuf,
    /// The earlier backup, until the transaction is over.
    #[serde(with = "written_path::one")]
    pub earlier_backup: PathBuf,
    /// The state of `backup` before.
    #[serde(default)]
    pub replaces: Replaces,
    /// The old file, whatever its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Identity>,
    /// SHA-256 of the old file; `None` if there was none.
    pub before: Option<String>,
    /// SHA-256 of the new file; `None` for a removal.
    pub after: Option<String>,
    /// True if the target is what a command held before it was given the entry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// The two folders, if it is a folder that is replaced as one; the digests are those of listings then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderMarks>,
}

/// The marks that tell the two folders of a step apart, wherever they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderMarks {
    /// The old one; `None` if there was none.
    pub old: Option<FolderId>,
    /// The new one; `None` for a removal. It is in `staged`; if that is `None`, it is the backup that a rollback brings
    /// back.
    pub new: Option<FolderId>,
    /// The name of a file in the new one, if the two have one number: subvolumes of btrfs all have 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// The digest of a listing of everything in the new one, what is excluded among it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<String>,
    /// The part of the folder that the digests cover; everything in journals of version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<WrittenRules>,
}

impl FolderMarks {
    /// Returns the part of the folder that the digests cover. Anything else is excluded, and stays with the folder at
    /// the target.
    pub fn rules(&self) -> Result<Rules> {
        let Some(written) = &self.rules else {
            return Ok(Rules::everything());
        };
        Rules::try_from(written).map_err(|faults| {
            let message = format!(
                "the journal has patterns that are none: {}",
                faults.join("; ")
            );
            Failure::new(Kind::Failed, message).into()
        })
    }
}

/// The identity of a folder, whatever its name. The number of a device is not part of it: it changes when a disk is
/// mounted again or found in another order, and so does the number that statfs(2) gives a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderId {
    /// The number of its device, which journals of version 1 have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u64>,
    /// Its number in its file system.
    pub inode: u64,
}

/// The journal's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    version: u64,
    /// The work that is left.
    pub phase: Phase,
    /// The verb that began it: `import` or `rollback`.
    pub verb: String,
    /// The time, RFC 3339 UTC.
    pub time: String,
    /// The archive, for people.
    pub archive: Option<String>,
    /// The paths that are removed if nothing comes of it.
    #[serde(with = "written_path::list")]
    pub litter: Vec<PathBuf>,
    /// The files.
    pub steps: Vec<TransactionStep>,
    /// The entries that are given to commands when the files are in their places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// The sources that were asked for active work in them; a rollback asks them again. Journals of version 1 have
    /// `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
    /// Backups of earlier imports that are still there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backups: Vec<Backup>,
    /// Mount points whose children are replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
}

impl Journal {
    /// Begins the journal of work.
    pub fn new(verb: &str, time: String, archive: Option<String>, litter: Vec<PathBuf>) -> Journal {
        Journal {
            version: VERSION,
            phase: Phase::Preparing,
            verb: verb.to_owned(),
            time,
            archive,
            litter,
            steps: Vec::new(),
            commands: Vec::new(),
            sources: None,
            backups: Vec::new(),
            volumes: Vec::new(),
        }
    }

    /// Returns the most bytes of a journal of steps with these targets.
    pub fn bytes_for<'a>(targets: impl Iterator<Item = &'a Path>) -> u64 {
        // Seven paths with names of ours, digests, numbers and rules.
        let step = |target: &Path| 7 * (target.as_os_str().len() as u64 + 80) + 1000;
        targets.map(step).sum::<u64>() + 1024
    }

    /// Returns true if every path is one that a transaction makes: nothing else is ever removed or replaced for a
    /// journal.
    pub(super) fn names_only_its_own(&self) -> bool {
        let ours = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.as_encoded_bytes());
            path.is_absolute() && name.is_some_and(|name| name.starts_with(b".hookshot-"))
        };
        let marks_its_own = |folder: &FolderMarks| {
            let marker = folder.marker.iter();
            let mut bad =
                marker.filter(|name| !name.starts_with(".hookshot-") || name.contains('/'));
            bad.next().is_none()
        };
        let step = |step: &TransactionStep| {
            let beside = [&step.fresh_backup, &step.earlier_backup]
                .into_iter()
                .chain(&step.staged);
            let mut beside = beside.map(|path| ours(path) && path.parent() == step.target.parent());
            beside.all(|good| good)
                && step.target.is_absolute()
                && is_backup_of(&step.backup, &step.target)
                && step.folder.iter().all(marks_its_own)
        };
        // Only a folder in which something is replaced gets attributes.
        let volume = |volume: &Volume| {
            let mut steps = self.steps.iter();
            self.steps.is_empty()
                || steps.any(|step| step.target.parent() == Some(volume.path.as_path()))
        };
        self.litter.iter().all(ours)
            && self.steps.iter().all(step)
            && self.volumes.iter().all(volume)
    }
}

/// The numbers that tell a file from any other, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its number in its file system.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// The time at which its content was changed, Unix seconds.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: i64,
}

impl Identity {
    /// Returns the identity of the file at `path`; nothing if no file is there.
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
    #[serde(with = "written_path::one")]
    pub target: PathBuf,
    /// Its path.
    #[serde(with = "written_path::one")]
    pub path: PathBuf,
    /// SHA-256 of it; of a folder, of its listing.
    pub digest: String,
    /// The file, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Identity>,
    /// The folder, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderMarks>,
}
