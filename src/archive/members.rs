//! Writes a stream as independent gzip members of at most 512 KiB each, and their index (docs/format.md, "Members").

use std::io::{self, Write};

use libdeflater::{CompressionLvl, Compressor, crc32};

use super::index::{self, MemberSize};
use crate::model::limits::MEMBER_BYTES;

/// Header of a member up to its extra field: deflate, extra field there, no time, no flags, unknown system
/// (RFC 1952 section 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
/// Deflate's shortest stream of nothing: one final block of fixed codes, ended at once (RFC 1951 section 3.2.6).
const NOTHING: [u8; 2] = [3, 0];

/// A compression level of libdeflate: 0 (store) to 12 (smallest).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(u8);

impl Level {
    /// The default: within 1 % of gzip -6 in size, at half its cost.
    pub const DEFAULT: Level = Level(5);
    /// The smallest result.
    pub const MAX: u8 = 12;

    /// Accepts 0 to 12.
    pub fn new(level: u8) -> Option<Level> {
        (level <= Level::MAX).then_some(Level(level))
    }
}

/// Compresses what is written to it, member by member.
pub struct MemberWriter<W> {
    out: W,
    compressor: Compressor,
    buffer: Vec<u8>,
    packed: Vec<u8>,
    sizes: Vec<MemberSize>,
    offset: u64,
}

impl<W: Write> MemberWriter<W> {
    /// Writes to `out`.
    pub fn new(out: W, level: Level) -> MemberWriter<W> {
        let level = CompressionLvl::new(i32::from(level.0)).unwrap_or_default();
        MemberWriter {
            out,
            compressor: Compressor::new(level),
            buffer: Vec::with_capacity(MEMBER_BYTES),
            packed: Vec::new(),
            sizes: Vec::new(),
            offset: 0,
        }
    }

    /// Ends the current member, so that what follows starts a new one.
    pub fn boundary(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.packed
            .resize(self.compressor.deflate_compress_bound(self.buffer.len()), 0);
        let length = self
            .compressor
            .deflate_compress(&self.buffer, &mut self.packed)
            .map_err(|error| io::Error::other(format!("cannot compress: {error:?}")))?;
        let inflated = self.buffer.len() as u32;
        let size = member_size(0, length);
        write_member(
            &mut self.out,
            size,
            None,
            &self.packed[..length],
            crc32(&self.buffer),
            inflated,
        )?;
        self.sizes.push(MemberSize {
            packed: size,
            inflated,
        });
        self.offset += u64::from(size);
        self.buffer.clear();
        Ok(())
    }

    /// Writes the last member and the index, and gives back what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.boundary()?;
        for (id, content) in index::subfields(&self.sizes, self.offset) {
            let size = member_size(4 + content.len(), NOTHING.len());
            write_member(&mut self.out, size, Some((id, &content)), &NOTHING, 0, 0)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for MemberWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(MEMBER_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == MEMBER_BYTES {
            self.boundary()?;
        }
        Ok(taken)
    }

    /// Does nothing: a member is written when it is full or ends at a boundary.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The whole size of a member with `extra` bytes of further subfields. Far below 2^32 by the bound on members.
fn member_size(extra: usize, deflated: usize) -> u32 {
    (HEADER.len() + 2 + 8 + extra + deflated + 8) as u32
}

fn write_member(
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
