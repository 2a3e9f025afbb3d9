//! Inflates a sequence of gzip members to its very end, and records the beginning and end of each member.
//!
//! Members that state their size, as those of hookshot do, are inflated ahead by several threads. No content of such a
//! member is returned before its checksum was verified. Any member that is not exactly as hookshot writes it (one of
//! another tool, a damaged one) goes through the one decoder that names faults, byte by byte from its beginning.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use libdeflater::Decompressor;

use super::{
    index::{Extra, IndexCheck, MemberSize},
    member::{PLAIN_HEADER_BYTES, Raw, Tried, stated_size, try_inflate},
};
use crate::archive::{
    Fault,
    foreign::{is_tar, met},
};
use crate::model::limits::MEMBER_BYTES;
use crate::work::workers::{Threads, Workers};

/// The largest member that is inflated ahead: a block that does not shrink is a little larger than it was.
const MAX_AHEAD_BYTES: usize = MEMBER_BYTES + (64 << 10);

/// The bytes that suffice to tell a tar, or something else, from gzip: one block of a tar.
const HEAD_BLOCK_BYTES: u64 = 512;

/// The bytes that are inflated at a time of a member that does not state its size.
const STREAM_BYTES: usize = 64 << 10;

/// The inflated content of every member, one after the other (RFC 1952 section 2.2).
///
/// Any fault of the compressed layer comes out as an `io::Error` that carries a [`Fault`].
pub struct Inflated<R> {
    state: State<R>,
    threads: Threads,
    /// Members that are inflated ahead; `None` as long as none states its size.
    ahead: Option<Workers<Raw, Tried>>,
    /// Buffers to reuse.
    spare: Vec<Raw>,
    /// True if the next member cannot be inflated ahead.
    is_odd: bool,
    /// True once a member that seemed fit for inflating ahead was not good: from there on, members are read one by one.
    is_suspect: bool,
    members: u64,
    start: u64,
    inflated: u64,
    index: IndexCheck,
    sized: bool,
    /// A member that states its size, after its checksum was verified, or a piece of another member; and the number of
    /// bytes that were returned.
    block: Vec<u8>,
    given: usize,
}

enum State<R> {
    Between(Source<R>),
    Within(Box<GzDecoder<Source<R>>>),
    /// A tar that a program unpacked: it passes as it is.
    Plain(Source<R>),
    Moving,
}

impl<R: BufRead> Inflated<R> {
    /// Makes a reader that inflates `compressed`.
    pub fn new(compressed: R, threads: Threads) -> Inflated<R> {
        Inflated {
            state: State::Between(Source {
                inner: compressed,
                back: Vec::new(),
                at: 0,
                count: 0,
            }),
            threads,
            ahead: None,
            spare: Vec::new(),
            is_odd: false,
            is_suspect: false,
            members: 0,
            start: 0,
            inflated: 0,
            index: IndexCheck::default(),
            sized: false,
            block: Vec::new(),
            given: 0,
        }
    }

    /// Returns true if the first member states its size, as the members of this format do.
    pub fn is_sized(&self) -> bool {
        self.sized
    }

    /// Returns true if the input is not gzip but the tar itself. Meaningful after the first read.
    pub fn is_plain(&self) -> bool {
        matches!(self.state, State::Plain(_))
    }

    /// Returns true if the index followed the last member. Meaningful at the end only.
    pub fn has_index(&self) -> bool {
        self.index.is_complete()
    }

    fn fault(&self, reason: impl Into<String>) -> io::Error {
        Fault::Gzip {
            member: self.members,
            offset: self.start,
            reason: reason.into(),
        }
        .into()
    }

    /// Reads members and has them inflated, as long as the window permits and they are as hookshot writes them.
    fn look_ahead(&mut self, source: &mut Source<R>) -> io::Result<()> {
        let is_ours = (self.members == 0 || self.sized) && !self.is_suspect;
        while is_ours && !self.is_odd && !self.ahead.as_ref().is_some_and(Workers::is_full) {
            let mut raw = self.spare.pop().unwrap_or_default();
            raw.member.clear();
            let header = source.by_ref().take(PLAIN_HEADER_BYTES as u64);
            read_all(header, &mut raw.member)?;
            let size = stated_size(&raw.member).filter(|size| *size <= MAX_AHEAD_BYTES);
            if let Some(size) = size {
                let rest = source.by_ref().take((size - PLAIN_HEADER_BYTES) as u64);
                read_all(rest, &mut raw.member)?;
            }
            if size != Some(raw.member.len()) {
                source.give_back(raw.member);
                self.is_odd = true;
                break;
            }
            let threads = self.threads;
            let ahead = self.ahead.get_or_insert_with(|| {
                Workers::start(threads, || {
                    let mut decompressor = Decompressor::new();
                    Box::new(move |raw| try_inflate(&mut decompressor, raw))
                })
            });
            ahead.give(raw);
        }
        Ok(())
    }

