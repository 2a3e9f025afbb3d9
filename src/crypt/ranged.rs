//! Any part of a sealed file, of which only the pieces that hold it are read.

use std::{
    io::{self, Read as _, Seek as _, SeekFrom},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result};

use super::{
    header::{CHUNK_BYTES, Form, MAX_HEADER_BYTES, TAG_BYTES, content_offset},
    key_name::KeyName,
    keyring::{Keyring, Trial},
    opened::Opened,
    recipients::Recipients,
};
use crate::{error::Failure, work::ReadAt};

/// The bytes that are read for a header; those of tens of recipients.
const FIRST_BYTES: u64 = 8 << 10;
/// The most bytes of content that are read at once.
const MOST_BYTES: usize = 4 << 20;

/// A source that threads share.
pub type Shared = Arc<dyn ReadAt + Send + Sync>;

/// The content of a sealed file, which can be read at any offset.
pub struct OpenedAt {
    /// The reader; after an error, that error: where it stands then is not known.
    reader: Mutex<Result<Opened<Window>, Failure>>,
    /// The bytes that were read last, which the reader uses.
    bytes: Arc<Mutex<Bytes>>,
    /// The offset of the first piece, if pieces lie one after the other.
    first: Option<u64>,
    length: u64,
    key: KeyName,
}

impl Keyring {
    /// Opens the sealed source called `shown`, to read any part of it.
    ///
    /// Errors: as [`open`](Keyring::open); [`Kind::Refused`](crate::error::Kind::Refused) as well if its end is missing
    /// or damaged.
    pub fn open_at(&self, shown: &str, form: Form, source: Shared) -> Result<OpenedAt> {
        OpenedAt::new(self, shown, form, source)
    }

    /// Tries each key on the header of the sealed source called `shown`. Reads at most 64 KiB, and as a rule 8.
    ///
    /// Errors: [`Kind::Refused`](crate::error::Kind::Refused) if the header is damaged.
    pub fn try_header(&self, shown: &str, form: Form, source: Shared) -> Result<Trial> {
        let header = header_of(shown, source)?;
        self.try_each(shown, form, || &header[..])
    }

    /// Returns true if the sealed source called `shown` is for exactly these recipients, as its header says to each of
    /// them. False as well if another program sealed it, and its header does not say for whom. Reads as much as
    /// [`try_header`](Keyring::try_header).
    ///
    /// Errors: as [`open`](Keyring::open).
    pub fn is_for(
        &self,
        shown: &str,
        form: Form,
        source: Shared,
        recipients: &Recipients,
    ) -> Result<bool> {
        let header = header_of(shown, source)?;
        self.opens_for(shown, form, &header, recipients)
    }
}

/// Reads the beginning of the source called `shown`: all of its header.
fn header_of(shown: &str, source: Shared) -> Result<Vec<u8>> {
    let reading = || format!("cannot read {shown}");
    let mut bytes = Bytes::of(source).with_context(reading)?;
    bytes.fetch(0, FIRST_BYTES).with_context(reading)?;
    if bytes.length > FIRST_BYTES && content_offset(&bytes.held).is_none() {
        let most = MAX_HEADER_BYTES - FIRST_BYTES;
        bytes.fetch(0, most).with_context(reading)?;
    }
    Ok(bytes.held)
}

impl OpenedAt {
    fn new(ring: &Keyring, shown: &str, form: Form, source: Shared) -> Result<OpenedAt> {
        let reading = || format!("cannot read {shown}");
        let bytes = Bytes::of(source).with_context(reading)?;
        let length = bytes.length;
        let bytes = Arc::new(Mutex::new(bytes));
        let mut first = None;
        for count in [FIRST_BYTES, MAX_HEADER_BYTES] {
            if form == Form::Binary && first.is_none() {
                locked(&bytes).require(0, count).with_context(reading)?;
                first = content_offset(&locked(&bytes).held);
            }
        }
        let window = Window {
            bytes: bytes.clone(),
            position: 0,
        };
        let mut reader = ring.open(shown, form, window)?;
        let key = reader.key().clone();
        if let Some(first) = first {
            let sealed = CHUNK_BYTES + TAG_BYTES;
            let last = first + length.saturating_sub(first + 1) / sealed * sealed;
            locked(&bytes).require(last, length).with_context(reading)?;
        }
        // The end proves that nothing is missing: a piece in the middle does not tell.
        let length = reader.seek(SeekFrom::End(0)).with_context(reading)?;
        let reader = Mutex::new(Ok(reader));
        Ok(OpenedAt {
            reader,
            bytes,
            first,
            length,
            key,
        })
    }

