//! The files of listed directories as they come out of an archive: each must be the next in its listing.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Result;

use super::{
    any_order::{FilesInAnyOrder, FoundFile},
    fault::Fault,
    listing::{Listing, ListingLines},
};
use crate::model::{
    entry_name::EntryName,
    limits::MAX_FAULTS,
    manifest::{FileRecord, ListedNode},
    relative::{ESCAPED, RelativeName, by_component},
};

/// The beginning of the names that a Mac's tar adds (AppleDouble).
pub(super) const APPLE: &str = "._";

/// The files of all listed directories of one archive.
#[derive(Default)]
pub(super) struct ComingFiles {
    /// The directory whose listing came last, as long as nothing else came.
    current: Option<FilesInOrder>,
    /// The directories before it.
    past: BTreeMap<EntryName, FilesInOrder>,
    /// The directories whose files may come in any order, because another program packed the archive.
    any: BTreeMap<EntryName, FilesInAnyOrder>,
    /// The directories whose listings are not good: nothing can be told of their files.
    refused: BTreeSet<EntryName>,
    count: u64,
}

impl ComingFiles {
    /// Returns the number of files that were read.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Counts a file that was read.
    pub(super) fn count_one(&mut self) {
        self.count += 1;
    }

    /// Begins the `files` files of a directory, whose listing is good.
    pub(super) fn begin(&mut self, directory: &EntryName, files: u64, listing: &Listing) {
        self.current = Some(FilesInOrder {
            directory: directory.clone(),
            listing: listing.clone(),
            lines: Some(listing.lines()),
            left: files,
            next: None,
            last: None,
            missed: BTreeSet::new(),
            unnamed: 0,
        });
    }

    /// Begins the files of a directory, which may come in any order.
    /// It keeps what it needs of them in the folder `scratch`.
    pub(super) fn begin_any(
        &mut self,
        directory: &EntryName,
        listing: &Listing,
        scratch: &Path,
    ) -> Result<()> {
        let files = FilesInAnyOrder::new(listing, scratch)?;
        self.any.insert(directory.clone(), files);
        Ok(())
    }

    /// Notes that the listing of a directory is not good.
    pub(super) fn refuse(&mut self, directory: EntryName) {
        self.refused.insert(directory);
    }

    /// Returns true if that was noted.
    pub(super) fn has_refused(&self, directory: &EntryName) -> bool {
        self.refused.contains(directory)
    }

    /// Takes the record of the next file if its path is `inside` the root folder.
    pub(super) fn take_next(&mut self, inside: &str) -> Result<Option<Box<FileRecord>>> {
        match &mut self.current {
            Some(files) => files.take_next(inside),
            None => Ok(None),
        }
    }

    /// Finds the record of a file of `directory` that is not the next one; `None` if it may not come here. Notes the
    /// faults that this shows.
    pub(super) fn find(
        &mut self,
        directory: &EntryName,
        listing: &EntryName,
        inside: &EntryName,
        faults: &mut Vec<Fault>,
    ) -> Result<Option<Box<FileRecord>>> {
        if self.refused.contains(directory) {
            return Ok(None);
        }
        let current = self.current.as_mut();
        let found = if let Some(files) = self.any.get_mut(directory) {
            match files.find(inside)? {
                FoundFile::First(record) => Ok(record),
                FoundFile::Again => Err(Fault::Twice(inside.as_str().to_owned())),
                FoundFile::Unlisted => Err(unlisted(inside.as_str(), Some(listing))),
            }
        } else if let Some(files) = current.filter(|files| files.directory == *directory) {
            let found = files.advance(inside, faults)?;
            found.map_or_else(
                || files.fault(listing, inside).map(Err),
                |record| Ok(Ok(record)),
            )?
        } else if let Some(files) = self.past.get(directory) {
            Err(files.fault(listing, inside)?)
        } else {
            Err(misplaced(inside, listing))
        };
        Ok(found.map_err(|fault| faults.push(fault)).ok())
    }

    /// Ends all files: those that have not come are missing.
    pub(super) fn end_all(&mut self, faults: &mut Vec<Fault>) -> Result<()> {
        self.end(faults)?;
        for (directory, files) in &self.any {
            let most = (MAX_FAULTS - 1).saturating_sub(faults.len());
            let missing = files.missing(most)?;
            let unnamed = files.left() - missing.len() as u64;
            faults.extend(missing.into_iter().map(Fault::Missing));
            more_missing(directory, unnamed, faults);
        }
        Ok(())
    }

    /// Ends the files of the current directory: those that have not come are missing.
    pub(super) fn end(&mut self, faults: &mut Vec<Fault>) -> Result<()> {
        if let Some(mut files) = self.current.take() {
            files.end(faults)?;
            self.past.insert(files.directory.clone(), files);
        }
        Ok(())
    }
}

/// The files of one directory, in the order of its listing. Only the next one is held.
struct FilesInOrder {
    directory: EntryName,
    listing: Listing,
    /// Its lines, as long as files come.
    lines: Option<ListingLines>,
    /// The number of files that were not taken from the lines.
    left: u64,
    next: Option<(RelativeName, Box<FileRecord>)>,
    /// The path of the file that came last.
    last: Option<EntryName>,
    /// The files that were named as missing, and the number of further ones.
    missed: BTreeSet<EntryName>,
    unnamed: u64,
}

