//! The first bytes of a redb file: the commits it holds, and the roots of their trees.
//!
//! Layout (redb 4.6, docs/design.md, "Database header"), little-endian:
//!
//! - magic at 0; god byte at 9: bit 0 primary slot, bit 1 recovery required, bit 2 two-phase commit, bit 3 primary not
//!   flushed yet;
//! - page size at 12, region header pages at 16, region maximum pages at 20;
//! - two commit slots of 128 bytes at 64 and 192.
//!
//! A slot: format version at 0; a flag each at 1 and 2 for the user and the system tree, their roots at 8 and 40;
//! transaction id at 104; XXH3-128 of all of that at 112.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
};

use twox_hash::XxHash3_128;

use super::pages::{Geometry, Root};

const MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";
/// The header's bytes.
pub const HEADER_BYTES: usize = 320;
const GOD: usize = MAGIC.len();
const SLOTS: [usize; 2] = [64, 192];
const SLOT_BYTES: usize = 128;
/// The offset in a slot of the flag that says whether there is a system tree.
const HAS_SYSTEM: usize = 2;
const USER_ROOT: usize = 8;
const SYSTEM_ROOT: usize = 40;
const ROOT_BYTES: usize = 32;
/// Bytes of a slot that its checksum covers.
const SLOT_COVERED: usize = 112;
/// Bits of the god byte.
const PRIMARY: u8 = 1;
const NEEDS_REPAIR: u8 = 2;
const TWO_PHASE: u8 = 4;
/// Set between a commit and its flush, in databases that processes share (redb 4.5).
const UNFLUSHED: u8 = 8;
/// The file format that redb 3 and 4 read.
pub const SUPPORTED_FORMAT: u8 = 3;

/// The content of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedbHeader {
    /// The version of the file format.
    pub format: u8,
    /// The transaction of the primary slot.
    pub transaction_id: u64,
    /// True if the database was not closed: it must be repaired before use.
    pub needs_repair: bool,
    /// True if the primary slot was written after all of its pages were on the disk. If not, a crash may have cut its
    /// commit short; then the other slot counts.
    pub is_two_phase: bool,
    /// The layout of the pages in the file.
    pub geometry: Geometry,
    primary: usize,
    slots: [CommitSlot; 2],
    raw: [u8; HEADER_BYTES],
}

/// One of the two slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotRole {
    /// That of the last commit.
    Primary,
    /// That of the commit before it.
    Other,
}

/// The part of a commit that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Both trees: tables, persistent savepoints, and redb's own tables.
    Everything,
    /// The tables alone. A read transaction of the service pins exactly these pages.
    Tables,
}

/// The state that a copy's header records: closed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// The same as in the original, which was closed.
    Closed,
    /// Not closed: redb verifies everything before it uses the copy, and trusts no shortcut.
    Verify,
}

/// One of the two commits that a header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitSlot {
    /// The transaction.
    pub transaction_id: u64,
    /// The tree of the user's tables.
    pub user: Option<Root>,
    /// The tree of redb's own tables.
    pub system: Option<Root>,
    /// True if the slot matches its checksum.
    pub is_whole: bool,
}

impl CommitSlot {
    fn parse(bytes: &[u8; SLOT_BYTES]) -> Option<CommitSlot> {
        Some(CommitSlot {
            transaction_id: u64::from_le_bytes(*bytes[104..].first_chunk()?),
            user: if bytes[1] != 0 {
                Root::parse(&bytes[USER_ROOT..])
            } else {
                None
            },
            system: if bytes[HAS_SYSTEM] != 0 {
                Root::parse(&bytes[SYSTEM_ROOT..])
            } else {
                None
            },
            is_whole: XxHash3_128::oneshot(&bytes[..SLOT_COVERED]).to_le_bytes()
                == bytes[SLOT_COVERED..],
        })
    }
}

