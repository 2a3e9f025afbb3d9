//! Listings as they come out of an archive: their lines are checked, and kept in a file without a name.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use memchr::memchr;

use super::{fault::Fault, listing::Listing, scratch::ScratchFolders};
use crate::{
    model::{
        entry_name::EntryName,
        limits::{MAX_LINE_BYTES, MAX_LINK_LINES_BYTES},
        manifest::{ListedDirectory, ListedNode, ListingCheck, MAX_LISTING_FAULTS, ManifestFault},
    },
    work::space,
};

/// The file of the listings of one archive, which has no name. It is made for the first of them.
pub(super) struct ListingStore {
    /// The folder of the file.
    scratch: PathBuf,
    folders: ScratchFolders,
    file: Option<Arc<File>>,
    /// The end of the listings that are complete.
    end: u64,
    /// The bytes of the lines of links in them.
    link_bytes: u64,
}

impl ListingStore {
    /// Makes a store in the first of `folders` that has room.
    pub(super) fn new(folders: impl Into<ScratchFolders>) -> ListingStore {
        let folders = folders.into();
        ListingStore {
            scratch: folders.first().to_owned(),
            folders,
            file: None,
            end: 0,
            link_bytes: 0,
        }
    }

    /// Returns the folder in which listings are kept now.
    pub(super) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Begins the listing of the directory called `name`, whose text has `bytes`. The listing before it has ended.
    /// Fails with [`Kind::Space`](crate::error::Kind::Space) if it does not fit there.
    pub(super) fn begin(
        &mut self,
        name: &EntryName,
        listed: &ListedDirectory,
        bytes: u64,
    ) -> Result<IncomingListing> {
        // One line more than is promised ends it: a size that is a lie asks for no more room than the promise.
        let most = listed
            .lines()
            .saturating_add(1)
            .saturating_mul(MAX_LINE_BYTES as u64);
        let file = self.file_with_room(name, bytes.min(most))?;
        Ok(IncomingListing {
            directory: name.clone(),
            files: listed.files,
            check: ListingCheck::new(name.clone(), listed.clone()),
            scratch: self.scratch.clone(),
            file,
            start: self.end,
            end: self.end,
            partial: Vec::new(),
            link_bytes: self.link_bytes,
            faults: Vec::new(),
            is_hopeless: false,
        })
    }

    /// Returns the file, which has room for `bytes` more. If there is none in the first folder, the listings from this
    /// one on are kept in another file, in the spare one.
    fn file_with_room(&mut self, name: &EntryName, bytes: u64) -> Result<Arc<File>> {
        let first = match self.file_here(name, bytes) {
            Ok(file) => return Ok(file),
            Err(error) => error,
        };
        let Some(spare) = self.folders.take_spare() else {
            return Err(first);
        };
        let before = (
            self.file.take(),
            std::mem::replace(&mut self.scratch, spare),
        );
        let end = std::mem::replace(&mut self.end, 0);
        // The folder that the user can choose is named if both lack room.
        self.file_here(name, bytes).map_err(|_| {
            (self.file, self.scratch) = before;
            self.end = end;
            first
        })
    }

    /// Returns the file in the present folder, if it has room there.
    fn file_here(&mut self, name: &EntryName, bytes: u64) -> Result<Arc<File>> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => {
                let shown = self.scratch.display();
                let file = tempfile::tempfile_in(&self.scratch)
                    .with_context(|| format!("cannot make a temporary file in {shown}"))?;
                self.file.insert(Arc::new(file)).clone()
            }
        };
        // A listing before it that was not good goes.
        file.set_len(self.end)
            .with_context(|| keeping(&self.scratch))?;
        space::require(&self.scratch, bytes, &format!("the listing of {name}"))?;
        Ok(file)
    }

    /// Ends a listing that is complete; `None` if it has faults.
    pub(super) fn finish(&mut self, incoming: &mut IncomingListing) -> Option<Listing> {
        incoming.complete();
        if !incoming.faults.is_empty() {
            return None;
        }
        self.end = incoming.end;
        self.link_bytes = incoming.link_bytes;
        let bytes = incoming.end - incoming.start;
        let (directory, file) = (incoming.directory.clone(), incoming.file.clone());
        Some(Listing::new(directory, file, incoming.start, bytes))
    }
}

