//! One target's change, and the names of the files that a transaction makes for it.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{journal::Replaces, names::backup_path};
use crate::{
    disk::{
        folder_of,
        staging::{LOCKED, REHEARSAL},
        survey::Stamp,
        syncing::Syncing,
    },
    model::{
        digest::Digest, engine::Engine, entry_name::EntryName, plan::FileAttributes, rules::Rules,
        tree::Modified,
    },
};

/// The change of one target.
pub struct Change<'a> {
    /// The entry.
    pub entry: EntryName,
    /// The target, links resolved.
    pub target: PathBuf,
    /// SHA-256 of what is there now; of a folder, its listing.
    pub before: Option<Digest>,
    /// The stamp that tells if it is still the same when it is replaced.
    pub stamp: Option<Stamp>,
    /// The part of a folder that is replaced; everything of one that a hookshot of version 1 of the journal has
    /// replaced.
    pub rules: Option<Rules>,
    /// The place at which the old file stays, if it is not beside the target with `.bak` at its end, and its present
    /// state.
    pub backup: Option<(PathBuf, Replaces)>,
    /// The new content.
    pub new: New<'a>,
    /// The kind of the file, for those that lock it and inspect it.
    pub form: Form,
}

impl Change<'_> {
    /// Returns the place at which the old file stays, if there is one.
    pub fn backup(&self) -> PathBuf {
        let chosen = self.backup.as_ref();
        chosen.map_or_else(|| backup_path(&self.target), |(path, _)| path.clone())
    }

    /// Returns the part of a folder that is replaced.
    pub fn rules(&self) -> Rules {
        self.rules.clone().unwrap_or_else(Rules::everything)
    }

    /// Lists the entry, and those of what lies in a folder that comes there.
    pub fn entries(&self) -> impl Iterator<Item = &EntryName> {
        let within = match &self.new {
            New::Folder { within, .. } => within.as_slice(),
            _ => &[],
        };
        std::iter::once(&self.entry).chain(within.iter().map(|change| &change.entry))
    }
}

/// The kind of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A database, for the caller that locks and opens it.
    Database(Engine),
    /// A folder that is replaced as one.
    Folder,
    /// An entry that a command held before an import gave it another.
    Kept,
    /// Anything else.
    Plain,
}

impl Form {
    /// Returns the engine of a database.
    pub fn engine(self) -> Option<Engine> {
        match self {
            Form::Database(engine) => Some(engine),
            Form::Folder | Form::Kept | Form::Plain => None,
        }
    }

    /// Returns true for a folder that is replaced as one.
    pub fn is_folder(self) -> bool {
        matches!(self, Form::Folder)
    }

    /// Returns true for an entry that a command held.
    pub fn is_kept(self) -> bool {
        matches!(self, Form::Kept)
    }
}

/// The new content of a target's place.
pub enum New<'a> {
    /// This file, with these attributes.
    File {
        /// The present path of the content.
        source: PathBuf,
        /// The fate of the source: it may be used up, or must stay.
        origin: PlacementMethod,
        /// SHA-256 of it.
        digest: Digest,
        /// Owner and permissions.
        attributes: FileAttributes,
        /// Time of the last change.
        mtime: Option<Modified>,
    },
    /// A folder, which `build` makes at the path that it is given, durable when the sync that it began has finished.
    Folder {
        /// Makes it.
        build: Build<'a>,
        /// Changes whose targets lie in it: they are made in the new folder.
        within: Vec<Change<'a>>,
    },
    /// The folder that stays as the target's backup. What is excluded of the one at the target comes along.
    Backup {
        /// Brings it into the folder at the path that it is given, durable when it returns.
        carry: Carry<'a>,
    },
    /// Nothing.
    Nothing,
}

/// Makes a folder at a path that nothing has. It is complete when this returns; nothing if no sync is needed.
pub type Build<'a> = Box<dyn Fn(&Path) -> Result<Option<Syncing>> + 'a>;

/// Adds to the folder at a path.
pub type Carry<'a> = Box<dyn Fn(&Path) -> Result<()> + 'a>;

/// The fate of the file that a new one is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlacementMethod {
    /// It is renamed: what was proven is what comes into place.
    Moved,
    /// It is copied, and stays as it is.
    Copied,
    /// It gets a second name, or a copy if the file system has no links.
    Linked,
}

/// Names of the files that a transaction makes, told apart from those of any other.
#[derive(Debug, Clone)]
pub struct Names {
    unique: String,
}

impl Names {
    /// Makes names in which `unique` tells this transaction apart: file name characters only.
    pub fn new(unique: &str) -> Names {
        Names {
            unique: unique.to_owned(),
        }
    }

    /// Returns the staging folder in `folder`.
    pub fn staging(&self, folder: &Path) -> PathBuf {
        folder.join(format!(".hookshot-{}.staging", self.unique))
    }

    /// Returns the staging folder of a rehearsal in `folder`.
    pub fn rehearsal(&self, folder: &Path) -> PathBuf {
        folder.join(format!(".hookshot-{}{LOCKED}.{REHEARSAL}", self.unique))
    }

    /// Returns the folder in which the new children of the mount point `volume` are made.
    pub fn whole(&self, volume: &Path) -> PathBuf {
        volume.join(format!(".hookshot-{}.new", self.unique))
    }

    /// Returns a staging folder for the user to inspect: it is not taken for litter.
    pub fn kept_staging(&self, folder: &Path) -> PathBuf {
        folder.join(format!("hookshot-staging-{}", self.unique))
    }

    /// Returns a file of this transaction beside `target`: `new`, `old` or `earlier`. The name is short whatever the
    /// target's, and known before anything is made.
    pub(super) fn beside(&self, target: &Path, what: &str) -> PathBuf {
        let tag = Digest::of(target.as_os_str().as_encoded_bytes()).to_string();
        folder_of(target).join(format!(".hookshot-{}-{}.{what}", self.unique, &tag[..8]))
    }

    /// Returns the name of the file that tells a new folder from an old one that has the same number.
    pub(super) fn marker(&self) -> String {
        format!(".hookshot-{}", self.unique)
    }
}
