//! The locks by which redb keeps a file to one process, asked for and held from outside.
//!
//! redb 2 and 3 lock the whole file with flock(2). redb 4.3 and newer hold open-file-description locks on byte ranges
//! (fcntl(2), `F_OFD_SETLK`) and flock(2) as well; redb 5 holds the byte ranges alone. Since redb 4.5 several processes
//! may share a database; each of them holds a few bytes only. So hookshot asks for both kinds, and holds both. All of
//! them are advisory and end with the process.
//!
//! Against writers hookshot holds as little as keeps every version from writing (redb 4.6, `db.rs` and
//! `page_manager.rs`): flock(2) shared, which redb 2 to 4 and the exclusive writer of redb 5 ask for; the byte of a
//! reader of the whole file, for which every writer that shares looks before it takes anything; and the writer's byte,
//! which closes the gap between that look and the next step. All of these refuse with `DatabaseAlreadyOpen`. No reader
//! asks for any of them in a way that a shared lock refuses. The bytes of the protocol's generations stay free: a
//! lock on another generation's byte is a `LockProtocolMismatch`, on which services do not try again.

use std::{fs::File, io, os::fd::AsRawFd as _, path::Path};

use anyhow::{Context as _, Result};

use crate::disk::{
    holder::{self, Holder, OpenMode},
    range_lock::{self, Range},
};

/// The place of redb 4's control bytes (redb 4.6, `LOCK_BASE`).
const CONTROL: i64 = 1 << 62;
/// The byte that a writing process holds, while it writes or as long as it has the database open.
const WRITER: Range = (CONTROL, 1);
/// The byte that a process holds that shares the database and may write to it, shared by many or alone.
const SHARED_WRITER: Range = (CONTROL + 1, 1);
/// The byte of a reader that shares with no writer.
const WHOLE_FILE_READER: Range = (CONTROL + 3, 1);
/// All of these.
const MODES: Range = (CONTROL, 4);
/// A byte that no redb locks by itself. A lock seen here comes from flock(2), as on NFS, which makes both kinds one.
const NAMESPACE_PROBE: Range = (CONTROL + 896, 1);
const WHOLE: Range = (0, 0);

/// The locks that keep every redb from opening a file for writing. Dropping the value releases them.
#[derive(Debug)]
pub struct DatabaseLock {
    _file: File,
}

/// The processes that a lock keeps out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// Processes that would write; readers may come and go.
    Writers,
    /// All processes.
    Everybody,
}

impl DatabaseLock {
    /// Takes the locks on `file`, or returns the processes that hold it. Writes nothing.
    pub fn acquire(file: &File, against: Against) -> io::Result<Result<DatabaseLock, Vec<Holder>>> {
        let taken = match against {
            Against::Writers => against_writers(file)?,
            Against::Everybody => against_everybody(file)?,
        };
        match (taken, against) {
            (Some(own), _) => Ok(Ok(DatabaseLock { _file: own })),
            (None, Against::Writers) => Ok(Err(only_writers(holders(file)?, file)?)),
            (None, Against::Everybody) => Ok(Err(holders(file)?)),
        }
    }
}

/// Opens `file` again. Locks belong to an open file description, so these end with the returned file.
fn reopen(file: &File, is_written: bool) -> io::Result<File> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    File::options().read(true).write(is_written).open(link)
}

fn against_writers(file: &File) -> io::Result<Option<File>> {
    let own = reopen(file, false)?;
    // A process that shares the database must not be made to wait: query before taking anything.
    if range_lock::is_locked(&own, SHARED_WRITER)? || !flock(&own, Against::Writers)? {
        return Ok(None);
    }
    for byte in [WRITER, WHOLE_FILE_READER] {
        if !range_lock::share(&own, byte)? {
            return Ok(None);
        }
    }
    // A process that came meanwhile was there first.
    Ok((!range_lock::is_locked(&own, SHARED_WRITER)?).then_some(own))
}

fn against_everybody(file: &File) -> io::Result<Option<File>> {
    // Only a description that may write can lock out readers; without one, readers of redb 5 that share still get in.
    let (own, is_written) = match reopen(file, true) {
        Ok(own) => (own, true),
        Err(_) => (reopen(file, false)?, false),
    };
    if range_lock::is_locked(&own, WHOLE)? || !flock(&own, Against::Everybody)? {
        return Ok(None);
    }
    let is_taken = if is_written {
        range_lock::exclude(&own, WHOLE)?
    } else {
        range_lock::share(&own, MODES)?
    };
    Ok(is_taken.then_some(own))
}

/// Takes the whole-file lock, unless the file system makes it a lock on every byte, as NFS does: then the byte locks
/// suffice.
fn flock(own: &File, against: Against) -> io::Result<bool> {
    let result = match against {
        Against::Writers => fs2::FileExt::try_lock_shared(own),
        Against::Everybody => fs2::FileExt::try_lock_exclusive(own),
    };
    match result {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
        Err(error) => return Err(error),
    }
    if range_lock::is_locked(own, NAMESPACE_PROBE)? {
        fs2::FileExt::unlock(own)?;
    }
    Ok(true)
}

/// Returns the processes that hold a redb lock on `file`, or have it open for writing. A pure query: it takes no lock.
pub fn probe(path: &Path, file: &File) -> Result<Vec<Holder>> {
    let asking = || format!("cannot find the processes that hold {}", path.display());
    let locked = range_lock::is_locked(file, WHOLE).with_context(asking)?
        || holder::is_flocked(file).with_context(asking)?;
    if locked {
        return holders(file).with_context(asking);
    }
    let open = holder::open_by(path).unwrap_or_default();
    Ok(open
        .into_iter()
        .filter(|(_, mode)| *mode == OpenMode::Writes)
        .map(|(holder, _)| holder)
        .collect())
}