/// A listing that comes piece by piece.
pub(super) struct IncomingListing {
    directory: EntryName,
    files: u64,
    check: ListingCheck,
    scratch: PathBuf,
    file: Arc<File>,
    start: u64,
    end: u64,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// The bytes of the lines of links so far, with those of the listings before it.
    link_bytes: u64,
    faults: Vec<Fault>,
    is_hopeless: bool,
}

impl IncomingListing {
    /// Returns the name of the directory.
    pub(super) fn directory(&self) -> &EntryName {
        &self.directory
    }

    /// Returns the number of files that the manifest says of the directory.
    pub(super) fn files(&self) -> u64 {
        self.files
    }

    /// Returns true if it need not be read further: it has many faults, a line that is too long, or more than is
    /// promised.
    pub(super) fn is_hopeless(&self) -> bool {
        self.is_hopeless
    }

    /// Takes the faults so far.
    pub(super) fn faults(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.faults)
    }

    /// Checks and keeps the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<()> {
        if self.is_hopeless {
            return Ok(());
        }
        let written = self.file.write_all_at(bytes, self.end);
        written.with_context(|| keeping(&self.scratch))?;
        self.end += bytes.len() as u64;
        let mut rest = bytes;
        while let Some(at) = memchr(b'\n', rest) {
            let (line, after) = (&rest[..at], &rest[at + 1..]);
            rest = after;
            if self.partial.is_empty() {
                self.line(line);
            } else {
                self.extend(line);
                let mut whole = std::mem::take(&mut self.partial);
                self.line(&whole);
                whole.clear();
                self.partial = whole;
            }
            if self.is_hopeless {
                return Ok(());
            }
        }
        self.extend(rest);
        if self.partial.len() == MAX_LINE_BYTES {
            let long = std::mem::take(&mut self.partial);
            self.line(&long);
        }
        Ok(())
    }

    /// Adds to a line as much as suffices to see that it is too long.
    fn extend(&mut self, piece: &[u8]) {
        let most = MAX_LINE_BYTES - self.partial.len();
        self.partial
            .extend_from_slice(&piece[..piece.len().min(most)]);
    }

    fn line(&mut self, text: &[u8]) {
        let mut has_many_links = false;
        match self.check.line(text) {
            Ok(line) if matches!(line.node, ListedNode::Link(_)) => {
                self.link_bytes += text.len() as u64;
                has_many_links = self.link_bytes > MAX_LINK_LINES_BYTES;
            }
            Ok(_) => {}
            Err(faults) => self.faults.extend(faults.into_iter().map(fault)),
        }
        if has_many_links {
            let directory = &self.directory;
            let most = MAX_LINK_LINES_BYTES >> 20;
            let reason =
                format!("listing of {directory}: links have more than {most} MiB of lines");
            self.faults.push(Fault::Listing(reason));
        }
        self.is_hopeless = self.faults.len() >= MAX_LISTING_FAULTS
            || has_many_links
            || text.len() >= MAX_LINE_BYTES
            || self.check.is_over();
    }

    /// Adds the faults that are known only at the end.
    fn complete(&mut self) {
        if !self.faults.is_empty() {
            return;
        }
        if self.partial.is_empty() {
            let faults = self.check.finish();
            self.faults.extend(faults.into_iter().map(fault));
            return;
        }
        let directory = &self.directory;
        let reason = format!("listing of {directory}: its last line has no line feed");
        self.faults.push(Fault::Listing(reason));
    }
}

fn keeping(scratch: &Path) -> String {
    let scratch = scratch.display();
    format!("cannot keep a listing in a temporary file in {scratch}")
}

