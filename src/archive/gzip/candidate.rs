//! A member of an earlier archive that a new one may reuse.

use std::sync::Arc;

use super::member::{PLAIN_HEADER_BYTES, TRAILER_BYTES, stated_size};
use crate::model::limits::MEMBER_BYTES;
use crate::work::ReadAt;

/// A member that may hold the block that is compressed next.
pub struct Candidate {
    /// The earlier archive.
    pub source: Arc<dyn ReadAt + Send + Sync>,
    /// The offset of the member in it.
    pub offset: u64,
    /// The whole size of the member in bytes.
    pub size: usize,
}

impl Candidate {
    /// Reads the compressed content of the member, if the member states that it inflates to `length` bytes with this
    /// `crc`. The file may hold another or a damaged archive by now: only reading the new archive back shows that.
    pub fn deflated(&self, crc: u32, length: usize) -> Option<Vec<u8>> {
        let bounds = PLAIN_HEADER_BYTES + TRAILER_BYTES..=2 * MEMBER_BYTES;
        if !bounds.contains(&self.size) {
            return None;
        }
        let end = self.offset.checked_add(self.size as u64)?;
        let mut trailer = [0; TRAILER_BYTES];
        let trailer_at = end - TRAILER_BYTES as u64;
        self.source.read_exact_at(&mut trailer, trailer_at).ok()?;
        if trailer[..4] != crc.to_le_bytes() || trailer[4..] != (length as u32).to_le_bytes() {
            return None;
        }
        let mut header = [0; PLAIN_HEADER_BYTES];
        self.source.read_exact_at(&mut header, self.offset).ok()?;
        if stated_size(&header) != Some(self.size) {
            return None;
        }
        let mut deflated = vec![0; self.size - PLAIN_HEADER_BYTES - TRAILER_BYTES];
        let content_at = self.offset + PLAIN_HEADER_BYTES as u64;
        self.source.read_exact_at(&mut deflated, content_at).ok()?;
        Some(deflated)
    }
}
