//! The first bytes of a redb file: which commits it holds, and where their trees begin.
//!
//! Layout: redb 4.4, docs/design.md, "Database header": magic, god byte at 9 (bit 0 primary slot, bit 1 recovery
//! required, bit 2 two-phase commit), page size at 12, region header pages at 16, region maximum pages at 20; two
//! commit slots of 128 bytes at 64 and 192: format version at 0, a flag each at 1 and 2 for the user and the system
//! tree, their roots at 8 and 40, transaction id at 104, XXH3-128 of all of that at 112. Little-endian.

use std::io::{self, Read};

use twox_hash::XxHash3_128;

use super::pages::{Geometry, Root};

const MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";
/// The header's bytes.
pub const HEADER_BYTES: usize = 320;
const GOD: usize = MAGIC.len();
const SLOTS: [usize; 2] = [64, 192];
const SLOT_BYTES: usize = 128;
/// Bytes of a slot that its checksum covers.
const SLOT_COVERED: usize = 112;
/// The god byte of a sealed copy: slot 0, recovery required, not two-phase. redb verifies the whole tree of such a
/// file when it opens it, and trusts no shortcut.
const SEALED: u8 = 2;
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
    /// Where pages lie.
    pub geometry: Geometry,
    /// The primary slot's number.
    pub primary: usize,
    slots: [Slot; 2],
    raw: [u8; HEADER_BYTES],
}

/// One of the two commits that a header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The transaction.
    pub transaction_id: u64,
    /// The tree of the user's tables.
    pub user: Option<Root>,
    /// The tree of redb's own tables.
    pub system: Option<Root>,
    /// Whether the slot matches its checksum.
    pub is_whole: bool,
}

impl Slot {
    fn parse(bytes: &[u8; SLOT_BYTES]) -> Option<Slot> {
        Some(Slot {
            transaction_id: u64::from_le_bytes(*bytes[104..].first_chunk()?),
            user: if bytes[1] != 0 {
                Root::parse(&bytes[8..])
            } else {
                None
            },
            system: if bytes[2] != 0 {
                Root::parse(&bytes[40..])
            } else {
                None
            },
            is_whole: XxHash3_128::oneshot(&bytes[..SLOT_COVERED]).to_le_bytes()
                == bytes[SLOT_COVERED..],
        })
    }
}

impl Header {
    /// Parses the first bytes of a file; `None` where it is no redb database.
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        let raw: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        if !raw.starts_with(MAGIC) {
            return None;
        }
        let number = |at: usize| Some(u32::from_le_bytes(*raw[at..].first_chunk()?));
        let primary = usize::from(raw[GOD] & 1);
        let slots = [
            Slot::parse(raw[SLOTS[0]..].first_chunk()?)?,
            Slot::parse(raw[SLOTS[1]..].first_chunk()?)?,
        ];
        Some(Header {
            format: raw[SLOTS[primary]],
            transaction_id: slots[primary].transaction_id,
            needs_repair: raw[GOD] & 2 != 0,
            geometry: Geometry {
                page_size: number(12)?,
                region_header_pages: number(16)?,
                region_max_pages: number(20)?,
            },
            primary,
            slots,
            raw: *raw,
        })
    }

    /// Reads the header from the beginning of `reader`.
    pub fn read(reader: impl Read) -> io::Result<Option<Header>> {
        let mut bytes = Vec::new();
        reader.take(HEADER_BYTES as u64).read_to_end(&mut bytes)?;
        Ok(Header::parse(&bytes))
    }

    /// The commit of slot `number`, 0 or 1.
    pub fn slot(&self, number: usize) -> &Slot {
        &self.slots[number & 1]
    }

    /// Whether `other` names the same commits.
    pub fn names_the_same(&self, other: &Header) -> bool {
        self.raw[GOD] == other.raw[GOD] && self.raw[SLOTS[0]..] == other.raw[SLOTS[0]..]
    }

    /// The header of a copy that holds the commit of slot `number` and nothing else: both slots name it, and redb is
    /// made to verify everything before it uses the copy.
    pub fn sealed(&self, number: usize) -> [u8; HEADER_BYTES] {
        let mut raw = self.raw;
        let from = SLOTS[number & 1];
        let slot: Vec<u8> = self.raw[from..from + SLOT_BYTES].to_vec();
        for at in SLOTS {
            raw[at..at + SLOT_BYTES].copy_from_slice(&slot);
        }
        raw[GOD] = SEALED;
        raw
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
