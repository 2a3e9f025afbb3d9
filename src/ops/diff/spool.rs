//! The compared entries: few lie in memory, many as lines of JSON in a file without a name.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use serde::{Serialize, Serializer, ser::Error as _};

use super::entry::{DiffState, EntryDiff};

/// The most bytes of lines that lie in memory.
const MEMORY_BYTES: usize = 1 << 20;

/// A writer of compared entries.
pub struct EntrySpool {
    scratch: PathBuf,
    file: Option<File>,
    in_file: u64,
    lines: Vec<u8>,
    count: u64,
    differing: u64,
    texts: u64,
}

impl EntrySpool {
    /// Creates an empty one, whose file lies in the folder `scratch` if it needs one.
    pub fn new(scratch: &Path) -> EntrySpool {
        EntrySpool {
            scratch: scratch.to_owned(),
            file: None,
            in_file: 0,
            lines: Vec::new(),
            count: 0,
            differing: 0,
            texts: 0,
        }
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: &EntryDiff) -> Result<()> {
        serde_json::to_writer(&mut self.lines, entry)?;
        self.lines.push(b'\n');
        self.count += 1;
        self.differing += u64::from(entry.state != DiffState::Unchanged);
        self.texts += u64::from(entry.text.is_some());
        if self.lines.len() < MEMORY_BYTES {
            return Ok(());
        }
        let scratch = self.scratch.display();
        let mut file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile_in(&self.scratch)
                .with_context(|| format!("cannot make a temporary file in {scratch}"))?,
        };
        file.write_all(&self.lines)
            .with_context(|| format!("cannot write a temporary file in {scratch}"))?;
        self.file = Some(file);
        self.in_file += self.lines.len() as u64;
        self.lines.clear();
        Ok(())
    }

    /// Returns the entries.
    pub fn finish(self) -> DiffEntries {
        DiffEntries {
            file: self.file.map(Arc::new),
            in_file: self.in_file,
            lines: self.lines,
            count: self.count,
            differing: self.differing,
            texts: self.texts,
        }
    }
}

/// The compared entries, which are read one by one.
#[derive(Debug)]
pub struct DiffEntries {
    file: Option<Arc<File>>,
    /// The bytes of the lines in the file.
    in_file: u64,
    /// The lines behind them.
    lines: Vec<u8>,
    count: u64,
    differing: u64,
    texts: u64,
}

impl DiffEntries {
    /// Returns the number of entries.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the number of entries that are not the same on both sides.
    pub fn differing(&self) -> u64 {
        self.differing
    }

    /// Returns the number of entries that have texts.
    pub fn texts(&self) -> u64 {
        self.texts
    }

    /// Returns the entries from the first on, as often as it is called. Fails if the temporary file cannot be read.
    pub fn iter(&self) -> impl Iterator<Item = io::Result<EntryDiff>> {
        let in_file = InFile {
            file: self.file.clone(),
            at: 0,
            end: self.in_file,
        };
        let mut text = BufReader::new(in_file.chain(self.lines.as_slice()));
        let mut line = Vec::new();
        std::iter::from_fn(move || {
            line.clear();
            match text.read_until(b'\n', &mut line) {
                Ok(0) => None,
                Ok(_) => Some(serde_json::from_slice(&line).map_err(io::Error::from)),
                Err(error) => Some(Err(error)),
            }
        })
    }
}

impl Serialize for DiffEntries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq as _;
        let mut all = serializer.serialize_seq(None)?;
        for entry in self.iter() {
            all.serialize_element(&entry.map_err(S::Error::custom)?)?;
        }
        all.end()
    }
}

/// The lines in the file.
struct InFile {
    file: Option<Arc<File>>,
    at: u64,
    end: u64,
}

impl Read for InFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(file) = self.file.as_ref().filter(|_| self.at < self.end) else {
            return Ok(0);
        };
        let count = file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_entries_come_back_as_few_do_and_as_often_as_they_are_read() {
        let scratch = tempfile::tempdir().expect("a folder");
        for count in [0, 1, 20_000] {
            let entry = |number: u64| EntryDiff {
                entry: format!("data/{number}\n\u{1b}"),
                here_bytes: Some(number),
                state: match number % 2 {
                    0 => DiffState::Changed,
                    _ => DiffState::Unchanged,
                },
                text: number.is_multiple_of(3).then(|| "x".repeat(70)),
                there_bytes: None,
            };
            let mut spool = EntrySpool::new(scratch.path());
            for number in 0..count {
                spool.push(&entry(number)).expect("written");
            }
            assert_eq!(spool.file.is_some(), count > 1);
            let entries = spool.finish();
            assert_eq!(
                (entries.count(), entries.differing(), entries.texts()),
                (count, count.div_ceil(2), count.div_ceil(3))
            );
            for _ in 0..2 {
                let found: Result<Vec<EntryDiff>, io::Error> = entries.iter().collect();
                assert_eq!(
                    found.expect("read"),
                    (0..count).map(entry).collect::<Vec<_>>()
                );
            }
            let json = serde_json::to_value(&entries).expect("JSON");
            assert_eq!(json.as_array().map(|all| all.len() as u64), Some(count));
        }
    }
}
