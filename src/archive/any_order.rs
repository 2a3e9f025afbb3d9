//! The files of a listed directory that come in any order, because another program packed the archive.

use std::{
    fs::File,
    hash::{BuildHasher as _, RandomState},
    os::unix::fs::FileExt as _,
    path::Path,
};

use anyhow::{Context as _, Result};

use super::listing::Listing;
use crate::{
    model::{
        entry_name::EntryName,
        manifest::{FileRecord, ListedNode},
    },
    work::pair_index::PairIndex,
};

/// The files of one directory. The places of their lines, and which of them came, are kept in files without a name.
pub(super) struct FilesInAnyOrder {
    listing: Listing,
    /// The places of lines by the hashes of paths.
    places: PairIndex,
    /// The keys of the hashes: no archive can choose paths whose hashes are the same.
    keys: RandomState,
    came: Marks,
    left: u64,
}

/// The verdict on a file of the archive.
pub(super) enum FoundFile {
    /// It is in the listing.
    First(Box<FileRecord>),
    /// It came before.
    Again,
    /// It is not in the listing.
    Unlisted,
}

impl FilesInAnyOrder {
    /// Reads the paths of the files in `listing`, and keeps what is needed of them in the folder `scratch`.
    pub(super) fn new(listing: &Listing, scratch: &Path) -> Result<FilesInAnyOrder> {
        let keys = RandomState::new();
        let mut places = PairIndex::new(scratch);
        let mut lines = listing.lines();
        loop {
            let place = lines.end();
            let Some(line) = lines.next().transpose()? else {
                break;
            };
            if let Some(record) = line.file() {
                places.insert(keys.hash_one(record.path.as_str()), place)?;
            }
        }
        places.settle()?;
        Ok(FilesInAnyOrder {
            listing: listing.clone(),
            left: places.count(),
            places,
            keys,
            came: Marks::new(lines.end(), scratch)?,
        })
    }

    /// Returns the number of files that have not come.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Returns the record of a file that comes.
    pub(super) fn find(&mut self, inside: &EntryName) -> Result<FoundFile> {
        for place in self.places.numbers(self.keys.hash_one(inside.as_str()))? {
            let ListedNode::File(record) = self.listing.line_at(place)?.node else {
                continue;
            };
            if record.path != *inside {
                continue;
            }
            if !self.came.set(place)? {
                return Ok(FoundFile::Again);
            }
            self.left -= 1;
            return Ok(FoundFile::First(record));
        }
        Ok(FoundFile::Unlisted)
    }

    /// Returns the paths of the first files that have not come, at most `most`.
    pub(super) fn missing(&self, most: usize) -> Result<Vec<EntryName>> {
        let mut missing = Vec::new();
        let mut lines = self.listing.lines();
        while self.left > missing.len() as u64 && missing.len() < most {
            let place = lines.end();
            let Some(line) = lines.next().transpose()? else {
                break;
            };
            if let ListedNode::File(record) = line.node
                && !self.came.has(place)?
            {
                missing.push(record.path);
            }
        }
        Ok(missing)
    }
}

/// Marks of lines: a byte for each [`LEAST_BYTES`] of text, in a sparse file without a name.
struct Marks(File);

/// Two lines of files begin at least so many bytes apart: each has a digest of 64 digits.
const LEAST_BYTES: u64 = 64;
const MARKING: &str = "cannot mark files in a temporary file";

impl Marks {
    fn new(text_bytes: u64, scratch: &Path) -> Result<Marks> {
        let shown = scratch.display();
        let file = tempfile::tempfile_in(scratch)
            .with_context(|| format!("cannot make a temporary file in {shown}"))?;
        file.set_len(text_bytes / LEAST_BYTES + 1)
            .context(MARKING)?;
        Ok(Marks(file))
    }

    fn has(&self, place: u64) -> Result<bool> {
        let mut mark = [0];
        self.0
            .read_exact_at(&mut mark, place / LEAST_BYTES)
            .context(MARKING)?;
        Ok(mark != [0])
    }

    /// Marks the line at a place; returns false if it was marked before.
    fn set(&self, place: u64) -> Result<bool> {
        if self.has(place)? {
            return Ok(false);
        }
        self.0
            .write_all_at(&[1], place / LEAST_BYTES)
            .context(MARKING)?;
        Ok(true)
    }
}
