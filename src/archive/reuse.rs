//! Members of an earlier archive that a new one may reuse: compressing an unchanged block again would give the same
//! bytes.
//!
//! A block is searched at the position where the same entry had it before. Both archives have their entries in the same
//! order, so that the earlier one is passed once, and no table of its entries is needed. A block is reused if the earlier member states
//! its length and CRC-32. The earlier archive must also state that the same hookshot made it at the same level: then
//! the result is the same as that of compressing. If the earlier archive is wrong or damaged, the new one does not
//! match its manifest. So no reused block counts before the new archive is read back and every digest compared.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, VecDeque, btree_map},
    io::{BufRead as _, BufReader, Read as _, Take},
    sync::Arc,
};

use semver::Version;

use super::{
    gzip::candidate::Candidate,
    members::{self, MemberTable, Members},
    tar::{
        layout::{EntryOffsets, MemberPlaces},
        stream::TarStream,
    },
};
use crate::model::{
    entry_name::EntryName,
    limits::{BUFFER_BYTES, MAX_LINE_BYTES, MEMBER_BYTES, TAR_OVERHEAD_BYTES},
    manifest::{FileRecord, LineReader, Manifest},
    relative::{RelativeName, by_component},
    tree::relative_of,
};
use crate::work::ReadAt;

/// An archive whose members may be reused.
pub struct Earlier {
    source: Arc<dyn ReadAt + Send + Sync>,
    members: MemberTable,
    root: String,
    manifest: Manifest,
    manifest_bytes: u64,
}

impl Earlier {
    /// Opens an earlier archive; `None` if nothing of it can be reused: it has no index, was not made by the hookshot
    /// of this `version`, or was compressed with another method.
    pub fn open(
        source: Arc<dyn ReadAt + Send + Sync>,
        version: &Version,
        compression: &str,
    ) -> Option<Earlier> {
        let members = MemberTable::load(&*source).ok()??;
        let (root, bytes) = members::manifest(&mut Members::new(&*source, &members)).ok()??;
        let manifest = Manifest::parse(&bytes).ok()?;
        if manifest.compression.as_deref() != Some(compression)
            || manifest.hookshot_version != *version
        {
            return None;
        }
        Some(Earlier {
            source,
            members,
            root,
            manifest,
            manifest_bytes: bytes.len() as u64,
        })
    }

    /// Returns its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns its large entries from the first on; `None` if their places cannot be told.
    pub(super) fn entries(&self) -> Option<EarlierEntries<'_>> {
        let created_at = self.manifest.created_at;
        let directories = self.manifest.directories.iter();
        let directories = directories.map(|(name, listed)| (&listed.listing, name));
        Some(EarlierEntries {
            earlier: self,
            places: MemberPlaces::new(&self.root, created_at, self.manifest_bytes).ok()?,
            files: self.manifest.files.iter(),
            directories: directories.collect(),
            listing: None,
            next: None,
        })
    }
}

/// The position of an entry in the order of an archive: that of the manifest, with the files of a directory right after
/// its listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// The entry in the manifest; of a file with a line in a listing that of the listing.
    entry: EntryName,
    /// The path of such a file below its directory.
    below: Option<RelativeName>,
}

impl Position {
    /// Returns the position of an entry in the manifest.
    pub(super) fn of_entry(name: &EntryName) -> Position {
        Position {
            entry: name.clone(),
            below: None,
        }
    }

    /// Returns the position of a file with a line in `listing`, which is that of `directory`.
    pub(super) fn of_file(
        listing: &EntryName,
        directory: &EntryName,
        record: &FileRecord,
    ) -> Option<Position> {
        let key = record.path.as_str().strip_prefix(directory.as_str())?;
        let below = relative_of(key.strip_prefix('/')?, record, directory).ok()?;
        Some(Position {
            entry: listing.clone(),
            below: Some(below),
        })
    }
}

impl Ord for Position {
    fn cmp(&self, other: &Position) -> Ordering {
        let below = match (&self.below, &other.below) {
            (Some(one), Some(other)) => by_component(one.as_bytes(), other.as_bytes()),
            (one, other) => one.is_some().cmp(&other.is_some()),
        };
        self.entry.cmp(&other.entry).then(below)
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Position) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// An entry that has members of its own.
struct LargeEntry {
    position: Position,
    /// The beginning of its content, in the inflated content.
    content: u64,
    size: u64,
}

/// The large entries of an earlier archive, one after the other. Nothing of it is verified: at a fault it ends.
pub(super) struct EarlierEntries<'a> {
    earlier: &'a Earlier,
    places: MemberPlaces<'a>,
    files: btree_map::Iter<'a, EntryName, FileRecord>,
    /// The directories that have listings, by the names of these.
    directories: BTreeMap<&'a EntryName, &'a EntryName>,
    /// The listing whose lines are read.
    listing: Option<EarlierListing<'a>>,
    /// The next large entry.
    next: Option<LargeEntry>,
}