    /// Returns the name of the key that opened it.
    pub fn key(&self) -> &KeyName {
        &self.key
    }

    /// Reads the pieces that hold these bytes of content in one request, unless the last one brought them.
    fn fetch(&self, offset: u64, count: usize) -> io::Result<()> {
        let Some(first) = self.first else {
            return Ok(());
        };
        let sealed = CHUNK_BYTES + TAG_BYTES;
        let from = first + offset / CHUNK_BYTES * sealed;
        let to = first + (offset + count as u64).div_ceil(CHUNK_BYTES) * sealed;
        locked(&self.bytes).require(from, to)
    }
}

impl ReadAt for OpenedAt {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut held = locked(&self.reader);
        let reader = held.as_mut().map_err(|failure| failure.clone())?;
        let mut offset = offset;
        let mut read = || -> io::Result<()> {
            for part in buffer.chunks_mut(MOST_BYTES) {
                self.fetch(offset, part.len())?;
                reader.seek(SeekFrom::Start(offset))?;
                reader.read_exact(part)?;
                offset += part.len() as u64;
            }
            Ok(())
        };
        let read = read().map_err(|error| Failure::of(&error.into()));
        Ok(read.inspect_err(|failure| *held = Err(failure.clone()))?)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }
}

/// Bytes of the sealed file that were read at once.
struct Bytes {
    source: Shared,
    length: u64,
    start: u64,
    held: Vec<u8>,
}

impl Bytes {
    fn of(source: Shared) -> io::Result<Bytes> {
        let length = source.length()?;
        Ok(Bytes {
            source,
            length,
            start: 0,
            held: Vec::new(),
        })
    }

    /// Reads `count` bytes from `start` on; fewer at the end.
    fn fetch(&mut self, start: u64, count: u64) -> io::Result<()> {
        let count = count.min(self.length.saturating_sub(start));
        self.held.clear();
        self.held
            .resize(usize::try_from(count).unwrap_or_default(), 0);
        self.start = start;
        let read = self.source.read_exact_at(&mut self.held, start);
        read.inspect_err(|_| self.held.clear())
    }

    /// Makes sure that the bytes of a range are held.
    fn require(&mut self, from: u64, to: u64) -> io::Result<()> {
        let to = to.min(self.length);
        if from >= self.start && to <= self.start + self.held.len() as u64 {
            return Ok(());
        }
        self.fetch(from, to.saturating_sub(from))
    }

    /// Copies what is held from `position` on; nothing if that is not held.
    fn copy(&self, position: u64, buffer: &mut [u8]) -> usize {
        let Some(at) = position.checked_sub(self.start) else {
            return 0;
        };
        let held = usize::try_from(at).ok().and_then(|at| self.held.get(at..));
        let held = held.unwrap_or_default();
        let count = held.len().min(buffer.len());
        buffer[..count].copy_from_slice(&held[..count]);
        count
    }
}

/// A reader of the sealed file that uses what is held before it reads more.
struct Window {
    bytes: Arc<Mutex<Bytes>>,
    position: u64,
}

impl io::Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = locked(&self.bytes);
        let mut count = bytes.copy(self.position, buffer);
        if count == 0 && !buffer.is_empty() && self.position < bytes.length {
            bytes.fetch(self.position, buffer.len() as u64)?;
            count = bytes.copy(self.position, buffer);
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl io::Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let length = locked(&self.bytes).length;
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
