//! Writes a stream as independent gzip members of at most 512 KiB each, and their index (docs/format.md, "Members").

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
};

use libdeflater::{CompressionLvl, Compressor, crc32};

use super::{
    candidate::Candidate,
    index::{self, MemberSize},
    member::{NOTHING, member_size, write_member},
};
use crate::model::limits::MEMBER_BYTES;
use crate::work::workers::{Threads, Workers};

/// Compression levels of libdeflate, 0 (store) to 12 (smallest): of the blocks that one large entry fills, and of those
/// that small entries share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    filled: u8,
    shared: u8,
}

impl Level {
    /// The default: about as small as gzip -6, at half its cost. Small entries shrink less, but have fewer bytes
    /// altogether, so they get one level more.
    pub const DEFAULT: Level = Level {
        filled: 5,
        shared: 6,
    };
    /// No compression: stored blocks.
    pub const STORED: Level = Level {
        filled: 0,
        shared: 0,
    };
    /// The smallest result.
    pub const MAX: u8 = 12;

    /// Returns the name of the level in the manifest.
    pub fn name(self) -> String {
        match self {
            Level { filled, shared } if filled == shared => format!("libdeflate {filled}"),
            Level { filled, shared } => format!("libdeflate {filled}/{shared}"),
        }
    }

    /// Returns the level that has this name in a manifest; `None` if none of ours has.
    pub fn of_name(name: &str) -> Option<Level> {
        let same = (0..=Level::MAX).filter_map(Level::new);
        [Level::DEFAULT]
            .into_iter()
            .chain(same)
            .find(|level| level.name() == name)
    }

    /// Makes one level for all blocks: 0 to 12.
    pub fn new(level: u8) -> Option<Level> {
        (level <= Level::MAX).then_some(Level {
            filled: level,
            shared: level,
        })
    }
}

/// The entries whose bytes a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockSpan {
    /// Those of one entry alone.
    OneEntry,
    /// Those of several, and of the tar between them.
    Several,
    /// Those of many small files of a directory: together they are as long as a large entry.
    Many,
}

/// A writer that compresses its input, member by member. Its output does not depend on the number of threads.
pub struct MemberWriter<W> {
    out: W,
    workers: Workers<Block, io::Result<Packed>>,
    owner: BlockSpan,
    /// Members of an earlier archive that may hold the blocks that come next.
    expected: VecDeque<Option<Candidate>>,
    reused_bytes: u64,
    /// The block being filled, as long as a full one, and the number of bytes in it.
    block: Vec<u8>,
    filled: usize,
    spare: Vec<Vec<u8>>,
    sizes: Vec<MemberSize>,
    offset: u64,
}

/// The content of one member, and a candidate that may have the same content.
struct Block {
    bytes: Vec<u8>,
    owner: BlockSpan,
    candidate: Option<Candidate>,
}

/// One compressed member.
struct Packed {
    is_reused: bool,
    /// Its content.
    block: Vec<u8>,
    deflated: Vec<u8>,
    crc: u32,
}

impl<W: Write> MemberWriter<W> {
    /// Makes a writer to `out`.
    pub fn new(out: W, level: Level, threads: Threads) -> MemberWriter<W> {
        MemberWriter {
            out,
            workers: Workers::start(threads, || {
                let mut packer = Packer::new(level);
                Box::new(move |block| packer.pack(block))
            }),
            owner: BlockSpan::Several,
            expected: VecDeque::new(),
            reused_bytes: 0,
            block: vec![0; MEMBER_BYTES],
            filled: 0,
            spare: Vec::new(),
            sizes: Vec::new(),
            offset: 0,
        }
    }

    /// Declares that the next blocks hold one entry alone. `candidates` are the members of an earlier archive that may
    /// hold the same, one for each block.
    pub fn begin_entry(&mut self, candidates: VecDeque<Option<Candidate>>) -> io::Result<()> {
        self.boundary()?;
        self.owner = BlockSpan::OneEntry;
        self.expected = candidates;
        Ok(())
    }

    /// Declares that the next blocks hold many small files of a directory.
    pub fn begin_files(&mut self) -> io::Result<()> {
        self.boundary()?;
        self.owner = BlockSpan::Many;
        Ok(())
    }

    /// Declares that the blocks from the current one on hold several entries.
    pub fn end_entry(&mut self) {
        self.owner = BlockSpan::Several;
        self.expected.clear();
    }

    /// Ends the current member, so that the next byte starts a new one.
    fn boundary(&mut self) -> io::Result<()> {
        if self.filled == 0 {
            return Ok(());
        }
        while self.workers.is_full() {
            self.write_next()?;
        }
        let mut next = self.spare.pop().unwrap_or_default();
        next.resize(MEMBER_BYTES, 0);
        let mut bytes = std::mem::replace(&mut self.block, next);
        bytes.truncate(std::mem::take(&mut self.filled));
        let candidate = self
            .expected
            .pop_front()
            .flatten()
            .filter(|_| bytes.len() == MEMBER_BYTES);
        self.workers.give(Block {
            bytes,
            owner: self.owner,
            candidate,
        });
        Ok(())
    }

