//! The journal: the record that makes several replacements one (docs/architecture/transaction.md).
//!
//! It lies in `.hookshot` beside the configuration file, because that place does not change with what an import
//! restores. Its phase says what the next hookshot has to do; every change of phase is one atomic replacement.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{
    backup::{Backup, Identity, Replaces, is_backup_of},
    exists, folder_of,
    publish::{Existing, publish},
    sync_folder,
    volume::Volume,
};
use crate::{
    error::{Failure, Kind},
    model::{
        digest::Digest,
        limits::MAX_MANIFEST_BYTES,
        rules::{Rules, WrittenRules},
    },
};

/// The verb that undoes the last import.
pub const ROLLBACK: &str = "rollback";
const FOLDER: &str = ".hookshot";
const JOURNAL: &str = "journal.json";
const RECORD: &str = "last-import.json";
/// Version 2 tells folders by their inode numbers alone, and names backups `.bak.N`; version 1 is still understood.
const VERSION: u64 = 2;

/// What the next hookshot has to do when it finds the journal.
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
pub struct Step {
    /// The entry's name.
    pub entry: String,
    /// The file that is replaced, created or removed.
    pub target: PathBuf,
    /// The new file beside it; `None` for a removal. That it is gone says that it was put in place.
    pub staged: Option<PathBuf>,
    /// Where the old file stays.
    pub backup: PathBuf,
    /// The new backup before it has its name.
    pub fresh_backup: PathBuf,
    /// The earlier backup, until the transaction is over.
    pub earlier_backup: PathBuf,
    /// The state of `backup` before.
    #[serde(default)]
    pub replaces: Replaces,
    /// The old file, whatever its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Identity>,
    /// SHA-256 of the old file; `None` where there was none.
    pub before: Option<String>,
    /// SHA-256 of the new file; `None` for a removal.
    pub after: Option<String>,
    /// True if the target is what a command held before it was given the entry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// Where it is a folder that is replaced as one; the digests are those of listings then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<Folder>,
}

/// What tells the two folders of a step apart, wherever they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// The old one; `None` where there was none.
    pub old: Option<Place>,
    /// The new one; `None` for a removal. It is in `staged`, or, where that is nothing, it is the backup that a rollback
    /// brings back.
    pub new: Option<Place>,
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

impl Folder {
    /// Returns what of the folder the digests cover. Anything else is excluded, and stays with the folder at the target.
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

/// The identity of a folder, whatever its name. The number of a device is not part of it: it changes when a disk is mounted again
/// or found in another order, and so does the number that statfs(2) gives a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
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
    /// What has to be done.
    pub phase: Phase,
    /// The verb that began it: `import` or `rollback`.
    pub verb: String,
    /// When, RFC 3339 UTC.
    pub time: String,
    /// The archive, for people.
    pub archive: Option<String>,
    /// What is removed when nothing came of it.
    pub litter: Vec<PathBuf>,
    /// The files.
    pub steps: Vec<Step>,
    /// The entries that are given to commands when the files are in their places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// The sources that were asked who is at work in them; a rollback asks them again. Nothing in journals of version 1.
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
    /// The journal of work that is about to begin.
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

