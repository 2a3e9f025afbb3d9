//! Single entries out of an archive, through its index: only the members that hold them are read.
//!
//! The digest of each selected entry is verified; the rest of the archive is not read. The place of an entry follows
//! from the manifest, and from the listings before it. If anything is not as it should be, [`select`] returns nothing,
//! and the archive has to be read through: that names the fault.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write as _},
};

use anyhow::{Context as _, Result};

use super::{
    Sink,
    contents::DirectoryContents,
    fault::fault_of,
    incoming::{IncomingListing, ListingStore},
    listing::Listing,
    members::{self, MemberTable, Members},
    scratch::ScratchFolders,
    tar::{
        layout::MemberPlaces,
        stream::{MemberKind, TarStream},
    },
};
use crate::model::{
    digest::Hashing,
    entry_name::EntryName,
    limits::{BUFFER_BYTES, TAR_OVERHEAD_BYTES},
    manifest::{FileRecord, Manifest},
};
use crate::work::ReadAt;

/// The root folder and manifest of an archive of which only a part was read.
#[derive(Debug)]
pub struct Selected {
    /// Its root folder.
    pub root: String,
    /// Its manifest.
    pub manifest: Manifest,
    /// The listings that were read.
    listings: BTreeMap<EntryName, Listing>,
}

impl Selected {
    pub(super) fn new(
        root: String,
        manifest: Manifest,
        listings: BTreeMap<EntryName, Listing>,
    ) -> Selected {
        Selected {
            root,
            manifest,
            listings,
        }
    }

    /// Returns the contents of the directory called `name` if all of it was selected.
    pub fn directory(&self, name: &EntryName) -> Option<DirectoryContents<'_>> {
        DirectoryContents::listed(&self.manifest, name, self.listings.get(name)?)
    }
}

/// Reads the manifest. `None` if the archive has to be read through for that.
pub fn select_manifest(source: &dyn ReadAt) -> Result<Option<Selected>> {
    let table = MemberTable::load(source).context("cannot read the index")?;
    let first = table.map(|table| members::manifest(&mut Members::new(source, &table)));
    let first = match first.transpose() {
        Err(error) if is_fault(&error) => None,
        first => first?.flatten(),
    };
    let selected = first.and_then(|(root, bytes)| {
        let manifest = Manifest::parse(&bytes).ok()?;
        let listings = BTreeMap::new();
        Some(Selected {
            root,
            manifest,
            listings,
        })
    });
    Ok(selected)
}

/// Passes the entries called `names`, or only the manifest if there are none, to `sink`. A directory that has a
/// listing is passed with all its files. Listings are kept in the folders `scratch`. `None` if the archive has to be
/// read through for that. If the manifest or a listing lacks a name, the sink has to report it.
pub fn select(
    source: &dyn ReadAt,
    names: &[EntryName],
    scratch: &ScratchFolders,
    sink: &mut dyn Sink,
) -> Result<Option<Selected>> {
    let is_faulty = |cause: &(dyn std::error::Error + 'static)| {
        let error = cause.downcast_ref::<io::Error>();
        error.is_some_and(is_fault)
    };
    match try_select(source, names, scratch, sink) {
        Err(error) if error.chain().any(is_faulty) => Ok(None),
        result => result,
    }
}

fn is_fault(error: &io::Error) -> bool {
    fault_of(error).is_some() || error.kind() == io::ErrorKind::UnexpectedEof
}

fn try_select(
    source: &dyn ReadAt,
    names: &[EntryName],
    scratch: &ScratchFolders,
    sink: &mut dyn Sink,
) -> Result<Option<Selected>> {
    let Some(table) = MemberTable::load(source).context("cannot read the index")? else {
        return Ok(None);
    };
    let mut members = Members::new(source, &table);
    let Some((root, bytes)) = members::manifest(&mut members)? else {
        return Ok(None);
    };
    let Ok(manifest) = Manifest::parse(&bytes) else {
        return Ok(None);
    };
    sink.begin(&manifest)?;
    let Ok(places) = MemberPlaces::new(&root, manifest.created_at, bytes.len() as u64) else {
        return Ok(None);
    };
    let Some(wanted) = Wanted::of(names, &manifest) else {
        return Ok(None);
    };
    let selection = Selection {
        members,
        buffer: vec![0; BUFFER_BYTES],
        root: &root,
        places,
        wanted,
        store: ListingStore::new(scratch.clone()),
        listings: BTreeMap::new(),
        sink,
    };
    let Some(listings) = selection.run(&manifest)? else {
        return Ok(None);
    };
    Ok(Some(Selected {
        root,
        manifest,
        listings,
    }))
}

/// The names of entries that are still to be found.
struct Wanted<'a> {
    /// Entries of the manifest.
    entries: BTreeSet<&'a EntryName>,
    /// Files of directories that have listings.
    files: BTreeSet<&'a EntryName>,
    /// Directories that have listings, and are wanted with all their files.
    directories: BTreeSet<&'a EntryName>,
}

