//! The records of a manifest: one for each entry, folder and symbolic link.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use crate::model::{digest::Digest, engine::Engine, entry_name::EntryName, relative::RelativeName};

/// Extended attributes by name; POSIX ACLs are among them.
pub type Xattrs = BTreeMap<String, Vec<u8>>;

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

    /// Returns the engine if this is a database.
    pub fn engine(&self) -> Option<Engine> {
        Engine::of_kind(self.kind.as_deref()?)
    }

    /// Returns true if blocks of zeros in this database take no room where it is unpacked.
    pub fn leaves_holes(&self) -> bool {
        self.engine().is_some_and(Engine::leaves_holes)
    }

    /// Returns the bytes that the entry takes on a disk if blocks of zeros take none. For a redb database these are its
    /// live pages and its header.
    pub fn stored_bytes(&self) -> u64 {
        const HEADER_BYTES: u64 = 4096;
        let snapshot = self.snapshot.as_ref().filter(|_| self.leaves_holes());
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

    /// Returns the owner and group of the file.
    pub fn owner(&self) -> Owner {
        Owner {
            user: self.user.clone(),
            group: self.group.clone(),
            uid: self.uid,
            gid: self.gid,
        }
    }

    /// Returns its time to the nanosecond, as far as the manifest has it.
    pub fn modified(&self) -> Option<Modified> {
        Some(Modified {
            seconds: self.mtime?,
            nanoseconds: self.mtime_ns.unwrap_or(0),
        })
    }
}

/// The owner and group of a file, folder or link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// Name of the owner.
    pub user: Option<Arc<str>>,
    /// Name of the group.
    pub group: Option<Arc<str>>,
    /// Number of the owner.
    pub uid: Option<u32>,
    /// Number of the group.
    pub gid: Option<u32>,
}

/// Time of the last change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Modified {
    /// Unix seconds.
    pub seconds: i64,
    /// Nanoseconds since then, below 10^9.
    pub nanoseconds: u32,
}

impl Modified {
    /// The latest possible time.
    pub const LATEST: Modified = Modified {
        seconds: i64::MAX,
        nanoseconds: 999_999_999,
    };

    /// Returns true if it is after `moment`.
    pub fn is_after(self, moment: Modified) -> bool {
        (self.seconds, self.nanoseconds) > (moment.seconds, moment.nanoseconds)
    }

    /// Returns the same time as the standard library represents it; `None` if it cannot.
    pub fn time(self) -> Option<SystemTime> {
        let span = Duration::from_secs(self.seconds.unsigned_abs());
        let second = match self.seconds < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(span),
            false => SystemTime::UNIX_EPOCH.checked_add(span),
        };
        second?.checked_add(Duration::from_nanos(self.nanoseconds.into()))
    }
}

/// The manifest's record of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderRecord {
    /// Permission bits, at most `0o7777`.
    pub mode: Option<u32>,
    /// Its owner and group.
    pub owner: Owner,
    /// The time at which an entry of it was last created or removed.
    pub mtime: Option<Modified>,
    /// Its extended attributes.
    pub xattrs: Xattrs,
}

/// The manifest's record of a symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRecord {
    /// The target: 1 to `MAX_LINK_BYTES` bytes without NUL.
    pub target: Vec<u8>,
    /// Its owner and group.
    pub owner: Owner,
    /// The time at which it was created.
    pub mtime: Option<Modified>,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct ListingLine {
    /// The path below the directory's top folder.
    pub name: RelativeName,
    /// The record.
    pub node: ListedNode,
}

/// The record in a line of a listing.
#[derive(Debug, Clone, PartialEq)]
pub enum ListedNode {
    /// That of a file.
    File(Box<FileRecord>),
    /// That of a folder.
    Folder(FolderRecord),
    /// That of a symbolic link.
    Link(LinkRecord),
}

impl ListingLine {
    /// Returns the record of the file, if it is one.
    pub fn file(&self) -> Option<&FileRecord> {
        match &self.node {
            ListedNode::File(record) => Some(record),
            _ => None,
        }
    }
}
