//! The first bytes of a database, as far as they are needed here (SQLite, "Database File Format", 1.3).

use std::{fs::File, io, os::unix::fs::FileExt as _};

/// The first bytes of every SQLite database that is not encrypted.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The bytes of the header. No database is smaller.
const HEADER_BYTES: usize = 100;

/// The mode in which a database is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A write-ahead log beside the file takes the new pages.
    Wal,
    /// The file takes the new pages, a journal beside it the old ones.
    Rollback,
}

impl Mode {
    /// Returns the name that `PRAGMA journal_mode` has for it. The kinds of rollback journals are not told apart: each
    /// connection chooses its own.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Wal => "wal",
            Mode::Rollback => "delete",
        }
    }
}

/// The kind of a file, from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// A database, and the mode that the next connection takes up.
    Database(Mode),
    /// An empty file.
    Empty,
    /// Something else, or an encrypted database.
    Foreign,
}

impl Header {
    /// Reads the header of `file`.
    pub fn read(file: &File) -> io::Result<Header> {
        let mut bytes = [0; HEADER_BYTES];
        if file.metadata()?.len() == 0 {
            return Ok(Header::Empty);
        }
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(Header::Foreign);
            }
            result => result?,
        }
        // Bytes 18 and 19: the versions needed to write and to read it, 2 for WAL.
        Ok(match (bytes.starts_with(MAGIC), bytes[19]) {
            (false, _) => Header::Foreign,
            (true, 2) => Header::Database(Mode::Wal),
            (true, _) => Header::Database(Mode::Rollback),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn read(bytes: &[u8]) -> Header {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        Header::read(&file).expect("readable")
    }

    #[test]
    fn a_database_is_known_by_its_first_bytes() {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..16].copy_from_slice(MAGIC);
        (bytes[18], bytes[19]) = (1, 1);
        assert_eq!(read(&bytes), Header::Database(Mode::Rollback));
        (bytes[18], bytes[19]) = (2, 2);
        assert_eq!(read(&bytes), Header::Database(Mode::Wal));
        assert_eq!(read(&bytes[..99]), Header::Foreign);
        bytes[0] ^= 1;
        assert_eq!(read(&bytes), Header::Foreign);
        assert_eq!(read(b""), Header::Empty);
    }
}