    /// Takes the bytes of one read of `content`; returns 0 at its end.
    pub fn take(&mut self, content: &mut impl Read) -> io::Result<usize> {
        let count = content.read(&mut self.block[self.filled..])?;
        self.filled += count;
        if self.filled == MEMBER_BYTES {
            self.boundary()?;
        }
        Ok(count)
    }

    /// Waits for the next member and writes it; false if there is none.
    fn write_next(&mut self) -> io::Result<bool> {
        let Some(packed) = self.workers.take() else {
            return Ok(false);
        };
        let Packed {
            block,
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
        self.spare.push(block);
        Ok(true)
    }

    /// Writes the last member and the index; returns the output, and the number of reused bytes of blocks.
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
        self.take(&mut &*bytes)
    }

    /// Does nothing: a member is written when it is full or ends at a boundary.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The number of samples of a block that are tried before the whole block, and their length.
const SAMPLES: usize = 8;
const SAMPLE_BYTES: usize = 2 << 10;

/// The compressors of one thread.
struct Packer {
    filled: Compressor,
    shared: Compressor,
    quick: Compressor,
    store: Compressor,
    level: Level,
    buffer: Vec<u8>,
    /// The compressed form of a full block of zeros, once there was one: files have holes.
    zeros: Option<Vec<u8>>,
}

impl Packer {
    fn new(level: Level) -> Packer {
        let compressor =
            |level| Compressor::new(CompressionLvl::new(i32::from(level)).unwrap_or_default());
        Packer {
            filled: compressor(level.filled),
            shared: compressor(level.shared),
            quick: compressor(1),
            store: compressor(0),
            level,
            buffer: Vec::new(),
            zeros: None,
        }
    }

    /// Compresses a block, or stores it if compressing would not make it smaller.
    fn pack(&mut self, block: Block) -> io::Result<Packed> {
        let Block {
            bytes: block,
            owner,
            candidate,
        } = block;
        let crc = crc32(&block);
        let same = candidate.and_then(|member| member.deflated(crc, block.len()));
        let is_reused = same.is_some();
        let is_hole =
            owner == BlockSpan::OneEntry && block.len() == MEMBER_BYTES && is_zero(&block);
        let deflated = match (same, &self.zeros) {
            (Some(deflated), _) => deflated,
            (None, Some(zeros)) if is_hole => zeros.clone(),
            (None, _) => {
                let deflated = self.deflate(&block, owner)?;
                if is_hole {
                    self.zeros = Some(deflated.clone());
                }
                deflated
            }
        };
        Ok(Packed {
            is_reused,
            block,
            deflated,
            crc,
        })
    }

    fn deflate(&mut self, block: &[u8], owner: BlockSpan) -> io::Result<Vec<u8>> {
        if self.level != Level::STORED && self.may_shrink(block) {
            let compressor = match owner {
                BlockSpan::OneEntry | BlockSpan::Many => &mut self.filled,
                BlockSpan::Several => &mut self.shared,
            };
            let bound = compressor.deflate_compress_bound(block.len());
            self.buffer.resize(bound, 0);
            let length = compressor.deflate_compress(block, &mut self.buffer);
            if let Some(length) = length.ok().filter(|length| *length < block.len()) {
                return Ok(self.buffer[..length].to_vec());
            }
        }
        let mut stored = vec![0; self.store.deflate_compress_bound(block.len())];
        let length = self
            .store
            .deflate_compress(block, &mut stored)
            .map_err(|error| io::Error::other(format!("cannot compress: {error:?}")))?;
        stored.truncate(length);
        Ok(stored)
    }

    /// Returns true if any sample of the block shrinks: most data that does not shrink is detected at a thirtieth of
    /// the cost.
    fn may_shrink(&mut self, block: &[u8]) -> bool {
        if block.len() < 2 * SAMPLES * SAMPLE_BYTES {
            return true;
        }
        let bound = self.quick.deflate_compress_bound(SAMPLE_BYTES);
        self.buffer.resize(self.buffer.len().max(bound), 0);
        let step = (block.len() - SAMPLE_BYTES) / (SAMPLES - 1);
        (0..SAMPLES).any(|number| {
            let sample = &block[number * step..number * step + SAMPLE_BYTES];
            self.quick
                .deflate_compress(sample, &mut self.buffer)
                .is_ok_and(|length| length < SAMPLE_BYTES - SAMPLE_BYTES / 64)
        })
    }
}

fn is_zero(block: &[u8]) -> bool {
    block.first() == Some(&0) && block[1..] == block[..block.len() - 1]
}
