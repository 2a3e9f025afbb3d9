//! The entries of an archive that come before their turn in a repository.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    ops::{Bound, Range},
    os::unix::fs::FileExt as _,
    path::Path,
};

use anyhow::{Context as _, Result, anyhow};

use super::engine::Awaited;
use crate::{
    error::{Failure, Kind},
    model::{entry_name::EntryName, limits::BUFFER_BYTES},
};

/// The entries that came before their turn, in a file without a name.
#[derive(Default)]
pub struct Early {
    file: Option<File>,
    end: u64,
    entries: BTreeMap<EntryName, Range<u64>>,
}

impl Early {
    /// Begins an entry; its file is in the folder `scratch`.
    pub fn begin(&mut self, name: &EntryName, scratch: &Path) -> Result<EarlyEntry<'_>> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let shown = scratch.display();
                tempfile::tempfile_in(scratch)
                    .with_context(|| format!("cannot make a temporary file in {shown}"))?
            }
        };
        let range = self.end..self.end;
        let range = self.entries.entry(name.clone()).or_insert(range);
        Ok(EarlyEntry {
            file: self.file.insert(file),
            end: &mut self.end,
            range,
        })
    }

    /// Returns true if the entry called `name` is among them.
    pub fn has(&self, name: &EntryName) -> bool {
        self.entries.contains_key(name)
    }

    /// Returns true if an entry below the directory is among them.
    pub fn has_any_of(&self, directory: &EntryName) -> bool {
        let below = format!("{directory}/");
        let from = (Bound::Included(below.as_str()), Bound::Unbounded);
        let mut entries = self.entries.range::<str, _>(from);
        entries
            .next()
            .is_some_and(|(name, _)| name.as_str().starts_with(&below))
    }

    /// Takes an entry out, and passes its bytes on.
    pub fn pass(&mut self, awaited: &Awaited) -> Result<()> {
        let name = &awaited.name;
        let (Some(mut range), Some(file)) = (self.entries.remove(name), &self.file) else {
            return Err(anyhow!(
                "{name} is awaited too early; this is a defect of hookshot"
            ));
        };
        while !range.is_empty() {
            let count = (range.end - range.start).min(BUFFER_BYTES as u64);
            let mut piece = vec![0; usize::try_from(count)?];
            file.read_exact_at(&mut piece, range.start)?;
            awaited.bytes.send(piece).map_err(|_| lost())?;
            range.start += count;
        }
        Ok(())
    }
}

/// An entry that came before its turn.
pub struct EarlyEntry<'a> {
    file: &'a File,
    end: &'a mut u64,
    range: &'a mut Range<u64>,
}

impl Write for EarlyEntry<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(bytes, *self.end)?;
        *self.end += bytes.len() as u64;
        self.range.end = *self.end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The words of a failure whose reason the engine has.
pub const LOST: &str = "the repository takes no more";

/// Returns the failure of a repository that ended before the entries.
pub fn lost() -> anyhow::Error {
    Failure::new(Kind::Failed, LOST).into()
}