/// Returns the processes of [`probe`] that write, or all of them if none is seen to have the file open for writing.
pub fn probe_writers(path: &Path, file: &File) -> Result<Vec<Holder>> {
    let found = probe(path, file)?;
    only_writers(found, file)
        .with_context(|| format!("cannot find the processes that hold {}", path.display()))
}

fn only_writers(mut found: Vec<Holder>, file: &File) -> io::Result<Vec<Holder>> {
    let writers: Vec<Option<u32>> = open_by(file)?
        .into_iter()
        .filter(|(_, mode)| *mode == OpenMode::Writes)
        .map(|(holder, _)| holder.pid)
        .collect();
    if found.iter().any(|holder| writers.contains(&holder.pid)) {
        found.retain(|holder| writers.contains(&holder.pid));
    }
    Ok(found)
}

fn open_by(file: &File) -> io::Result<Vec<(Holder, OpenMode)>> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    Ok(holder::open_by(&path).unwrap_or_default())
}

/// Returns the processes that hold a lock of either kind. Never empty, because the caller knows that there is a lock.
fn holders(file: &File) -> io::Result<Vec<Holder>> {
    let mut found = holder::lock_holders(file).unwrap_or_default();
    found.retain(|holder| holder.pid != Some(std::process::id()));
    // Byte-range locks carry no process number: the holder is a process that has the file open for writing.
    let mut open = open_by(file)?;
    if !found.is_empty() || open.iter().any(|(_, mode)| *mode == OpenMode::Writes) {
        open.retain(|(_, mode)| *mode == OpenMode::Writes);
    }
    for (holder, _) in open {
        if !found.iter().any(|other| other.pid == holder.pid) {
            found.push(holder);
        }
    }
    if found.is_empty() {
        found.push(Holder::unknown());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::{Builder, ConcurrencyMode, Database, DatabaseError, ReadOnlyDatabase};

    fn database() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        drop(Database::create(file.path()).expect("a database"));
        file
    }

    #[test]
    fn a_held_lock_keeps_a_service_from_starting_and_lets_readers_in() {
        let file = database();
        let lock = DatabaseLock::acquire(file.as_file(), Against::Writers)
            .expect("asked")
            .expect("free");
        assert!(matches!(
            Database::open(file.path()),
            Err(DatabaseError::DatabaseAlreadyOpen)
        ));
        ReadOnlyDatabase::open(file.path()).expect("readers are welcome");
        drop(lock);
        Database::open(file.path()).expect("free again");
    }

    #[test]
    fn a_lock_against_everybody_keeps_readers_out_as_well() {
        let file = database();
        let lock = DatabaseLock::acquire(file.as_file(), Against::Everybody)
            .expect("asked")
            .expect("free");
        assert!(matches!(
            ReadOnlyDatabase::open(file.path()),
            Err(DatabaseError::DatabaseAlreadyOpen)
        ));
        drop(lock);
        let reader = ReadOnlyDatabase::open(file.path()).expect("free again");
        DatabaseLock::acquire(file.as_file(), Against::Everybody)
            .expect("asked")
            .expect_err("a reader holds it");
        DatabaseLock::acquire(file.as_file(), Against::Writers)
            .expect("asked")
            .expect("a reader does not write");
        drop(reader);
    }

    #[test]
    fn an_open_database_is_held() {
        let file = database();
        let db = Database::open(file.path()).expect("a database");
        DatabaseLock::acquire(file.as_file(), Against::Writers)
            .expect("asked")
            .expect_err("held");
        assert!(
            !probe(file.path(), file.as_file())
                .expect("asked")
                .is_empty()
        );
        drop(db);
        assert_eq!(probe(file.path(), file.as_file()).expect("asked"), vec![]);
    }

    fn sharing(mode: ConcurrencyMode) -> Builder {
        let mut builder = Builder::new();
        builder.set_concurrency_mode(mode);
        builder
    }

    const SHARING: [ConcurrencyMode; 2] =
        [ConcurrencyMode::SingleWriter, ConcurrencyMode::MultiWriter];

    #[test]
    fn writers_that_share_are_refused_as_by_another_process_and_their_readers_are_not() {
        for mode in SHARING {
            let file = database();
            let lock = DatabaseLock::acquire(file.as_file(), Against::Writers)
                .expect("asked")
                .expect("free");
            let refused = sharing(mode).open(file.path());
            assert!(
                matches!(refused, Err(DatabaseError::DatabaseAlreadyOpen)),
                "{mode:?}"
            );
            let reader = sharing(mode).open_read_only(file.path());
            drop(reader.expect("readers are welcome"));
            drop(lock);
            let writer = sharing(mode).open(file.path()).expect("free again");
            DatabaseLock::acquire(file.as_file(), Against::Writers)
                .expect("asked")
                .expect_err("it writes");
            let transaction = writer.try_begin_write().expect("nothing was taken");
            drop(transaction);
        }
    }

    #[test]
    fn a_lock_against_everybody_is_an_open_database_for_readers_that_share() {
        for mode in SHARING {
            let file = database();
            let lock = DatabaseLock::acquire(file.as_file(), Against::Everybody)
                .expect("asked")
                .expect("free");
            for refused in [
                sharing(mode).open_read_only(file.path()).map(drop),
                sharing(mode).open(file.path()).map(drop),
            ] {
                assert!(
                    matches!(refused, Err(DatabaseError::DatabaseAlreadyOpen)),
                    "{mode:?}"
                );
            }
            drop(lock);
            let reader = sharing(mode)
                .open_read_only(file.path())
                .expect("free again");
            DatabaseLock::acquire(file.as_file(), Against::Everybody)
                .expect("asked")
                .expect_err("it reads");
            drop(reader);
        }
    }
}
