//! The manifest: an archive's table of contents with the digest of every entry (docs/format.md, "manifest.json").

mod reading;
#[cfg(test)]
mod tests;
mod text;

use std::{collections::BTreeMap, sync::Arc};

use semver::Version;
use serde_json::Value;

use super::{
    digest::Digest,
    entry_name::EntryName,
    tree::{Tree, Xattrs},
    version::FormatVersion,
};

/// The manifest's name inside the root folder; no entry may have it.
pub const MANIFEST_NAME: &str = "manifest.json";

/// An archive's table of contents.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The version of the format.
    pub version: FormatVersion,
    /// Time of the snapshot, Unix seconds.
    pub created_at: i64,
    /// The hookshot that wrote the archive.
    pub hookshot_version: Version,
    /// The entries by name, in the order in which they stand in the archive.
    pub files: BTreeMap<EntryName, FileRecord>,
    /// The root folder's name; absent in version 1.0.
    pub root: Option<String>,
    /// The name of the machine that made the archive.
    pub hostname: Option<String>,
    /// The name of the exported application.
    pub app: Option<String>,
    /// The version of the application.
    pub app_version: Option<String>,
    /// The method that compressed its blocks. The same hookshot with the same method writes the same bytes.
    pub compression: Option<String>,
    /// Free labels.
    pub tags: BTreeMap<String, String>,
    /// Directory sources by name; their files are entries.
    pub trees: BTreeMap<EntryName, Tree>,
}

/// The manifest's record of one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRecord {
    /// The path below the root folder.
    pub path: EntryName,
    /// SHA-256 of the content.
    pub checksum: Digest,
    /// Size of the content in bytes.
    pub size: u64,
    /// Permission bits, at most `0o7777`.
    pub mode: Option<u32>,
    /// Name of the owner.
    pub user: Option<Arc<str>>,
    /// Name of the group.
    pub group: Option<Arc<str>>,
    /// Number of the owner.
    pub uid: Option<u32>,
    /// Number of the group.
    pub gid: Option<u32>,
    /// Time of the last change, Unix seconds.
    pub mtime: Option<i64>,
    /// The kind of entry: `redb`, `file`; unknown kinds are plain files.
    pub kind: Option<Arc<str>>,
    /// The path of the source; information only, an import never follows it.
    pub target: Option<String>,
    /// The record of how the copy of a database was taken and verified.
    pub snapshot: Option<Value>,
    /// The path below its directory source if the entry's name cannot hold it.
    pub name: Option<Vec<u8>>,
    /// Nanoseconds of [`FileRecord::mtime`], below 10^9.
    pub mtime_ns: Option<u32>,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// True if the file had holes, so that blocks of zeros need not be stored.
    pub sparse: bool,
    /// True if the content may be a state that the file never had: the file changed during each read, or it is a plain
    /// copy of a database that could not be verified.
    pub torn: bool,
    /// True if the configuration of the exporting machine marks the source as secret.
    pub secret: bool,
}

impl FileRecord {
    /// Makes a record with the three keys of version 1.0.
    pub fn new(path: EntryName, checksum: Digest, size: u64) -> FileRecord {
        FileRecord {
            path,
            checksum,
            size,
            mode: None,
            user: None,
            group: None,
            uid: None,
            gid: None,
            mtime: None,
            kind: None,
            target: None,
            snapshot: None,
            name: None,
            mtime_ns: None,
            xattrs: Xattrs::new(),
            sparse: false,
            torn: false,
            secret: false,
        }
    }

    /// Returns true if this is a redb database.
    pub fn is_redb(&self) -> bool {
        self.kind.as_deref() == Some("redb")
    }

    /// Returns the bytes that the entry takes on a disk if blocks of zeros take none. For a redb database these are its
    /// live pages and its header.
    pub fn stored_bytes(&self) -> u64 {
        const HEADER_BYTES: u64 = 4096;
        let snapshot = self.snapshot.as_ref().filter(|_| self.is_redb());
        let live = snapshot.and_then(|snapshot| snapshot.get("live_bytes")?.as_u64());
        live.map_or(self.size, |live| {
            self.size.min(live.saturating_add(HEADER_BYTES))
        })
    }

    /// Returns true if the archive states that this database was checked page by page before it was archived.
    pub fn is_proven_database(&self) -> bool {
        let checked = self
            .snapshot
            .as_ref()
            .and_then(|snapshot| snapshot.get("check_integrity"));
        checked == Some(&Value::Bool(true))
    }
}

impl Manifest {
    /// Returns the entries whose content may be a state that they never had.
    pub fn torn(&self) -> impl Iterator<Item = (&EntryName, &FileRecord)> {
        self.files.iter().filter(|(_, record)| record.torn)
    }

    /// Returns true if a database is among the torn entries: then an older archive may be the better one.
    pub fn has_torn_database(&self) -> bool {
        self.torn()
            .any(|(_, record)| matches!(record.kind.as_deref(), Some("redb" | "sqlite")))
    }

    /// Returns true if the archive marks an entry as secret, by its own record or by that of its directory.
    pub fn is_secret(&self, name: &EntryName) -> bool {
        let directory = name.as_str().split_once('/').map(|(first, _)| first);
        let tree = directory.and_then(|first| self.trees.get(first));
        self.files.get(name).is_some_and(|record| record.secret)
            || tree.is_some_and(|tree| tree.secret)
    }

    /// Returns the bytes of all entries together. Never overflows: both factors are bounded on reading.
    pub fn total_bytes(&self) -> u64 {
        self.files
            .values()
            .fold(0, |sum, file| sum.saturating_add(file.size))
    }
}

/// A fault of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestFault {
    /// It has content that no manifest may have.
    Malformed(String),
    /// It is a manifest of another major version.
    Version(String),
}
