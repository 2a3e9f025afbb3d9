//! The place of the journal and of the record of the last import.
//!
//! It is `.hookshot` beside the configuration file, because that place does not change with what an import restores.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::journal::{Journal, VERSION};
use crate::{
    disk::{
        exists, folder_of,
        publish::{Existing, publish},
        remove_file, sync_folder,
    },
    error::{Failure, Kind},
    model::{digest::Digest, limits::MAX_MANIFEST_BYTES},
};

const FOLDER: &str = ".hookshot";
const JOURNAL: &str = "journal.json";
const RECORD: &str = "last-import.json";

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
    /// Returns the home beside the configuration file `config`.
    pub fn beside(config: &Path) -> Home {
        Home {
            folder: folder_of(config).join(FOLDER),
        }
    }

    /// Returns the folder.
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

    /// Returns true if a journal can be written and would be followed: the folder is missing, or surely ours, and its
    /// journal can be read.
    pub fn is_usable(&self) -> bool {
        match self.folder.symlink_metadata() {
            Err(error) => error.kind() == io::ErrorKind::NotFound,
            Ok(metadata) => {
                metadata.is_dir()
                    && trust(&self.folder, &metadata).is_ok()
                    && self.journal().is_ok()
            }
        }
    }

    fn journal_path(&self) -> PathBuf {
        self.folder.join(JOURNAL)
    }

    fn record_path(&self) -> PathBuf {
        self.folder.join(RECORD)
    }

    /// Returns true if work was begun and not ended.
    pub fn is_unsettled(&self) -> bool {
        exists(&self.journal_path()) || !self.strays().is_empty()
    }

    /// Lists the leftovers of a kill: journals that did not have their names yet. Anything else is the user's, and
    /// stays.
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
            remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Reads the journal, if there is one.
    pub fn journal(&self) -> Result<Option<Journal>> {
        load(&self.journal_path())
    }

    /// Reads the record of the last import or rollback, if there was one.
    pub fn record(&self) -> Result<Option<Journal>> {
        load(&self.record_path())
    }

    /// Makes `journal` durable. The folder is there.
    pub fn write(&self, journal: &Journal) -> Result<()> {
        // Do not begin a journal that would not be followed after a crash.
        trust(
            &self.folder,
            &self
                .folder
                .symlink_metadata()
                .with_context(|| format!("cannot look at {}", self.folder.display()))?,
        )?;
        let content = serde_json::to_value(journal).context("cannot write the journal")?;
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
        remove_file(&self.journal_path())?;
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

/// Refuses a journal or a folder that is not surely ours: another user with write access to it could have any file
/// removed or replaced.
pub fn trust(path: &Path, metadata: &std::fs::Metadata) -> Result<(), Failure> {
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
        ("is not a regular file".to_owned(), "remove it")
    } else {
        return Ok(());
    };
    Err(Failure::new(
        Kind::Failed,
        format!("{} cannot be trusted: it {reason}", path.display()),
    )
    .hint(hint))
}
