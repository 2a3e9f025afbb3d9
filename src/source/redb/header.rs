//! The first bytes of a redb file, as far as they say which commit it holds.
//!
//! Layout: redb 4.4, docs/design.md, "Database file format": magic, god byte at 9, two commit slots at 64 and 192 of
//! 128 bytes each, in which byte 0 is the format version and bytes 104..112 the transaction id, little-endian.

use std::io::{self, Read};

const MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";
const HEADER_BYTES: usize = 320;
const SLOTS: [usize; 2] = [64, 192];
/// The file format that redb 3 and 4 read.
pub const SUPPORTED_FORMAT: u8 = 3;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The version of the file format.
    pub format: u8,
    /// The transaction of the primary slot.
    pub transaction_id: u64,
    /// Whether nobody closed the database: it must be repaired before it is used.
    pub needs_repair: bool,
}

impl Header {
    /// Parses the first bytes of a file; `None` where it is no redb database.
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        let god = bytes[MAGIC.len()];
        let slot = &bytes[SLOTS[usize::from(god & 1)]..];
        Some(Header {
            format: slot[0],
            transaction_id: u64::from_le_bytes(*slot[104..].first_chunk()?),
            needs_repair: god & 2 != 0,
        })
    }

    /// Reads the header from the beginning of `reader`.
    pub fn read(reader: impl Read) -> io::Result<Option<Header>> {
        let mut bytes = Vec::new();
        reader.take(HEADER_BYTES as u64).read_to_end(&mut bytes)?;
        Ok(Header::parse(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_database_has_a_header() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let db = redb::Database::create(file.path()).expect("a database");
        let open = Header::read(file.reopen().expect("a file"))
            .expect("readable")
            .expect("a header");
        assert!(open.needs_repair, "an open database is not closed");
        drop(db);
        let closed = Header::read(file.reopen().expect("a file"))
            .expect("readable")
            .expect("a header");
        assert!(!closed.needs_repair);
        assert_eq!(closed.format, SUPPORTED_FORMAT);
    }

    #[test]
    fn other_bytes_have_none() {
        assert_eq!(Header::parse(b""), None);
        assert_eq!(Header::parse(&[0; HEADER_BYTES]), None);
        assert_eq!(Header::parse(MAGIC), None);
    }
}
