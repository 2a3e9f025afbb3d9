//! A listing that was proven: its lines lie in a file without a name, and are read from there one by one.

use std::{
    cmp::Ordering,
    fs::File,
    io::{BufRead as _, BufReader, Read},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use memchr::memmem::Finder;
use serde_json::Value;

use crate::model::{
    entry_name::EntryName,
    limits::BUFFER_BYTES,
    manifest::{LineReader, ListingLine},
    relative::by_component,
};
use crate::work::range::FileRange;

/// The context of a failure to read the temporary file.
const READING: &str = "cannot read a listing in the temporary folder";
/// The failure if the temporary file is not as it was written.
const CHANGED: &str = "a listing in the temporary folder changed since it was checked";
/// The bytes that are read at a time if only one line is needed.
const FEW_BYTES: usize = 4 << 10;

/// The lines of the listing of one directory. Each reading has a position of its own.
#[derive(Debug, Clone)]
pub struct Listing {
    directory: EntryName,
    file: Arc<File>,
    start: u64,
    bytes: u64,
}

impl Listing {
    /// Returns the listing of `directory` whose text is `bytes` of `file` from `start` on. The text is well-formed.
    pub fn new(directory: EntryName, file: Arc<File>, start: u64, bytes: u64) -> Listing {
        Listing {
            directory,
            file,
            start,
            bytes,
        }
    }

    /// Returns its text.
    pub fn text(&self) -> FileRange {
        self.text_from(0)
    }

    /// Returns its lines, from the first.
    pub fn lines(&self) -> ListingLines {
        self.lines_from(0, BUFFER_BYTES)
    }

    /// Returns true if it has a file of the path `relative`. It is searched by halves.
    pub(super) fn has_file(&self, relative: &[u8]) -> Result<bool> {
        // The line begins somewhere from `low` on and before `high`.
        let (mut low, mut high) = (0, self.bytes);
        while low < high {
            let middle = low + (high - low) / 2;
            let start = self.line_start(middle)?;
            let line = match start < high {
                true => self.lines_from(start, FEW_BYTES).next().transpose()?,
                false => None,
            };
            let Some(line) = line else {
                high = middle;
                continue;
            };
            match by_component(line.name.as_bytes(), relative) {
                Ordering::Less => low = start + 1,
                Ordering::Equal => return Ok(line.file().is_some()),
                Ordering::Greater => high = middle,
            }
        }
        Ok(false)
    }

    /// Returns the beginning of the first line that begins at `middle` or after it.
    fn line_start(&self, middle: u64) -> Result<u64> {
        if middle == 0 {
            return Ok(0);
        }
        let before = middle - 1;
        let mut text = BufReader::with_capacity(FEW_BYTES, self.text_from(before));
        let count = text.skip_until(b'\n').context(READING)?;
        Ok(before + count as u64)
    }

    /// Returns the place in the text that has the path of an entry; the text is searched from `start` on.
    pub(super) fn search(&self, path: &EntryName, start: u64) -> Result<Option<u64>> {
        let wanted = Value::from(path.as_str()).to_string();
        let finder = Finder::new(wanted.as_bytes());
        let mut text = self.text_from(start);
        let mut window = Vec::new();
        let mut at = start;
        // It is near in most cases.
        let mut step = FEW_BYTES;
        loop {
            let more = (&mut text).take(step as u64);
            step = (2 * step).min(BUFFER_BYTES);
            if read_to_end(more, &mut window)? == 0 {
                return Ok(None);
            }
            if let Some(found) = finder.find(&window) {
                return Ok(Some(at + found as u64));
            }
            let known = window.len().saturating_sub(wanted.len());
            window.drain(..known);
            at += known as u64;
        }
    }

    /// Returns the line that begins at `place` in the text.
    pub(super) fn line_at(&self, place: u64) -> Result<ListingLine> {
        let line = self.lines_from(place, FEW_BYTES).next();
        line.unwrap_or_else(|| Err(anyhow::anyhow!(CHANGED)))
    }

    fn lines_from(&self, at: u64, buffer_bytes: usize) -> ListingLines {
        ListingLines {
            text: BufReader::with_capacity(buffer_bytes, self.text_from(at)),
            reader: LineReader::new(self.directory.clone()),
            number: 0,
            end: at,
            buffer: Vec::new(),
        }
    }

    fn text_from(&self, at: u64) -> FileRange {
        FileRange::new(
            self.file.clone(),
            self.start + at,
            self.bytes.saturating_sub(at),
        )
    }
}

fn read_to_end(mut reader: impl Read, bytes: &mut Vec<u8>) -> Result<usize> {
    reader.read_to_end(bytes).context(READING)
}

/// The lines of a listing, one by one.
#[derive(Debug)]
pub struct ListingLines {
    text: BufReader<FileRange>,
    reader: LineReader,
    number: u64,
    /// The end of the last line in the text.
    end: u64,
    buffer: Vec<u8>,
}

impl ListingLines {
    /// Returns the place in the text after the last line.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    fn read(&mut self) -> Result<Option<ListingLine>> {
        self.buffer.clear();
        let count = self.text.read_until(b'\n', &mut self.buffer);
        if count.context(READING)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.end += self.buffer.len() as u64;
        let text = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let line = self.reader.read(text, self.number);
        line.map(Some).map_err(|_| anyhow::anyhow!(CHANGED))
    }
}

impl Iterator for ListingLines {
    type Item = Result<ListingLine>;

    fn next(&mut self) -> Option<Result<ListingLine>> {
        self.read().transpose()
    }
}
