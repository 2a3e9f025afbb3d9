//! Connections that change only files of our own.

use std::{os::unix::ffi::OsStrExt as _, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

/// The way in which a database is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionMode {
    /// As a reader beside other processes in WAL mode. Log and index must be there, else SQLite would create them. The
    /// index is only read: this reader does not note in it how far it reads.
    Beside,
    /// As a file that no process changes: no lock, no companions. The caller guarantees it.
    Still,
    /// As a file of our own: SQLite recovers the leftovers of a crash, and removes the companions when it is closed.
    Own,
}

/// The time that SQLite waits for a lock in one go; a caller that asks for more waits several times.
const BUSY: Duration = Duration::from_secs(2);

/// Opens the database at `path`, which must be absolute and no link.
///
/// Its schema is not trusted: it cannot call functions with effects outside of it. If `access` allows writing, nothing
/// is synced, because only private copies are written.
pub fn open(path: &Path, access: ConnectionMode) -> rusqlite::Result<Connection> {
    let (flags, parameters) = match access {
        ConnectionMode::Beside => (OpenFlags::SQLITE_OPEN_READ_ONLY, "?mode=ro&readonly_shm=1"),
        ConnectionMode::Still => (OpenFlags::SQLITE_OPEN_READ_ONLY, "?mode=ro&immutable=1"),
        ConnectionMode::Own => (OpenFlags::SQLITE_OPEN_READ_WRITE, "?mode=rw"),
    };
    let connection = Connection::open_with_flags(
        uri(path) + parameters,
        flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.execute_batch("PRAGMA cell_size_check = ON; PRAGMA synchronous = OFF")?;
    Ok(connection)
}

/// Returns `path` as a URI that SQLite reads back byte for byte, whatever it contains (SQLite, "Uniform Resource
/// Identifiers").
pub fn uri(path: &Path) -> String {
    let mut text = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => text.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => text.push(char::from(*byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn no_name_means_anything_to_a_uri() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [
            &b"a?mode=rwc#b.db"[..],
            b"100%41 'quoted' \"twice\".db",
            b"\xff\xfe&immutable=0;\n.db",
            "gr\u{fc}n+\\.db".as_bytes(),
        ] {
            let path = folder.path().join(OsStr::from_bytes(name));
            std::fs::File::create_new(&path).expect("a file");
            let connection = open(&path, ConnectionMode::Own).expect("opened");
            connection
                .execute_batch("CREATE TABLE notes(text)")
                .expect("written");
            drop(connection);
            assert!(path.metadata().expect("there").len() > 0, "{name:?}");
            std::fs::File::open(&path).expect("the very file");
        }
        assert_eq!(folder.path().read_dir().expect("readable").count(), 4);
    }
}
