//! Byte strings in a row, in a file without a name as soon as they are many.

use std::{
    borrow::Cow,
    fs::File,
    io::{BufReader, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};

use crate::work::range::FileRange;

/// The bytes that stay in memory while a tape is written, and if there are no more.
const HELD_BYTES: usize = 256 << 10;
/// The buffer of a cursor.
const READ_BYTES: usize = 64 << 10;
const READING: &str = "cannot read the records of a directory in the temporary folder";

/// A tape that is being written.
#[derive(Debug)]
pub struct TapeWriter<'a> {
    scratch: Cow<'a, Path>,
    bytes: Vec<u8>,
    file: Option<File>,
    /// The bytes in the file.
    stored: u64,
}

impl TapeWriter<'static> {
    /// Creates an empty one that keeps the path of the folder.
    pub fn owned(scratch: PathBuf) -> TapeWriter<'static> {
        TapeWriter {
            scratch: scratch.into(),
            bytes: Vec::new(),
            file: None,
            stored: 0,
        }
    }
}

impl<'a> TapeWriter<'a> {
    /// Creates an empty one; its file lies in the folder `scratch`.
    pub fn new(scratch: &'a Path) -> TapeWriter<'a> {
        TapeWriter {
            scratch: scratch.into(),
            bytes: Vec::new(),
            file: None,
            stored: 0,
        }
    }

    /// Returns the place of the byte string that is appended next.
    pub fn end(&self) -> u64 {
        self.stored + self.bytes.len() as u64
    }

    /// Returns the byte string at a place.
    pub fn read(&self, at: u64) -> Result<Vec<u8>> {
        Ok(self.read_on(at)?.0)
    }

    /// Returns the byte string at a place, and the place of the next one.
    pub fn read_on(&self, at: u64) -> Result<(Vec<u8>, u64)> {
        let mut length = [0; 4];
        self.read_bytes(at, &mut length)?;
        let length = u32::from_le_bytes(length);
        let start = at + size_of_val(&length) as u64;
        let mut record = vec![0; length as usize];
        self.read_bytes(start, &mut record)?;
        Ok((record, start + u64::from(length)))
    }

    fn read_bytes(&self, at: u64, bytes: &mut [u8]) -> Result<()> {
        // What is in the file ends with a whole byte string.
        match (at.checked_sub(self.stored), &self.file) {
            (None, Some(file)) => file.read_exact_at(bytes, at).context(READING),
            (start, _) => {
                let start = start.and_then(|start| usize::try_from(start).ok());
                let held = start.and_then(|start| self.bytes.get(start..start + bytes.len()));
                bytes.copy_from_slice(held.context(READING)?);
                Ok(())
            }
        }
    }

    /// Appends one byte string.
    pub fn push(&mut self, record: &[u8]) -> Result<()> {
        frame(record, &mut self.bytes)?;
        self.flush_if_full()
    }

    /// Appends byte strings that [`frame`] has put in a row.
    pub fn push_framed(&mut self, records: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(records);
        self.flush_if_full()
    }

    fn flush_if_full(&mut self) -> Result<()> {
        match self.bytes.len() >= HELD_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = tempfile::tempfile_in(&self.scratch).with_context(|| {
                    let scratch = self.scratch.display();
                    format!("cannot make a temporary file in {scratch}")
                })?;
                self.file.insert(file)
            }
        };
        file.write_all(&self.bytes).with_context(|| {
            let scratch = self.scratch.display();
            format!("cannot keep the records of a directory in a temporary file in {scratch}")
        })?;
        self.stored += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }

    /// Returns the tape.
    pub fn finish(mut self) -> Result<Tape> {
        if self.file.is_some() {
            self.flush()?;
        }
        Ok(match self.file {
            Some(file) => Tape::File(Arc::new(file)),
            None => Tape::Memory(self.bytes.into()),
        })
    }
}

/// Appends a byte string with its length to `bytes`.
pub fn frame(record: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
    let length = u32::try_from(record.len()).context("a record of a directory is too long")?;
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(record);
    Ok(())
}

/// Byte strings in a row.
#[derive(Debug, Clone)]
pub enum Tape {
    /// In memory.
    Memory(Arc<[u8]>),
    /// In a file.
    File(Arc<File>),
}

impl Default for Tape {
    fn default() -> Tape {
        Tape::Memory(Arc::default())
    }
}

impl Tape {
    /// Returns a cursor at the beginning.
    pub fn cursor(&self) -> TapeCursor {
        TapeCursor {
            source: match self {
                Tape::Memory(bytes) => Source::Memory(bytes.clone(), 0),
                Tape::File(file) => {
                    let all = FileRange::new(file.clone(), 0, u64::MAX);
                    Source::File(BufReader::with_capacity(READ_BYTES, all))
                }
            },
            record: Vec::new(),
        }
    }
}

/// A reader of a tape, from its beginning.
pub struct TapeCursor {
    source: Source,
    record: Vec<u8>,
}

enum Source {
    Memory(Arc<[u8]>, usize),
    File(BufReader<FileRange>),
}

impl TapeCursor {
    /// Returns the next byte string; `None` at the end.
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        let mut length = [0; 4];
        if !self.fill(&mut length)? {
            return Ok(None);
        }
        let mut record = std::mem::take(&mut self.record);
        record.resize(u32::from_le_bytes(length) as usize, 0);
        let is_there = self.fill(&mut record)?;
        self.record = record;
        match is_there {
            true => Ok(Some(&self.record)),
            false => Err(anyhow::anyhow!(READING)),
        }
    }

    /// Fills `bytes`; returns false at the end.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool> {
        match &mut self.source {
            Source::Memory(all, at) => {
                let Some(found) = all.get(*at..*at + bytes.len()) else {
                    return Ok(false);
                };
                bytes.copy_from_slice(found);
                *at += bytes.len();
                Ok(true)
            }
            Source::File(file) => {
                let mut done = 0;
                while done < bytes.len() {
                    match file.read(&mut bytes[done..]).context(READING)? {
                        0 => return Ok(false),
                        count => done += count,
                    }
                }
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
        #[test]
        fn a_tape_gives_what_was_written_in_memory_and_in_a_file(
            records in proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 0..300), 0..40),
            repeats in prop_oneof![Just(1usize), Just(200)],
        ) {
            let scratch = tempfile::tempdir().expect("a folder");
            let mut writer = TapeWriter::new(scratch.path());
            let mut places = Vec::new();
            for record in records.iter().cycle().take(records.len() * repeats) {
                places.push(writer.end());
                writer.push(record).expect("written");
            }
            let all = places.iter().zip(records.iter().cycle());
            for (place, record) in all.step_by(repeats) {
                prop_assert_eq!(&writer.read(*place).expect("read"), record);
            }
            prop_assert!(writer.read(writer.end()).is_err());
            let tape = writer.finish().expect("written");
            for _ in 0..2 {
                let mut cursor = tape.cursor();
                for record in records.iter().cycle().take(records.len() * repeats) {
                    prop_assert_eq!(cursor.next().expect("read"), Some(record.as_slice()));
                }
                prop_assert_eq!(cursor.next().expect("read"), None);
            }
            prop_assert_eq!(scratch.path().read_dir().expect("there").count(), 0);
        }
    }
}
