//! Writes a stream as independent gzip members of at most 512 KiB each, and their index (docs/format.md, "Members").

use std::{
    collections::VecDeque,
    io::{self, Write},
};

use libdeflater::{CompressionLvl, Compressor, crc32};

use super::{
    index::{self, MemberSize},
    reuse::{Candidate, Scratch},
    workers::{Threads, Workers},
};
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

    /// What the manifest says of how blocks are compressed.
    pub fn name(self) -> String {
        format!("libdeflate {}", self.0)
    }

    /// Accepts 0 to 12.
    pub fn new(level: u8) -> Option<Level> {
        (level <= Level::MAX).then_some(Level(level))
    }
}

/// Compresses what is written to it, member by member. Its output does not depend on the number of threads.
pub struct MemberWriter<W> {
    out: W,
    workers: Workers<Block, io::Result<Packed>>,
    /// Members of an earlier archive that may hold the blocks that come next.
    expected: VecDeque<Option<Candidate>>,
    reused_bytes: u64,
    block: Vec<u8>,
    spare: Vec<Vec<u8>>,
    sizes: Vec<MemberSize>,
    offset: u64,
}

/// What one member is made of, and a member that may be made of the same.
struct Block {
    bytes: Vec<u8>,
    candidate: Option<Candidate>,
}

/// One compressed member.
struct Packed {
    is_reused: bool,
    /// What it was made of.
    block: Vec<u8>,
    deflated: Vec<u8>,
    crc: u32,
}

impl<W: Write> MemberWriter<W> {
    /// Writes to `out`.
    pub fn new(out: W, level: Level, threads: Threads) -> MemberWriter<W> {
        MemberWriter {
            out,
            workers: Workers::start(threads, || {
                let mut packer = Packer::new(level);
                Box::new(move |block| packer.pack(block))
            }),
            expected: VecDeque::new(),
            reused_bytes: 0,
            block: Vec::with_capacity(MEMBER_BYTES),
            spare: Vec::new(),
            sizes: Vec::new(),
            offset: 0,
        }
    }

    /// Says which members of an earlier archive may hold the blocks that come next, one for each.
    pub fn expect(&mut self, candidates: VecDeque<Option<Candidate>>) {
        self.expected = candidates;
    }

    /// Ends the current member, so that what follows starts a new one.
    pub fn boundary(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        while self.workers.is_full() {
            self.write_next()?;
        }
        let next = self.spare.pop().unwrap_or_default();
        let bytes = std::mem::replace(&mut self.block, next);
        let candidate = self
            .expected
            .pop_front()
            .flatten()
            .filter(|_| bytes.len() == MEMBER_BYTES);
        self.workers.give(Block { bytes, candidate });
        Ok(())
    }

    /// Waits for the next member and writes it; false where there is none.
    fn write_next(&mut self) -> io::Result<bool> {
        let Some(packed) = self.workers.take() else {
            return Ok(false);
        };
        let Packed {
            mut block,
            deflated,
            crc,
            is_reused,
        } = packed??;
        let inflated = block.len() as u32;
        if is_reused {
            self.reused_bytes += u64::from(inflated);
        }
        let size = member_size(0, deflated.len());
        write_member(&mut self.out, size, None, &deflated, crc, inflated)?;
        self.sizes.push(MemberSize {
            packed: size,
            inflated,
        });
        self.offset += u64::from(size);
        block.clear();
        self.spare.push(block);
        Ok(true)
    }

    /// Writes the last member and the index; gives back what was written to, and how many bytes of blocks were taken
    /// over.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.boundary()?;
        while self.write_next()? {}
        for (id, content) in index::subfields(&self.sizes, self.offset) {
            let size = member_size(4 + content.len(), NOTHING.len());
            write_member(&mut self.out, size, Some((id, &content)), &NOTHING, 0, 0)?;
        }
        self.out.flush()?;
        Ok((self.out, self.reused_bytes))
    }
}

impl<W: Write> Write for MemberWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(MEMBER_BYTES - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == MEMBER_BYTES {
            self.boundary()?;
        }
        Ok(taken)
    }

    /// Does nothing: a member is written when it is full or ends at a boundary.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Samples of a block that are tried before the whole is, and their length.
const SAMPLES: usize = 8;
const SAMPLE_BYTES: usize = 2 << 10;

/// What one thread compresses with.
struct Packer {
    compressor: Compressor,
    quick: Compressor,
    store: Compressor,
    buffer: Vec<u8>,
    scratch: Scratch,
}

impl Packer {
    fn new(level: Level) -> Packer {
        let compressor =
            |level| Compressor::new(CompressionLvl::new(i32::from(level)).unwrap_or_default());
        Packer {
            compressor: compressor(level.0),
            quick: compressor(1),
            store: compressor(0),
            buffer: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Compresses a block, or stores it where that would not make it smaller.
    fn pack(&mut self, block: Block) -> io::Result<Packed> {
        let Block {
            bytes: block,
            candidate,
        } = block;
        let crc = crc32(&block);
        let same = candidate.and_then(|member| member.deflated(&block, &mut self.scratch));
        if let Some(deflated) = same {
            return Ok(Packed {
                is_reused: true,
                block,
                deflated,
                crc,
            });
        }
        let bound = self.compressor.deflate_compress_bound(block.len());
        self.buffer.resize(bound, 0);
        let mut length = None;
        if self.may_shrink(&block) {
            let packed = self.compressor.deflate_compress(&block, &mut self.buffer);
            length = packed.ok().filter(|length| *length < block.len());
        }
        let deflated = match length {
            Some(length) => self.buffer[..length].to_vec(),
            None => {
                let mut stored = vec![0; self.store.deflate_compress_bound(block.len())];
                let length = self
                    .store
                    .deflate_compress(&block, &mut stored)
                    .map_err(|error| io::Error::other(format!("cannot compress: {error:?}")))?;
                stored.truncate(length);
                stored
            }
        };
        Ok(Packed {
            is_reused: false,
            block,
            deflated,
            crc,
        })
    }

    /// Whether any sample of the block shrinks: most data that does not is found out at a thirtieth of the cost.
    fn may_shrink(&mut self, block: &[u8]) -> bool {
        if block.len() < 2 * SAMPLES * SAMPLE_BYTES {
            return true;
        }
        let step = (block.len() - SAMPLE_BYTES) / (SAMPLES - 1);
        (0..SAMPLES).any(|number| {
            let sample = &block[number * step..number * step + SAMPLE_BYTES];
            self.quick
                .deflate_compress(sample, &mut self.buffer)
                .is_ok_and(|length| length < SAMPLE_BYTES - SAMPLE_BYTES / 64)
        })
    }
}

/// The header of a member that carries its size and nothing else: the fixed part, the extra field's length, one subfield.
pub const PLAIN_HEADER_BYTES: usize = HEADER.len() + 2 + 8;
/// CRC-32 and length at the end of a member (RFC 1952 section 2.3.1).
pub const TRAILER_BYTES: usize = 8;

/// The size that a header of [`PLAIN_HEADER_BYTES`] states; `None` where it is another one, or too small to be true.
pub fn stated_size(header: &[u8]) -> Option<usize> {
    let rest = header.strip_prefix(&HEADER)?;
    let rest = rest.strip_prefix(&8u16.to_le_bytes())?;
    let rest = rest.strip_prefix(&index::SIZE_ID)?;
    let size = rest.strip_prefix(&4u16.to_le_bytes())?;
    let size = u32::from_le_bytes(size.try_into().ok()?) as usize;
    (size > PLAIN_HEADER_BYTES + TRAILER_BYTES).then_some(size)
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
