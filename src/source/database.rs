//! The questions that the rest of hookshot asks of the engine of a database, wherever the database lies: as a source,
//! among the files of a directory, or in an archive.

use std::{fs::File, path::Path};

use anyhow::Result;

use super::{
    behavior::SourceContext,
    redb::{header::HEADER_BYTES, lock::DatabaseLock, options::SnapshotOptions},
    sqlite::verdict::CheckExtent,
    staged::Staged,
};
use crate::{
    disk::holder::Holder,
    model::{entry_name::EntryName, manifest::FileRecord},
    work::Advance,
};

/// The most first bytes of an archived database that [`DatabaseEngine::holds_tables`] reads.
pub const HEAD_BYTES: usize = HEADER_BYTES;

/// The choice between taking the lock of a database and only asking for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// It is held until the value that is returned goes.
    Held,
    /// Nothing is locked; the answer may be old a moment later.
    Asked,
}

/// The use of a database that would be replaced.
pub enum Occupancy {
    /// These processes hold its lock. Its content cannot be read consistently meanwhile.
    Locked(Vec<Holder>),
    /// These processes have it open.
    Open(Vec<Holder>),
    /// No process uses it, or there is none.
    Free {
        /// Its lock, if it was asked for.
        lock: Option<DatabaseLock>,
        /// The deployments that are at work in it, or the reason why that cannot be told.
        deployments: Result<Vec<String>, String>,
    },
}

/// The verdict of an engine on a database of an archive.
pub enum DatabaseVerdict {
    /// It is good; holds the extent of the check, if the engine names it.
    Good(Option<CheckExtent>),
    /// Its rows are good, but an index is not.
    Index {
        /// The fault of the index, in words.
        fault: String,
        /// Its remedy, in words.
        remedy: String,
        /// The extent of the check.
        extent: CheckExtent,
    },
    /// It is damaged, or is not a database; holds the finding.
    Damaged(String),
}

/// An engine: the answers to all questions about its databases.
pub trait DatabaseEngine: Sync {
    /// Returns true if `file` is one of its databases.
    fn owns(&self, file: &File) -> bool;

    /// Takes a consistent copy of the database at `path`, whatever processes have it open.
    fn take(
        &self,
        path: &Path,
        name: &EntryName,
        snapshot: SnapshotOptions,
        context: &SourceContext<'_>,
    ) -> Result<Staged>;

    /// Inspects the database at `path`, which would be replaced.
    fn occupancy(&self, path: &Path, locking: Locking) -> Result<Occupancy>;

    /// Checks an unpacked database in the file at `place`. What the export checked, as its `record` says, is not
    /// checked again.
    fn judge(
        &self,
        place: &Path,
        record: Option<&FileRecord>,
        step: &Advance<'_>,
    ) -> Result<DatabaseVerdict>;

    /// Checks everything about a database in a private file at `place`, with the companions that lie beside it.
    fn judge_thoroughly(&self, place: &Path, step: &Advance<'_>) -> Result<DatabaseVerdict>;

    /// Returns true if the database at `target` holds what the archived one in the file at `place` does, although the
    /// files differ.
    fn holds_same(
        &self,
        target: &Path,
        place: &Path,
        record: Option<&FileRecord>,
        context: &SourceContext<'_>,
    ) -> Result<bool>;

    /// Returns true if the database at `path` holds the tables of an archived one, which has this `record` and begins
    /// with `head`.
    fn holds_tables(
        &self,
        path: &Path,
        record: &FileRecord,
        head: &[u8],
        context: &SourceContext<'_>,
    ) -> Result<bool>;

    /// Locks a new database before it gets its name, so that no service starts on it. Returns `None` if the engine has
    /// no such lock.
    fn lock_new(&self, _: &Path) -> Result<Option<DatabaseLock>> {
        Ok(None)
    }

    /// Fails if the database at `path` does not open.
    fn opens(&self, path: &Path, step: &Advance<'_>) -> Result<()>;
}
