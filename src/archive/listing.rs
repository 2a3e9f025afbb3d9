//! A listing that was proven: its lines lie in a file without a name, and are read from there one by one.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    sync::Arc,
};

use anyhow::{Context as _, Result};

use crate::model::{
    entry_name::EntryName,
    limits::BUFFER_BYTES,
    manifest::{LineReader, ListingLine},
};
use crate::work::range::FileRange;

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
        FileRange::new(self.file.clone(), self.start, self.bytes)
    }

    /// Returns its lines, from the first.
    pub fn lines(&self) -> ListingLines {
        ListingLines {
            text: BufReader::with_capacity(BUFFER_BYTES, self.text()),
            reader: LineReader::new(self.directory.clone()),
            number: 0,
            buffer: Vec::new(),
        }
    }
}

/// The lines of a listing, one by one.
#[derive(Debug)]
pub struct ListingLines {
    text: BufReader<FileRange>,
    reader: LineReader,
    number: u64,
    buffer: Vec<u8>,
}

impl ListingLines {
    fn read(&mut self) -> Result<Option<ListingLine>> {
        self.buffer.clear();
        let reading = "cannot read a listing in the temporary folder";
        let count = self.text.read_until(b'\n', &mut self.buffer);
        if count.context(reading)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let text = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let line = self.reader.read(text, self.number);
        line.map(Some).map_err(|_| {
            let changed = "a listing in the temporary folder changed since it was checked";
            anyhow::anyhow!(changed)
        })
    }
}

impl Iterator for ListingLines {
    type Item = Result<ListingLine>;

    fn next(&mut self) -> Option<Result<ListingLine>> {
        self.read().transpose()
    }
}
