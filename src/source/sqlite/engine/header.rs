//! The first bytes of a database, as far as they are needed here (SQLite, "Database File Format", 1.3).

use std::{fs::File, io, os::unix::fs::FileExt as _};

/// The first bytes of every SQLite database that is not encrypted.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The bytes of the header. No database is smaller.
const HEADER_BYTES: usize = 100;

/// The mode in which a database is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalMode {
    /// A write-ahead log beside the file takes the new pages.
    Wal,
    /// The file takes the new pages, a journal beside it the old ones.
    Rollback,
}

impl JournalMode {
    /// Returns the name that `PRAGMA journal_mode` has for it. The kinds of rollback journals are not told apart: each
    /// connection chooses its own.
    pub fn name(self) -> &'static str {
        match self {
            JournalMode::Wal => "wal",
            JournalMode::Rollback => "delete",
        }
    }
}

/// The kind of a file, from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqliteHeader {
    /// A database, and the mode that the next connection takes up.
    Database(JournalMode),
    /// An empty file.
    Empty,
    /// Something else, or an encrypted database.
    Foreign,
}

impl SqliteHeader {
    /// Reads the header of `file`.
    pub fn read(file: &File) -> io::Result<SqliteHeader> {
        let mut bytes = [0; HEADER_BYTES];
        if file.metadata()?.len() == 0 {
            return Ok(SqliteHeader::Empty);
        }
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(SqliteHeader::Foreign);
            }
            result => result?,
        }
        // Bytes 18 and 19: the versions needed to write and to read it, 2 for WAL.
        Ok(match (bytes.starts_with(MAGIC), bytes[19]) {
            (false, _) => SqliteHeader::Foreign,
            (true, 2) => SqliteHeader::Database(JournalMode::Wal),
            (true, _) => SqliteHeader::Database(JournalMode::Rollback),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn read(bytes: &[u8]) -> SqliteHeader {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        SqliteHeader::read(&file).expect("readable")
    }

    #[test]
    fn a_database_is_known_by_its_first_bytes() {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..16].copy_from_slice(MAGIC);
        (bytes[18], bytes[19]) = (1, 1);
        assert_eq!(read(&bytes), SqliteHeader::Database(JournalMode::Rollback));
        (bytes[18], bytes[19]) = (2, 2);
        assert_eq!(read(&bytes), SqliteHeader::Database(JournalMode::Wal));
        assert_eq!(read(&bytes[..99]), SqliteHeader::Foreign);
        bytes[0] ^= 1;
        assert_eq!(read(&bytes), SqliteHeader::Foreign);
        assert_eq!(read(b""), SqliteHeader::Empty);
    }
}