    /// Takes the next member that was inflated ahead; false if there is none.
    fn take_ahead(&mut self, source: &mut Source<R>) -> io::Result<bool> {
        let Some(ahead) = &mut self.ahead else {
            return Ok(false);
        };
        let Some(tried) = ahead.take() else {
            return Ok(false);
        };
        let Tried { mut raw, is_good } = tried?;
        if !is_good {
            // The decoder reads this member and all later ones as if nothing had been inflated ahead.
            let mut back = raw.member;
            while let Some(next) = ahead.take() {
                back.extend_from_slice(&next?.raw.member);
            }
            source.give_back(back);
            self.is_suspect = true;
            return Ok(false);
        }
        let packed = raw.member.len() as u32;
        let extra = Extra {
            size: Some(packed),
            ..Extra::default()
        };
        self.inflated = raw.block.len() as u64;
        self.note_member(u64::from(packed), &extra)?;
        self.start += u64::from(packed);
        std::mem::swap(&mut self.block, &mut raw.block);
        self.given = 0;
        self.spare.push(raw);
        Ok(true)
    }

    /// Compares a member that was read to its end with the format and the index.
    fn note_member(&mut self, packed: u64, extra: &Extra) -> io::Result<()> {
        if self.members == 0 {
            self.sized = extra.size.is_some();
        }
        if self.sized {
            let (Ok(packed), Ok(inflated)) = (u32::try_from(packed), u32::try_from(self.inflated))
            else {
                return Err(self.fault("the member is larger than the format allows"));
            };
            self.index
                .member(self.start, MemberSize { packed, inflated }, extra)
                .map_err(|reason| self.fault(reason))?;
        }
        self.members += 1;
        Ok(())
    }

    /// Begins the next member; `None` at the end of the file.
    fn next_member(
        &mut self,
        mut reader: Source<R>,
    ) -> io::Result<Option<Box<GzDecoder<Source<R>>>>> {
        let offset = reader.count;
        let head = reader.fill_buf()?;
        if head.is_empty() {
            self.state = State::Between(reader);
            return if self.members == 0 {
                Err(Fault::Truncated { offset: 0 }.into())
            } else {
                Ok(None)
            };
        }
        self.start = offset;
        // A gzip magic cut after its first byte is a truncation; anything else is not gzip.
        if head[0] != 0x1f || head.get(1).is_some_and(|byte| *byte != 0x8b) {
            if self.members > 0 {
                return Err(Fault::TrailingBytes { offset }.into());
            }
            let mut head = Vec::new();
            read_all(reader.by_ref().take(HEAD_BLOCK_BYTES), &mut head)?;
            if is_tar(&head) {
                reader.give_back(head);
                self.state = State::Plain(reader);
                return Ok(None);
            }
            let what = met(&head).unwrap_or("it does not begin as gzip does");
            return Err(Fault::NotAnArchive(what.into()).into());
        }
        self.inflated = 0;
        Ok(Some(Box::new(GzDecoder::new(reader))))
    }

    /// Reads a member that states its size to its end before any of its content is returned: no caller acts on content
    /// that does not match its checksum. A member that is larger than those of hookshot, or one of plain gzip, streams.
    fn begin_member(&mut self, mut decoder: Box<GzDecoder<Source<R>>>) -> io::Result<()> {
        self.block.clear();
        self.given = 0;
        let extra = decoder.header().and_then(|header| header.extra());
        if extra.is_some_and(|extra| Extra::parse(extra).size.is_some()) {
            // One byte more than fits, so that the decoder reaches the end and compares the checksum there.
            let read = decoder
                .by_ref()
                .take(MEMBER_BYTES as u64 + 1)
                .read_to_end(&mut self.block);
            self.inflated = self.block.len() as u64;
            if let Err(error) = read {
                self.block.clear();
                self.state = State::Within(decoder);
                return Err(self.explain(error));
            }
        }
        self.state = State::Within(decoder);
        Ok(())
    }

