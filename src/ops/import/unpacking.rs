//! The unpacking of an archive into staging.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io::{self, Write},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    children::{MAX_CHILDREN, first_names},
    request::KeepStaging,
    room::Rooms,
    selection::Selection,
    targets::Targets,
};
use crate::{
    archive::{Sink, contents::DirectoryContents, listing::Listing},
    config::{Settings, sources::CONFIG},
    disk::{
        mounts::{anchor, is_mount_point},
        staging::Staging,
        survey,
        transaction::journal::Journal,
        tree::unpack::Unpacking,
    },
    machine::contents,
    model::{
        entry_name::EntryName,
        limits::MAX_CONFIG_BYTES,
        manifest::{FileRecord, ListingLine, Manifest},
    },
    work::space,
};

/// The unpacking of the requested entries that have a target into staging; the rest is only verified.
pub struct Unpack<'a> {
    /// The files of directories. It goes before the folder in which threads make them.
    pub unpacking: Unpacking,
    pub settings: &'a Settings,
    /// The folders that may hold it, in order of preference.
    pub places: &'a [PathBuf],
    /// The folder that holds it, once its size is known.
    pub staging: Option<Staging>,
    pub bytes: u64,
    /// The room that the files take, once the manifest is known.
    pub rooms: Option<Rooms>,
    pub home: &'a Path,
    pub selection: &'a Selection,
    pub targets: &'a Targets,
    /// The fate of the unpacked files once they are in place.
    pub keep: KeepStaging,
    /// True if nothing is put in place: files of directories, but for databases, are verified and not unpacked.
    pub is_rehearsed: bool,
    /// The listings among the entries.
    pub listings: BTreeSet<EntryName>,
    /// The size of the largest file so far.
    pub largest: u64,
    /// The paths of the journal's steps, as far as they are known.
    pub steps: Vec<PathBuf>,
}

impl Unpack<'_> {
    /// Returns true if a file is verified and not unpacked. Nothing needs its content in a rehearsal: the record tells
    /// whether it changes, and removing a million new files slows the import down that follows.
    fn is_passed_over(&self, name: &EntryName, record: &FileRecord) -> bool {
        let is_apart = || {
            self.settings
                .sources
                .iter()
                .any(|source| source.name == *name)
        };
        let is_below = name.as_str().contains('/');
        self.is_rehearsed && is_below && record.engine().is_none() && !is_apart()
    }

    /// Sets the attributes of files of directories while they are unpacked, if the staged files themselves are moved
    /// into place.
    pub fn finish_directories(&mut self) {
        let sources = self.settings.sources.iter();
        for source in sources.filter(|source| source.is_directory()) {
            let target = self.targets.paths.get(&source.name);
            let is_moved =
                |target: &&PathBuf| survey::share_file_system(&anchor(target), self.home);
            if let Some(target) = target.filter(is_moved) {
                self.unpacking.add(source.name.clone(), target.clone());
            }
        }
    }

    /// Returns true if something of an entry is written here.
    fn has_place(&self, name: &EntryName) -> bool {
        let source = self.settings.source_of(name);
        source.is_some_and(|source| {
            let is_fed = source.kind.is_command();
            is_fed || self.targets.paths.contains_key(&source.name)
        })
    }

    /// Makes sure that this process may write files as large as the largest entry and the journal.
    fn require_files(&mut self, manifest: &Manifest) -> Result<()> {
        let files = manifest.files.iter();
        let files = files.filter(|(name, _)| self.is_wanted(name));
        if let Some((name, record)) = files.max_by_key(|(_, record)| record.size) {
            self.require_file(name, record)?;
        }
        let mut targets: Vec<PathBuf> = Vec::new();
        for (name, target) in &self.targets.paths {
            targets.push(target.clone());
            // Each child of a mount point is a step.
            if is_mount_point(target)
                && let Some(contents) = DirectoryContents::in_manifest(manifest, name)
            {
                add_children(contents.lines()?, target, &mut targets)?;
            }
        }
        self.steps = targets;
        self.require_journal()
    }

    /// Makes sure that this process may write a journal of all steps.
    fn require_journal(&self) -> Result<()> {
        let bytes = Journal::bytes_for(self.steps.iter().map(PathBuf::as_path));
        space::require_file(bytes, "the journal of the import")
    }

    /// Returns true if an entry of the manifest is unpacked.
    fn is_wanted(&self, name: &EntryName) -> bool {
        self.selection.has(name) && !self.listings.contains(name) && self.has_place(name)
    }

    /// Makes sure that this process may write a file as large as this one.
    fn require_file(&mut self, name: &EntryName, record: &FileRecord) -> Result<()> {
        if record.size > self.largest {
            self.largest = record.size;
            space::require_file(record.size, &format!("{name} of the archive"))?;
        }
        Ok(())
    }
}

