//! The locks by which redb keeps a file to one process, asked for and held from outside.
//!
//! redb 2 and 3 lock the whole file with flock(2); redb 4 holds open-file-description locks on byte ranges (fcntl(2),
//! `F_OFD_SETLK`) and flock(2) as well; its next version holds the byte ranges alone. So both kinds are asked, and
//! both are held. All of them are advisory and go with the process.

use std::{fs::File, io, path::Path};

use anyhow::{Context as _, Result};

use crate::disk::{
    holder::{self, Holder, Mode},
    range_lock::{self, Range},
};

/// Where redb 4 has its control bytes; a reader leaves one of them free (redb 4.4, `file_backend`).
const CONTROL: i64 = 1 << 62;
const WHOLE: Range = (0, 0);
/// The ranges that a reader of redb 4 locks: everything but the control bytes that only writers use.
const READER_RANGES: [Range; 3] = [(0, CONTROL + 1), (CONTROL + 2, 894), (CONTROL + 1024, 0)];

/// The locks that keep every redb from opening a file for writing. Dropping it releases them.
#[derive(Debug)]
pub struct DatabaseLock {
    _file: File,
}

/// How a lock is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// Nobody may write; others may read.
    Writers,
    /// Nobody else may have it at all.
    Everybody,
}

impl DatabaseLock {
    /// Takes the locks on `file`, or tells who holds them. Nothing is written.
    pub fn acquire(file: &File, against: Against) -> io::Result<Result<DatabaseLock, Vec<Holder>>> {
        // Locks belong to an open file description: a description of our own, so that they end with this value.
        let own = File::open(format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(file)
        ))?;
        let result = match against {
            Against::Writers => fs2::FileExt::try_lock_shared(&own),
            Against::Everybody => fs2::FileExt::try_lock_exclusive(&own),
        };
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Err(holders(file)?));
            }
            Err(error) => return Err(error),
        }
        if against == Against::Everybody && range_lock::is_locked(&own, WHOLE)? {
            return Ok(Err(holders(file)?));
        }
        for range in READER_RANGES {
            if !range_lock::share(&own, range)? {
                return Ok(Err(holders(file)?));
            }
        }
        Ok(Ok(DatabaseLock { _file: own }))
    }
}

/// The processes that hold a redb lock on `file`, or have it open for writing: a pure query that disturbs nobody.
pub fn probe(path: &Path, file: &File) -> Result<Vec<Holder>> {
    let asking = || format!("cannot ask who holds {}", path.display());
    let locked = range_lock::is_locked(file, WHOLE).with_context(asking)?
        || holder::is_flocked(file).with_context(asking)?;
    if locked {
        return holders(file).with_context(asking);
    }
    let open = holder::open_by(path).unwrap_or_default();
    Ok(open
        .into_iter()
        .filter(|(_, mode)| *mode == Mode::Writes)
        .map(|(holder, _)| holder)
        .collect())
}

/// Those who hold a lock of either kind; never empty, because the caller knows that there is one.
fn holders(file: &File) -> io::Result<Vec<Holder>> {
    let mut found = holder::lock_holders(file).unwrap_or_default();
    found.retain(|holder| holder.pid != Some(std::process::id()));
    if found.is_empty() {
        // Byte-range locks carry no process number: whoever has the file open is it.
        let path = std::fs::read_link(format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(file)
        ))?;
        let mut open = holder::open_by(&path).unwrap_or_default();
        // Who reads beside one who writes holds no lock that matters.
        if open.iter().any(|(_, mode)| *mode == Mode::Writes) {
            open.retain(|(_, mode)| *mode == Mode::Writes);
        }
        found = open.into_iter().map(|(holder, _)| holder).collect();
    }
    if found.is_empty() {
        found.push(Holder::unknown());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::{Database, DatabaseError, ReadOnlyDatabase};

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
}