impl FilesInOrder {
    /// Reads lines up to that of the next file.
    fn read_next(&mut self) -> Result<()> {
        while self.next.is_none() && self.left > 0 {
            let line = self.lines.as_mut().and_then(ListingLines::next);
            let Some(line) = line.transpose()? else {
                self.left = 0;
                break;
            };
            if let ListedNode::File(record) = line.node {
                self.next = Some((line.name, record));
                self.left -= 1;
            }
        }
        Ok(())
    }

    fn take_next(&mut self, inside: &str) -> Result<Option<Box<FileRecord>>> {
        self.read_next()?;
        match self.next.take() {
            Some((_, record)) if record.path.as_str() == inside => {
                self.last = Some(record.path.clone());
                Ok(Some(record))
            }
            other => {
                self.next = other;
                Ok(None)
            }
        }
    }

    /// Goes on to a file that is not the next one: those before it in the listing are missing. `None` if it does not
    /// come later in the listing.
    fn advance(
        &mut self,
        inside: &EntryName,
        faults: &mut Vec<Fault>,
    ) -> Result<Option<Box<FileRecord>>> {
        if let Some(relative) = self.plain(inside) {
            loop {
                self.read_next()?;
                let next = self.next.as_ref();
                let order =
                    next.map(|(name, _)| by_component(name.as_bytes(), relative.as_bytes()));
                match order {
                    Some(Ordering::Less) => self.miss(faults),
                    Some(Ordering::Equal) => return self.take_next(inside.as_str()),
                    Some(Ordering::Greater) | None => break,
                }
            }
        } else if let Some(record) = self.take_next(inside.as_str())? {
            return Ok(Some(record));
        } else if let Some(at) = self.search_on(inside)? {
            // The place of an escaped name in the order is not known without its line.
            let lines_end = |files: &FilesInOrder| files.lines.as_ref().map(ListingLines::end);
            while self.next.is_some() && lines_end(self).is_some_and(|end| end <= at) {
                self.miss(faults);
                self.read_next()?;
            }
            return self.take_next(inside.as_str());
        }
        Ok(None)
    }

    /// Searches the lines after that of the next file: those before it are not searched again and again.
    fn search_on(&self, inside: &EntryName) -> Result<Option<u64>> {
        let end = self.lines.as_ref().map(ListingLines::end);
        end.map_or(Ok(None), |end| self.listing.search(inside, end))
    }

    /// Returns the path below the directory; `None` if it is escaped.
    fn plain<'a>(&self, inside: &'a EntryName) -> Option<&'a str> {
        let below = inside.as_str().strip_prefix(self.directory.as_str())?;
        let below = below.strip_prefix('/')?;
        let first = below.split('/').next();
        (first != Some(ESCAPED)).then_some(below)
    }

    /// Notes that the next file is missing.
    fn miss(&mut self, faults: &mut Vec<Fault>) {
        if let Some((_, record)) = self.next.take() {
            if faults.len() + 1 < MAX_FAULTS {
                self.missed.insert(record.path.clone());
                faults.push(Fault::Missing(record.path));
            } else {
                self.unnamed += 1;
            }
        }
    }

    /// Returns the fault of a file that may not come here.
    fn fault(&self, listing: &EntryName, inside: &EntryName) -> Result<Fault> {
        let path = || inside.as_str().to_owned();
        if self.last.as_ref() == Some(inside) {
            return Ok(Fault::Twice(path()));
        }
        let is_listed = match self.plain(inside) {
            Some(relative) => self.listing.has_file(relative.as_bytes())?,
            None => self.listing.search(inside, 0)?.is_some(),
        };
        Ok(match is_listed {
            false => unlisted(inside.as_str(), Some(listing)),
            true if self.unnamed == 0 && !self.missed.contains(inside) => Fault::Twice(path()),
            true => misplaced(inside, listing),
        })
    }

    fn end(&mut self, faults: &mut Vec<Fault>) -> Result<()> {
        self.read_next()?;
        while self.next.is_some() && faults.len() + 1 < MAX_FAULTS {
            self.miss(faults);
            self.read_next()?;
        }
        self.unnamed += self.left + u64::from(self.next.take().is_some());
        (self.left, self.lines) = (0, None);
        more_missing(&self.directory, self.unnamed, faults);
        Ok(())
    }
}

fn misplaced(inside: &EntryName, listing: &EntryName) -> Fault {
    Fault::Misplaced {
        path: inside.as_str().to_owned(),
        listing: listing.clone(),
    }
}

/// Notes that `count` files of a directory are missing that were not named.
fn more_missing(directory: &EntryName, count: u64, faults: &mut Vec<Fault>) {
    if count > 0 {
        faults.push(Fault::MissingFiles {
            directory: directory.clone(),
            count,
        });
    }
}

/// Returns the fault of a path that is not in the manifest, or not in `listing`.
pub(super) fn unlisted(path: &str, listing: Option<&EntryName>) -> Fault {
    let last = path.rsplit('/').next();
    if last.is_some_and(|last| last.starts_with(APPLE)) {
        return Fault::Apple(path.to_owned());
    }
    let path = path.to_owned();
    match listing.cloned() {
        Some(listing) => Fault::NotInListing { path, listing },
        None => Fault::Unlisted(path),
    }
}