    fn end_member(&mut self, decoder: GzDecoder<Source<R>>) -> io::Result<Source<R>> {
        let extra = decoder
            .header()
            .and_then(|header| header.extra())
            .map(Extra::parse)
            .unwrap_or_default();
        let reader = decoder.into_inner();
        self.note_member(reader.count - self.start, &extra)?;
        self.start = reader.count;
        self.is_odd = false;
        Ok(reader)
    }

    fn explain(&self, error: io::Error) -> io::Error {
        let offset = match &self.state {
            State::Between(source) | State::Plain(source) => source.count,
            State::Within(decoder) => decoder.get_ref().count,
            State::Moving => self.start,
        };
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Truncated { offset }.into(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                self.fault(error.to_string())
            }
            _ => error,
        }
    }
}

impl<R: BufRead> BufRead for Inflated<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.given == self.block.len() {
            match std::mem::replace(&mut self.state, State::Moving) {
                State::Between(mut source) => {
                    self.look_ahead(&mut source)?;
                    if self.take_ahead(&mut source)? {
                        self.state = State::Between(source);
                        continue;
                    }
                    match self.next_member(source)? {
                        Some(decoder) => self.begin_member(decoder)?,
                        None if self.is_plain() => {}
                        None => break,
                    }
                }
                State::Plain(mut source) => {
                    self.block.resize(STREAM_BYTES, 0);
                    let read = source.read(&mut self.block);
                    self.block.truncate(*read.as_ref().unwrap_or(&0));
                    self.given = 0;
                    self.state = State::Plain(source);
                    if read? == 0 {
                        break;
                    }
                }
                State::Within(mut decoder) => {
                    self.block.resize(STREAM_BYTES, 0);
                    let read = decoder.read(&mut self.block);
                    self.block.truncate(*read.as_ref().unwrap_or(&0));
                    self.given = 0;
                    match read {
                        Ok(0) => {
                            self.state = State::Between(self.end_member(*decoder)?);
                            continue;
                        }
                        Ok(count) => self.inflated += count as u64,
                        Err(_) => {}
                    }
                    self.state = State::Within(decoder);
                    match read {
                        Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                            return Err(self.explain(error));
                        }
                        _ => {}
                    }
                }
                State::Moving => return Err(io::Error::other("read again after a fault")),
            }
        }
        Ok(&self.block[self.given..])
    }

    fn consume(&mut self, amount: usize) {
        self.given = self.block.len().min(self.given.saturating_add(amount));
    }
}

impl<R: BufRead> Read for Inflated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// Appends the rest of `reader` to `bytes`.
fn read_all(mut reader: impl Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    reader.read_to_end(bytes).map(drop)
}

/// A reader that counts the bytes that are consumed, not those that are buffered, and takes bytes back.
struct Source<R> {
    inner: R,
    /// The bytes that were given back, and the number of them that were read again.
    back: Vec<u8>,
    at: usize,
    count: u64,
}

impl<R> Source<R> {
    fn advance(&mut self, count: usize, from_back: bool) {
        self.count += count as u64;
        if from_back {
            self.at += count;
            if self.at == self.back.len() {
                self.back = Vec::new();
                self.at = 0;
            }
        }
    }

    /// Puts back the bytes that were read last.
    fn give_back(&mut self, mut bytes: Vec<u8>) {
        self.count -= bytes.len() as u64;
        bytes.extend_from_slice(&self.back[self.at..]);
        self.back = bytes;
        self.at = 0;
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = if self.at < self.back.len() {
            (&self.back[self.at..]).read(buffer)?
        } else {
            self.inner.read(buffer)?
        };
        self.advance(count, self.at < self.back.len());
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Source<R> {
    /// Retries an interrupted read: the decoder loses its position if it sees the error.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at < self.back.len() {
            return Ok(&self.back[self.at..]);
        }
        loop {
            match self.inner.fill_buf() {
                Ok([]) => return Ok(&[]),
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        let from_back = self.at < self.back.len();
        self.advance(amount, from_back);
        if !from_back {
            self.inner.consume(amount);
        }
    }
}