fn fault(fault: ManifestFault) -> Fault {
    match fault {
        ManifestFault::Malformed(reason) | ManifestFault::Version(reason) => Fault::Listing(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::{Failure, Kind},
        model::tree::FolderRecord,
    };

    const LINK: &str = "{\"path\":\"data/a\",\"kind\":\"link\",\"target\":\"b\"}\n";

    fn name(text: &str) -> EntryName {
        EntryName::new(text).expect("a good name")
    }

    fn listed(links: u64) -> ListedDirectory {
        let root = FolderRecord::default();
        let listed = ListedDirectory::new(&name("data"), root).expect("a short name");
        ListedDirectory { links, ..listed }
    }

    #[test]
    fn the_lines_of_links_of_all_listings_of_an_archive_are_bounded_together() {
        let scratch = tempfile::tempdir().expect("a folder");
        let mut store = ListingStore::new(scratch.path().to_owned());
        let mut read = |link_bytes: u64| {
            let (data, listed) = (name("data"), listed(1));
            store.link_bytes = link_bytes;
            let incoming = store.begin(&data, &listed, LINK.len() as u64);
            let mut incoming = incoming.expect("begun");
            incoming.take(LINK.as_bytes()).expect("written");
            let is_good = store.finish(&mut incoming).is_some();
            assert_eq!(incoming.is_hopeless(), !is_good);
            (is_good, store.link_bytes, incoming.faults())
        };
        let line = LINK.len() as u64 - 1;
        assert_eq!(read(0).1, line);
        let (is_good, bytes, _) = read(MAX_LINK_LINES_BYTES - line);
        assert!(is_good && bytes == MAX_LINK_LINES_BYTES);
        let (is_good, _, faults) = read(MAX_LINK_LINES_BYTES - line + 1);
        assert!(!is_good);
        let fault = faults.first().map(ToString::to_string).unwrap_or_default();
        assert!(fault.contains("links have more than 64 MiB"), "{fault}");
    }

    #[test]
    fn a_listing_for_which_there_is_no_room_is_refused_before_it_is_kept() {
        let scratch = tempfile::tempdir().expect("a folder");
        let mut store = ListingStore::new(scratch.path().to_owned());
        let begin = |store: &mut ListingStore, links: u64, bytes: u64| {
            let begun = store.begin(&name("data"), &listed(links), bytes);
            begun.map(drop).map_err(|error| Failure::of(&error))
        };
        let failure = begin(&mut store, u64::MAX, 1 << 60).expect_err("no room");
        assert_eq!(failure.kind, Kind::Space);
        let shown = scratch.path().display().to_string();
        assert!(
            failure.message.contains("the listing of data in"),
            "{failure}"
        );
        assert!(failure.message.contains(&shown), "{failure}");
        // A listing that was not good makes room for the next.
        let mut incoming = store.begin(&name("data"), &listed(0), 10).expect("room");
        incoming.take(b"no line\n").expect("written");
        assert!(store.finish(&mut incoming).is_none());
        let length =
            |store: &ListingStore| store.file.as_ref().and_then(|file| file.metadata().ok());
        let length = |store: &ListingStore| length(store).map(|found| found.len());
        assert_eq!(length(&store), Some(8));
        store.begin(&name("data"), &listed(0), 10).expect("room");
        assert_eq!(length(&store), Some(0));
        // What does not fit is kept in the spare folder, from there on.
        let spare = tempfile::tempdir().expect("a folder");
        let missing = scratch.path().join("missing");
        let folders = ScratchFolders::new(missing.clone(), Some(spare.path().to_owned()));
        let mut spared = ListingStore::new(folders.clone());
        let incoming = spared.begin(&name("data"), &listed(0), 10).expect("room");
        assert_eq!(incoming.scratch, spare.path());
        // If that has no room either, the first one is named.
        let mut neither = ListingStore::new(folders);
        let error = neither.begin(&name("data"), &listed(u64::MAX), 1 << 60);
        let error = format!("{:#}", error.map(drop).expect_err("no room"));
        assert!(error.contains(&missing.display().to_string()), "{error}");
        // So few lines end it long before, whatever its size is said to be.
        begin(&mut store, 3, 1 << 60).expect("room");
    }
}