impl<'a> Wanted<'a> {
    /// Sorts `names`; `None` if one of them is neither in the manifest nor may be in a listing.
    fn of(names: &'a [EntryName], manifest: &Manifest) -> Option<Wanted<'a>> {
        let mut wanted = Wanted {
            entries: BTreeSet::new(),
            files: BTreeSet::new(),
            directories: BTreeSet::new(),
        };
        for name in names {
            let first = name.as_str().split_once('/').map(|(first, _)| first);
            if manifest.files.contains_key(name) {
                wanted.entries.insert(name);
            } else if manifest.directories.contains_key(name) {
                wanted.directories.insert(name);
            } else if first.is_some_and(|first| manifest.directories.contains_key(first)) {
                wanted.files.insert(name);
            } else {
                return None;
            }
        }
        Some(wanted)
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.files.is_empty() && self.directories.is_empty()
    }
}

/// A passage over the places of an archive's entries, up to the last that is wanted.
struct Selection<'a> {
    members: Members<'a>,
    buffer: Vec<u8>,
    root: &'a str,
    places: MemberPlaces<'a>,
    wanted: Wanted<'a>,
    store: ListingStore,
    listings: BTreeMap<EntryName, Listing>,
    sink: &'a mut dyn Sink,
}

impl Selection<'_> {
    /// Passes the wanted entries to the sink, and returns the listings that were read; `None` if anything is not as it
    /// should be.
    fn run(mut self, manifest: &Manifest) -> Result<Option<BTreeMap<EntryName, Listing>>> {
        let directories = manifest.directories.iter();
        let directories = directories.map(|(name, listed)| (&listed.listing, (name, listed)));
        let directories: BTreeMap<&EntryName, _> = directories.collect();
        for (name, record) in &manifest.files {
            if self.wanted.is_empty() {
                break;
            }
            let Ok(place) = self.places.next(record).map(|place| place.header) else {
                return Ok(None);
            };
            let is_wanted = self.wanted.entries.remove(name);
            let Some((directory, listed)) = directories.get(name) else {
                if is_wanted && !self.give(name, record, place, None, true)? {
                    return Ok(None);
                }
                continue;
            };
            let mut incoming = self.store.begin(directory, listed, record.size)?;
            if !self.give(name, record, place, Some(&mut incoming), is_wanted)? {
                return Ok(None);
            }
            let Some(listing) = self.store.finish(&mut incoming) else {
                return Ok(None);
            };
            self.sink.listing(directory, &listing)?;
            if !self.files(directory, &listing)? {
                return Ok(None);
            }
            self.listings.insert((*directory).clone(), listing);
        }
        Ok(self.wanted.is_empty().then_some(self.listings))
    }

    /// Passes the wanted files of a directory; false if anything is not as it should be.
    fn files(&mut self, directory: &EntryName, listing: &Listing) -> Result<bool> {
        let is_whole = self.wanted.directories.remove(directory);
        for line in listing.lines() {
            if !is_whole && self.wanted.is_empty() {
                break;
            }
            let line = line?;
            let Some(record) = line.file() else {
                continue;
            };
            let Ok(place) = self.places.next(record).map(|place| place.header) else {
                return Ok(false);
            };
            let is_wanted = self.wanted.files.remove(&record.path) || is_whole;
            if is_wanted && !self.give(&record.path, record, place, None, true)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the entry whose header is at `place`, and passes it to the sink if it `is_wanted`. False if it is not what
    /// its record says.
    fn give(
        &mut self,
        name: &EntryName,
        record: &FileRecord,
        place: u64,
        mut incoming: Option<&mut IncomingListing>,
        is_wanted: bool,
    ) -> Result<bool> {
        // An entry whose mode is only in the tar is left to the reader.
        if is_wanted && record.mode.is_none() {
            return Ok(false);
        }
        let most = record.size.saturating_add(TAR_OVERHEAD_BYTES);
        self.members.seek(place);
        let mut tar = TarStream::new((&mut self.members).take(most));
        let is_it = tar.next_member()?.is_some_and(|member| {
            let inside = member.path.strip_prefix(self.root);
            member.what == MemberKind::File
                && inside.and_then(|inside| inside.strip_prefix('/')) == Some(record.path.as_str())
                && member.size == record.size
        });
        if !is_it {
            return Ok(false);
        }
        let out = match is_wanted {
            true => self.sink.entry(name, record)?,
            false => Box::new(io::sink()),
        };
        let mut hashing = Hashing::new(out);
        loop {
            let bytes = match tar.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => &self.buffer[..count],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            hashing
                .write_all(bytes)
                .with_context(|| format!("cannot write {name}"))?;
            if let Some(incoming) = &mut incoming {
                incoming.take(bytes)?;
            }
        }
        if hashing.finish() != (record.checksum, record.size) {
            return Ok(false);
        }
        if is_wanted {
            self.sink.end(name, record)?;
        }
        Ok(true)
    }
}