    /// Returns how long the journal of steps with these targets becomes at most.
    pub fn bytes_for<'a>(targets: impl Iterator<Item = &'a Path>) -> u64 {
        // Seven paths with names of ours, digests, numbers and rules.
        let step = |target: &Path| 7 * (target.as_os_str().len() as u64 + 80) + 1000;
        targets.map(step).sum::<u64>() + 1024
    }

    /// Whether every path is one that a transaction makes: nothing else is ever removed or replaced for a journal.
    fn names_only_its_own(&self) -> bool {
        let ours = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.as_encoded_bytes());
            path.is_absolute() && name.is_some_and(|name| name.starts_with(b".hookshot-"))
        };
        let marks_its_own = |folder: &Folder| {
            let marker = folder.marker.iter();
            let mut bad =
                marker.filter(|name| !name.starts_with(".hookshot-") || name.contains('/'));
            bad.next().is_none()
        };
        let step = |step: &Step| {
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

/// The content with its digest, as it lies on the disk.
#[derive(Serialize, Deserialize)]
struct Sealed {
    sha256: String,
    journal: serde_json::Value,
}

/// The folder that holds the journal and the record of the last import.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// The home beside the configuration file `config`.
    pub fn beside(config: &Path) -> Home {
        Home {
            folder: folder_of(config).join(FOLDER),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path at which, with `.bak` at its end, an entry of a command is kept.
    pub fn kept(&self, entry: &str) -> PathBuf {
        const MOST_BYTES: usize = 200;
        if entry.len() <= MOST_BYTES && !entry.contains('/') {
            return self.folder.join(entry);
        }
        let tag = Digest::of(entry.as_bytes()).to_string();
        let last = entry.rsplit('/').next().unwrap_or_default();
        let last: String = last.chars().take(MOST_BYTES / 4).collect();
        self.folder.join(format!("{last}-{}", &tag[..8]))
    }

    fn journal_path(&self) -> PathBuf {
        self.folder.join(JOURNAL)
    }

    fn record_path(&self) -> PathBuf {
        self.folder.join(RECORD)
    }

    /// Whether work was begun and not ended.
    pub fn is_unsettled(&self) -> bool {
        exists(&self.journal_path()) || !self.strays().is_empty()
    }

    /// What a kill left here of a journal that did not have its name yet. Anything else is somebody's, and stays.
    fn strays(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten();
        let ours = entries.filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(b".hookshot-")
        });
        ours.map(|entry| entry.path()).collect()
    }

    /// Removes what a kill left here, but for the files of `journal`. The caller holds the state's lock.
    pub fn sweep(&self, journal: Option<&Journal>) -> Result<()> {
        let steps = journal.iter().flat_map(|journal| &journal.steps);
        let needed: Vec<&PathBuf> = steps
            .flat_map(|step| {
                let beside = [&step.fresh_backup, &step.earlier_backup];
                beside.into_iter().chain(&step.staged)
            })
            .collect();
        for path in self.strays() {
            if needed.contains(&&path) {
                continue;
            }
            super::remove_file(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// The journal, if there is one.
    pub fn journal(&self) -> Result<Option<Journal>> {
        load(&self.journal_path())
    }

    /// What the last import or rollback did, if there was one.
    pub fn record(&self) -> Result<Option<Journal>> {
        load(&self.record_path())
    }

    /// Makes `journal` durable. The folder is there.
    pub fn write(&self, journal: &Journal) -> Result<()> {
        // What would not be followed after a crash is not begun.
        trust(
            &self.folder,
            &self
                .folder
                .symlink_metadata()
                .with_context(|| format!("cannot look at {}", self.folder.display()))?,
        )?;
        let content = serde_json::to_value(journal)
            .context("cannot keep a journal of paths that are not UTF-8")?;
        let sealed = Sealed {
            sha256: Digest::of(content.to_string().as_bytes()).to_string(),
            journal: content,
        };
        let mut text = format!("{:#}", serde_json::to_value(&sealed)?);
        text.push('\n');
        publish(&self.journal_path(), text.as_bytes(), Existing::Replace)
    }

    /// Ends the work: the journal becomes the record of the last import, in one step.
    pub fn end(&self) -> io::Result<()> {
        std::fs::rename(self.journal_path(), self.record_path())?;
        // The work is done. Should a power cut bring the journal back, it is found done once more.
        if let Err(error) = sync_folder(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "The record of the import could not be synced");
        }
        Ok(())
    }

    /// Ends work that came to nothing; the record of an earlier import stays.
    pub fn forget(&self) -> io::Result<()> {
        super::remove_file(&self.journal_path())?;
        if self.folder.is_dir() {
            sync_folder(&self.folder)
        } else {
            Ok(())
        }
    }
}

fn load(path: &Path) -> Result<Option<Journal>> {
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)
    {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let hint = "docs/recovery.md, \"A damaged journal\", says how to finish by hand";
    let damaged = |reason: &str| {
        Failure::new(
            Kind::Failed,
            format!("{} is damaged: {reason}", path.display()),
        )
        .hint(hint)
    };
    for (path, metadata) in [
        (path.to_owned(), file.metadata()?),
        (folder_of(path), folder_of(path).symlink_metadata()?),
    ] {
        trust(&path, &metadata)?;
    }
    let mut bytes = Vec::new();
    file.take(MAX_MANIFEST_BYTES)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let sealed: Sealed =
        serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))?;
    if Digest::of(sealed.journal.to_string().as_bytes()).to_string() != sealed.sha256 {
        return Err(damaged("it does not match its checksum").into());
    }
    let version = sealed.journal.get("version");
    match version.and_then(serde_json::Value::as_u64) {
        Some(1..=VERSION) => {}
        Some(newer) if newer > VERSION => {
            let message = format!(
                "{} was written by a newer hookshot (version {newer})",
                path.display()
            );
            return Err(Failure::new(Kind::Blocked, message)
                .hint("use that hookshot, or a newer one: this one cannot tell what is to be done, and leaves everything as it is")
                .into());
        }
        _ => return Err(damaged("it is of no version that a hookshot writes").into()),
    }
    let journal: Journal =
        serde_json::from_value(sealed.journal).map_err(|error| damaged(&error.to_string()))?;
    if !journal.names_only_its_own() {
        return Err(damaged("it names files that no journal names").into());
    }
    Ok(Some(journal))
}

/// Fails where a journal or its folder is not surely ours: whoever could write it could have any file removed or
/// replaced.
pub(super) fn trust(path: &Path, metadata: &std::fs::Metadata) -> Result<(), Failure> {
    let us = nix::unistd::geteuid().as_raw();
    let (reason, hint) = if metadata.is_symlink() {
        ("is a link".to_owned(), "put the folder itself in its place")
    } else if metadata.uid() != us && metadata.uid() != 0 {
        let reason = format!("belongs to the user with number {}", metadata.uid());
        (
            reason,
            "run hookshot as that user, or look at it first: docs/recovery.md, \"A damaged journal\"",
        )
    } else if metadata.mode() & 0o022 != 0 {
        let hint = "look at it first (docs/recovery.md, \"A damaged journal\"), then take the permission away with chmod go-w";
        ("can be written by others".to_owned(), hint)
    } else if !metadata.is_dir() && !metadata.is_file() {
        ("is no regular file".to_owned(), "remove it")
    } else {
        return Ok(());
    };
    Err(Failure::new(
        Kind::Failed,
        format!("{} cannot be trusted: it {reason}", path.display()),
    )
    .hint(hint))
}