impl Sink for Unpack<'_> {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        let directories = manifest.directories.values();
        self.listings = directories.map(|listed| listed.listing.clone()).collect();
        self.selection.check(self.settings, manifest)?;
        contents::check_sizes(self.settings, manifest, |name| self.selection.has(name))?;
        self.require_files(manifest)?;
        let (mut total, mut staged) = (0u64, 0u64);
        let mut rooms = Rooms::new(self.home, &self.targets.paths, self.keep)?;
        for (name, record) in &manifest.files {
            let source = self.settings.source_of(name).map(|source| &source.name);
            let source = source.filter(|source| self.targets.paths.contains_key(*source));
            let Some(source) = source.filter(|_| self.is_wanted(name)) else {
                continue;
            };
            rooms.add_file(source, record);
            total = total.saturating_add(record.stored_bytes());
            if !self.is_passed_over(name, record) {
                staged = staged.saturating_add(record.stored_bytes());
            }
        }
        for (name, target) in &self.targets.paths {
            if let Some(tree) = manifest.trees.get(name) {
                rooms.add_tree(name, target, tree);
            }
            if let Some(listed) = manifest.directories.get(name) {
                rooms.await_listing(name, target, listed);
                total = total.saturating_add(listed.bytes);
                // The databases of a listed directory are unpacked in a rehearsal as well, and not known yet.
                staged = staged.saturating_add(listed.bytes);
            }
        }
        self.bytes = total;
        // A rehearsal stages elsewhere, and still tells whether there would be room.
        rooms.require()?;
        self.rooms = Some(rooms);
        self.staging = Some(Staging::with_room(
            self.places,
            staged,
            "the unpacked archive",
        )?);
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        // A machine without a configuration asks the archive's own, whatever was asked for.
        let is_asked = !self.settings.is_described
            && name.as_str() == CONFIG
            && record.size <= MAX_CONFIG_BYTES;
        if !(is_asked || self.is_wanted(name)) {
            return Ok(Box::new(io::sink()));
        }
        self.require_file(name, record)?;
        if self.is_passed_over(name, record) {
            return Ok(Box::new(io::sink()));
        }
        let staging = self
            .staging
            .as_ref()
            .context("an entry before the manifest")?;
        match self.unpacking.begin(staging, name, record)? {
            Some(writer) => Ok(writer),
            None if record.leaves_holes() => staging.sparse_writer(name, record.size),
            None => staging.writer(name),
        }
    }

    fn listing(&mut self, directory: &EntryName, listing: &Listing) -> Result<()> {
        let Some(target) = self.targets.paths.get(directory) else {
            return Ok(());
        };
        if is_mount_point(target) {
            add_children(listing.lines(), target, &mut self.steps)?;
            self.require_journal()?;
        }
        match &mut self.rooms {
            Some(rooms) => rooms.add_listing(directory, listing),
            None => Ok(()),
        }
    }

    fn end(&mut self, name: &EntryName, record: &FileRecord) -> Result<()> {
        self.unpacking.end(name, record)
    }
}

/// Adds the paths of a mount point's children, unless there are too many for an import.
fn add_children(
    lines: impl Iterator<Item = Result<ListingLine>>,
    target: &Path,
    steps: &mut Vec<PathBuf>,
) -> Result<()> {
    for name in first_names(lines).take(MAX_CHILDREN) {
        steps.push(target.join(OsStr::from_bytes(&name?)));
    }
    Ok(())
}