impl EarlierEntries<'_> {
    /// Returns for each block of an entry, from its beginning, the member that may hold it. Entries are asked for in
    /// their order: one whose place was passed has none. A directory that has a listing in one of the two archives only
    /// is passed so.
    pub(super) fn blocks(
        &mut self,
        position: &Position,
        record: &FileRecord,
    ) -> VecDeque<Option<Candidate>> {
        let Some(found) = self.find(position) else {
            return VecDeque::new();
        };
        let MemberTable { sizes, starts } = &self.earlier.members;
        let first = starts.binary_search_by_key(&found.content, |(_, inflated)| *inflated);
        let count = record.size.min(found.size) / MEMBER_BYTES as u64;
        let blocks = first.map_or(0..0, |first| {
            first..sizes.len().min(first.saturating_add(count as usize))
        });
        let candidate = |number: usize| {
            let size = sizes[number];
            (size.inflated as usize == MEMBER_BYTES).then(|| Candidate {
                source: self.earlier.source.clone(),
                offset: starts[number].0,
                size: size.packed as usize,
            })
        };
        blocks.map(candidate).collect()
    }

    fn find(&mut self, position: &Position) -> Option<LargeEntry> {
        loop {
            let next = match self.next.take() {
                Some(next) => next,
                None => self.read_next()?,
            };
            match next.position.cmp(position) {
                Ordering::Less => {}
                Ordering::Equal => return Some(next),
                Ordering::Greater => {
                    self.next = Some(next);
                    return None;
                }
            }
        }
    }

    /// Reads up to the next large entry; `None` at the end, or at a fault.
    fn read_next(&mut self) -> Option<LargeEntry> {
        loop {
            let Some(listing) = &mut self.listing else {
                let (name, record) = self.files.next()?;
                let place = self.places.next(record).ok().or_else(|| self.give_up())?;
                if let Some(directory) = self.directories.get(name) {
                    let listing =
                        EarlierListing::open(self.earlier, name, directory, record, place);
                    self.listing = Some(listing.or_else(|| self.give_up())?);
                }
                if record.size > MEMBER_BYTES as u64 {
                    return Some(LargeEntry {
                        position: Position::of_entry(name),
                        content: place.content,
                        size: record.size,
                    });
                }
                continue;
            };
            match listing.next(&mut self.places) {
                Some(large) => return Some(large),
                None if listing.is_over => self.listing = None,
                None => return self.give_up(),
            }
        }
    }

    /// Ends at a fault: what comes after it is not known.
    fn give_up<T>(&mut self) -> Option<T> {
        self.listing = None;
        self.files = btree_map::Iter::default();
        None
    }
}

/// The lines of a listing of an earlier archive.
struct EarlierListing<'a> {
    name: &'a EntryName,
    text: BufReader<TarStream<Take<Members<'a>>>>,
    reader: LineReader,
    line: Vec<u8>,
    /// True if the last line was read.
    is_over: bool,
}

impl<'a> EarlierListing<'a> {
    /// Opens the entry called `name`, which is the listing of `directory`; `None` if it is not at its place.
    fn open(
        earlier: &'a Earlier,
        name: &'a EntryName,
        directory: &EntryName,
        record: &FileRecord,
        place: EntryOffsets,
    ) -> Option<EarlierListing<'a>> {
        let mut members = Members::new(&*earlier.source, &earlier.members);
        members.seek(place.header);
        let most = record.size.saturating_add(TAR_OVERHEAD_BYTES);
        let mut tar = TarStream::new(members.take(most));
        let member = tar.next_member().ok()??;
        let is_it = member.size == record.size && member.path.ends_with(name.as_str());
        is_it.then(|| EarlierListing {
            name,
            text: BufReader::with_capacity(BUFFER_BYTES, tar),
            reader: LineReader::new(directory.clone()),
            line: Vec::new(),
            is_over: false,
        })
    }

    /// Reads up to the next large file; `None` at the end, or at a fault.
    fn next(&mut self, places: &mut MemberPlaces<'_>) -> Option<LargeEntry> {
        loop {
            self.line.clear();
            let mut longest = (&mut self.text).take(MAX_LINE_BYTES as u64);
            if longest.read_until(b'\n', &mut self.line).ok()? == 0 {
                self.is_over = true;
                return None;
            }
            let line = self.reader.read(self.line.strip_suffix(b"\n")?, 1).ok()?;
            let Some(record) = line.file() else {
                continue;
            };
            let content = places.next(record).ok()?.content;
            if record.size > MEMBER_BYTES as u64 {
                let size = record.size;
                let position = Position {
                    entry: self.name.clone(),
                    below: Some(line.name),
                };
                return Some(LargeEntry {
                    position,
                    content,
                    size,
                });
            }
        }
    }
}
