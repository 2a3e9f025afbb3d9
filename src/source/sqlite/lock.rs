//! The locks by which SQLite's processes coordinate, held and queried from outside.
//!
//! SQLite locks byte ranges with fcntl(2) (its os_unix.c, "Posix Advisory Locking"). Those belong to a process; ours
//! belong to an open file ([`range_lock`]), so that SQLite's own handling of its locks cannot lose them. All of them
//! are advisory. Not seen: services that use another VFS than `unix`, as `unix-dotfile` or `unix-none`.

use std::{fs::File, io, path::Path};

use super::companions::companions;
use crate::disk::{
    holder::{self, Holder},
    open_regular,
    range_lock::{self, Range, is_locked},
};

/// The byte that a process holds to write the whole file alone, so that no new reader begins (os.h, `PENDING_BYTE`).
const PENDING: Range = (0x4000_0000, 1);
/// The byte that a process holds while it prepares to write.
const RESERVED: Range = (PENDING.0 + 1, 1);
/// The range that readers share. A process that writes the file in rollback mode, ends the log or changes the mode
/// holds it alone.
const SHARED: Range = (PENDING.0 + 2, 510);
/// The byte of an index that each process shares that has the index open (os_unix.c, `UNIX_SHM_DMS`).
const ATTACHED: Range = (128, 1);
/// All bytes of a database that SQLite locks: pending, reserved, shared.
const ANY: Range = (PENDING.0, 512);
/// All bytes of an index that SQLite locks: those of writers and readers of the log, and [`ATTACHED`].
const ANY_OF_INDEX: Range = (120, 9);

/// Takes the lock of a reader on `file`, a database, for as long as the file stays open. Returns true if that
/// succeeded.
///
/// While it is held, no process can change a database in rollback mode, remove the log of one in WAL mode, or change
/// the mode. Others can read, and in WAL mode write.
pub fn share(file: &File) -> io::Result<bool> {
    if !range_lock::share(file, PENDING)? {
        return Ok(false);
    }
    let shared = range_lock::share(file, SHARED);
    range_lock::release(file, PENDING)?;
    shared
}

/// Returns true if a process prepares to write `file`, a database: then a journal beside it is in use, and not the
/// leftover of a crash.
pub fn is_reserved(file: &File) -> io::Result<bool> {
    is_locked(file, RESERVED)
}

/// Returns true if a process has `index`, the index of a log, in use.
pub fn is_attached(index: &File) -> io::Result<bool> {
    is_locked(index, ATTACHED)
}

/// Returns a process that has a lock on the database at `path` or on its index, whatever user or container it belongs
/// to.
///
/// A service with a log has one as long as it has the database open. One in rollback mode has one only while it reads
/// or writes.
pub fn user(path: &Path) -> io::Result<Option<Holder>> {
    let [_, index, _] = companions(path);
    for (path, range) in [(path, ANY), (index.as_path(), ANY_OF_INDEX)] {
        let found = match open_regular(path) {
            Ok(file) => range_lock::locked_by(&file, range)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                holder::listed_on(path)?
            }
            Err(error) => return Err(error),
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::{Connection, ErrorCode};

    fn database() -> (tempfile::NamedTempFile, Connection) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let connection = Connection::open(file.path()).expect("a database");
        connection
            .busy_timeout(std::time::Duration::ZERO)
            .expect("set");
        connection
            .execute_batch("CREATE TABLE notes(text)")
            .expect("a table");
        (file, connection)
    }

    #[test]
    fn nobody_writes_the_file_while_a_reader_holds_it() {
        let (file, connection) = database();
        let write = || connection.execute("INSERT INTO notes VALUES('x')", []);
        let held = File::open(file.path()).expect("a file");
        assert!(share(&held).expect("asked"));
        let error = write().expect_err("held");
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
        connection
            .query_row("SELECT count(*) FROM notes", [], |row| row.get::<_, i64>(0))
            .expect("readers are welcome");
        drop(held);
        // Closing our handle has dropped the locks of this process, as it would in a service: begin anew.
        drop(connection);
        let connection = Connection::open(file.path()).expect("a database");
        connection
            .execute("INSERT INTO notes VALUES('x')", [])
            .expect("free again");
    }

    #[test]
    fn who_writes_is_seen_and_who_writes_alone_keeps_readers_out() {
        let (file, connection) = database();
        let asked = File::open(file.path()).expect("a file");
        assert!(!is_reserved(&asked).expect("asked"));
        connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
        assert!(is_reserved(&asked).expect("asked"));
        connection
            .execute_batch("ROLLBACK; BEGIN EXCLUSIVE")
            .expect("begun");
        assert!(!share(&asked).expect("asked"));
        connection.execute_batch("ROLLBACK").expect("ended");
        assert!(share(&asked).expect("asked"));
    }
}