impl RedbHeader {
    /// Parses the first bytes of a file. Returns `None` if it is not a redb database.
    pub fn parse(bytes: &[u8]) -> Option<RedbHeader> {
        let raw: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        if !raw.starts_with(MAGIC) {
            return None;
        }
        let number = |at: usize| Some(u32::from_le_bytes(*raw[at..].first_chunk()?));
        let primary = usize::from(raw[GOD] & PRIMARY);
        let slots = [
            CommitSlot::parse(raw[SLOTS[0]..].first_chunk()?)?,
            CommitSlot::parse(raw[SLOTS[1]..].first_chunk()?)?,
        ];
        Some(RedbHeader {
            format: raw[SLOTS[primary]],
            transaction_id: slots[primary].transaction_id,
            needs_repair: raw[GOD] & (NEEDS_REPAIR | UNFLUSHED) != 0,
            is_two_phase: raw[GOD] & TWO_PHASE != 0,
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
    pub fn read(reader: impl Read) -> io::Result<Option<RedbHeader>> {
        let mut bytes = Vec::new();
        reader.take(HEADER_BYTES as u64).read_to_end(&mut bytes)?;
        Ok(RedbHeader::parse(&bytes))
    }

    /// Reads the header of `file`, whatever its current position.
    pub fn read_at(file: &File) -> io::Result<Option<RedbHeader>> {
        let mut bytes = [0; HEADER_BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            result => result.map(|()| RedbHeader::parse(&bytes)),
        }
    }

    /// Returns the commit of a slot.
    pub fn slot(&self, which: SlotRole) -> &CommitSlot {
        &self.slots[self.number(which)]
    }

    fn number(&self, which: SlotRole) -> usize {
        match which {
            SlotRole::Primary => self.primary,
            SlotRole::Other => 1 - self.primary,
        }
    }

    /// Returns true if `other` names the same commits.
    pub fn names_the_same(&self, other: &RedbHeader) -> bool {
        self.raw[GOD] == other.raw[GOD] && self.raw[SLOTS[0]..] == other.raw[SLOTS[0]..]
    }

    /// Returns true if `other` has its pages in the same places and was left in the same state: the bytes before the
    /// slots are equal.
    pub fn is_laid_out_as(&self, other: &RedbHeader) -> bool {
        self.raw[GOD + 1..SLOTS[0]] == other.raw[GOD + 1..SLOTS[0]]
            && self.needs_repair == other.needs_repair
    }

    /// Returns the reason if the pages cannot be walked.
    pub fn is_walkable(&self) -> Result<(), String> {
        if self.format != SUPPORTED_FORMAT {
            return Err(format!("it has file format {}", self.format));
        }
        match self.geometry.page_size {
            size if u64::from(size) == Geometry::PAGE_BYTES => Ok(()),
            size => Err(format!("it has pages of {size} bytes")),
        }
    }

    /// Returns the header of a copy that holds one commit and nothing else: both slots name it.
    pub fn sealed(&self, which: SlotRole, seal: Seal, scope: Scope) -> [u8; HEADER_BYTES] {
        let mut raw = self.raw;
        let from = SLOTS[self.number(which)];
        let mut slot: Vec<u8> = self.raw[from..from + SLOT_BYTES].to_vec();
        if scope == Scope::Tables {
            slot[HAS_SYSTEM] = 0;
            slot[SYSTEM_ROOT..SYSTEM_ROOT + ROOT_BYTES].fill(0);
            let checksum = XxHash3_128::oneshot(&slot[..SLOT_COVERED]);
            slot[SLOT_COVERED..].copy_from_slice(&checksum.to_le_bytes());
        }
        for at in SLOTS {
            raw[at..at + SLOT_BYTES].copy_from_slice(&slot);
        }
        raw[GOD] = match seal {
            Seal::Closed => raw[GOD] & !PRIMARY,
            Seal::Verify => NEEDS_REPAIR,
        };
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
        let open = RedbHeader::read(file.reopen().expect("a file"))
            .expect("readable")
            .expect("a header");
        assert!(open.needs_repair, "an open database is not closed");
        drop(db);
        let closed = RedbHeader::read(file.reopen().expect("a file"))
            .expect("readable")
            .expect("a header");
        assert!(!closed.needs_repair);
        assert_eq!(closed.format, SUPPORTED_FORMAT);
    }

    #[test]
    fn other_bytes_have_none() {
        assert_eq!(RedbHeader::parse(b""), None);
        assert_eq!(RedbHeader::parse(&[0; HEADER_BYTES]), None);
        assert_eq!(RedbHeader::parse(MAGIC), None);
    }
}
