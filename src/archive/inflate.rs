//! Inflates a sequence of gzip members to its very end, and knows where each member begins and ends.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use crate::model::limits::MEMBER_BYTES;

use super::{
    Fault,
    index::{Extra, IndexCheck, MemberSize},
};

/// The inflated content of every member, one after the other (RFC 1952 section 2.2).
///
/// Any fault of the compressed layer comes out as an `io::Error` that carries a [`Fault`].
pub struct Inflated<R> {
    state: State<R>,
    members: u64,
    start: u64,
    inflated: u64,
    index: IndexCheck,
    sized: bool,
    /// A member that states its size, once its checksum was found right, and how much of it was given away.
    block: Vec<u8>,
    given: usize,
}

enum State<R> {
    Between(Counted<R>),
    Within(Box<GzDecoder<Counted<R>>>),
    Moving,
}

impl<R: BufRead> Inflated<R> {
    /// Inflates what `compressed` gives.
    pub fn new(compressed: R) -> Inflated<R> {
        Inflated {
            state: State::Between(Counted {
                inner: compressed,
                count: 0,
            }),
            members: 0,
            start: 0,
            inflated: 0,
            index: IndexCheck::default(),
            sized: false,
            block: Vec::new(),
            given: 0,
        }
    }

    /// Whether the first member states its size, as the members of this format do.
    pub fn is_sized(&self) -> bool {
        self.sized
    }

    /// Whether the index stood behind the last member. Meaningful at the end only.
    pub fn has_index(&self) -> bool {
        self.index.is_complete()
    }

    /// Compressed bytes that are done with.
    pub fn compressed_bytes(&self) -> u64 {
        match &self.state {
            State::Between(reader) => reader.count,
            State::Within(decoder) => decoder.get_ref().count,
            State::Moving => 0,
        }
    }

    fn fault(&self, reason: impl Into<String>) -> io::Error {
        Fault::Gzip {
            member: self.members,
            offset: self.start,
            reason: reason.into(),
        }
        .into()
    }

    /// Begins the next member; `None` at the end of the file.
    fn next_member(
        &mut self,
        mut reader: Counted<R>,
    ) -> io::Result<Option<Box<GzDecoder<Counted<R>>>>> {
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
        // A gzip magic cut after its first byte is a truncation; anything else is no gzip at all.
        if head[0] != 0x1f || head.get(1).is_some_and(|byte| *byte != 0x8b) {
            return Err(match self.members {
                0 => Fault::NotAnArchive("it does not begin as gzip does".into()),
                _ => Fault::TrailingBytes { offset },
            }
            .into());
        }
        self.inflated = 0;
        Ok(Some(Box::new(GzDecoder::new(reader))))
    }

    /// Reads a member that states its size to its end before anything of it is given away: nobody acts on what does
    /// not match its checksum. A larger one than ours, or one of plain gzip, streams.
    fn begin_member(&mut self, mut decoder: Box<GzDecoder<Counted<R>>>) -> io::Result<()> {
        self.block.clear();
        self.given = 0;
        let extra = decoder.header().and_then(|header| header.extra());
        if extra.is_some_and(|extra| Extra::parse(extra).size.is_some()) {
            // One byte more than fits, so that the end, where the checksum is compared, is reached.
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

    fn end_member(&mut self, decoder: GzDecoder<Counted<R>>) -> io::Result<Counted<R>> {
        let extra = decoder
            .header()
            .and_then(|header| header.extra())
            .map(Extra::parse)
            .unwrap_or_default();
        let reader = decoder.into_inner();
        if self.members == 0 {
            self.sized = extra.size.is_some();
        }
        if self.sized {
            let packed = u32::try_from(reader.count - self.start);
            let inflated = u32::try_from(self.inflated);
            let (Ok(packed), Ok(inflated)) = (packed, inflated) else {
                return Err(self.fault("the member is larger than the format allows"));
            };
            let size = MemberSize { packed, inflated };
            self.index
                .member(self.start, size, &extra)
                .map_err(|reason| self.fault(reason))?;
        }
        self.members += 1;
        Ok(reader)
    }

    fn explain(&self, error: io::Error) -> io::Error {
        let offset = self.compressed_bytes();
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Truncated { offset }.into(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                self.fault(error.to_string())
            }
            _ => error,
        }
    }
}

impl<R: BufRead> Read for Inflated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.given < self.block.len() {
                let count = buffer.len().min(self.block.len() - self.given);
                buffer[..count].copy_from_slice(&self.block[self.given..self.given + count]);
                self.given += count;
                return Ok(count);
            }
            match std::mem::replace(&mut self.state, State::Moving) {
                State::Between(reader) => match self.next_member(reader)? {
                    Some(decoder) => self.begin_member(decoder)?,
                    None => return Ok(0),
                },
                State::Within(mut decoder) => match decoder.read(buffer) {
                    Ok(0) => self.state = State::Between(self.end_member(*decoder)?),
                    Ok(count) => {
                        self.inflated += count as u64;
                        self.state = State::Within(decoder);
                        return Ok(count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                        self.state = State::Within(decoder)
                    }
                    Err(error) => {
                        self.state = State::Within(decoder);
                        return Err(self.explain(error));
                    }
                },
                State::Moving => return Err(io::Error::other("read again after a fault")),
            }
        }
    }
}

/// Counts the bytes that are consumed, not those that are buffered.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.count += amount as u64;
        self.inner.consume(amount);
    }
}
