//! One gzip member: its header and trailer, written and read.

use std::io::{self, Write};

use libdeflater::{Decompressor, crc32};
use memchr::memmem;

use super::index;
use crate::model::limits::MEMBER_BYTES;

/// The header of a member up to its extra field: deflate, extra field present, no time, no flags, unknown system (RFC
/// 1952 section 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
/// Deflate's shortest stream of nothing: one final block of fixed codes, ended at once (RFC 1951 section 3.2.6).
pub const NOTHING: [u8; 2] = [3, 0];

/// The length of the header of a member that carries its size and nothing else: the fixed part, the length of the extra
/// field, one subfield.
pub const PLAIN_HEADER_BYTES: usize = HEADER.len() + 2 + 8;
/// CRC-32 and length at the end of a member (RFC 1952 section 2.3.1).
pub const TRAILER_BYTES: usize = 8;

/// Returns the size that a header of [`PLAIN_HEADER_BYTES`] states; `None` if it is another header, or the size is too
/// small to be true.
pub fn stated_size(header: &[u8]) -> Option<usize> {
    let rest = header.strip_prefix(&HEADER)?;
    let rest = rest.strip_prefix(&8u16.to_le_bytes())?;
    let rest = rest.strip_prefix(&index::SIZE_ID)?;
    let size = rest.strip_prefix(&4u16.to_le_bytes())?;
    let size = u32::from_le_bytes(size.try_into().ok()?) as usize;
    (size > PLAIN_HEADER_BYTES + TRAILER_BYTES).then_some(size)
}

/// Returns the whole size of a member with `extra` bytes of further subfields. Far below 2^32 by the bound on members.
pub fn member_size(extra: usize, deflated: usize) -> u32 {
    (HEADER.len() + 2 + 8 + extra + deflated + 8) as u32
}

/// Writes a member, with a `further` subfield behind its size.
pub fn write_member(
    out: &mut impl Write,
    size: u32,
    further: Option<([u8; 2], &[u8])>,
    deflated: &[u8],
    crc: u32,
    inflated: u32,
) -> io::Result<()> {
    let further_bytes = further.map_or(0, |(_, content)| 4 + content.len());
    let mut header = Vec::with_capacity(HEADER.len() + 10 + further_bytes);
    header.extend(HEADER);
    header.extend(((8 + further_bytes) as u16).to_le_bytes());
    header.extend(index::SIZE_ID);
    header.extend(4u16.to_le_bytes());
    header.extend(size.to_le_bytes());
    if let Some((id, content)) = further {
        header.extend(id);
        header.extend((content.len() as u16).to_le_bytes());
        header.extend(content);
    }
    out.write_all(&header)?;
    out.write_all(deflated)?;
    out.write_all(&crc.to_le_bytes())?;
    out.write_all(&inflated.to_le_bytes())
}

/// A member as it is in the archive, and a buffer for its inflated content.
#[derive(Default)]
pub struct Raw {
    pub member: Vec<u8>,
    pub block: Vec<u8>,
}

/// A member that was inflated ahead, or one that the decoder must inspect.
pub struct Tried {
    pub raw: Raw,
    pub is_good: bool,
}

/// Inflates a member. It is good only if it is exactly one gzip member: its checksum and length are right and stand at
/// its very end. They must not also stand earlier, at a place that might end the member as well.
pub fn try_inflate(decompressor: &mut Decompressor, mut raw: Raw) -> Tried {
    let is_good = match raw.member.split_last_chunk::<TRAILER_BYTES>() {
        Some((before, trailer)) => {
            let length =
                u32::from_le_bytes([trailer[4], trailer[5], trailer[6], trailer[7]]) as usize;
            length <= MEMBER_BYTES && {
                raw.block.resize(length, 0);
                decompressor.gzip_decompress(&raw.member, &mut raw.block) == Ok(length)
                    && trailer[..4] == crc32(&raw.block).to_le_bytes()
                    && memmem::find(&raw.member, trailer) == Some(before.len())
            }
        }
        None => false,
    };
    Tried { raw, is_good }
}
