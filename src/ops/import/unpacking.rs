//! The unpacking of an archive into staging.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{selection::Selection, targets::Targets};
use crate::{
    archive::Sink,
    config::{Settings, sources::CONFIG},
    disk::{
        mounts::{anchor, is_mount_point},
        space,
        staging::Staging,
        survey,
        transaction::journal::Journal,
        tree::unpack::Unpacking,
    },
    machine::contents,
    model::{
        entry_name::EntryName,
        limits::MAX_CONFIG_BYTES,
        manifest::{FileRecord, Manifest},
    },
};

/// The unpacking of the requested entries that have a target into staging; the rest is only verified.
pub struct Unpack<'a> {
    pub settings: &'a Settings,
    /// The folders that may hold it, in order of preference.
    pub places: &'a [PathBuf],
    /// The folder that holds it, once its size is known.
    pub staging: Option<Staging>,
    pub bytes: u64,
    pub home: &'a Path,
    pub selection: &'a Selection,
    pub targets: &'a Targets,
    pub unpacking: Unpacking,
}

impl Unpack<'_> {
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
    fn require_files(&self, manifest: &Manifest) -> Result<()> {
        let files = manifest.files.iter();
        let files = files.filter(|(name, _)| self.selection.has(name) && self.has_place(name));
        if let Some((name, record)) = files.max_by_key(|(_, record)| record.size) {
            space::require_file(record.size, &format!("{name} of the archive"))?;
        }
        let mut targets: Vec<PathBuf> = Vec::new();
        for (name, target) in &self.targets.paths {
            targets.push(target.clone());
            if manifest.trees.contains_key(name) && is_mount_point(target) {
                // Each of its children is a step.
                let prefix = format!("{name}/");
                let below = manifest.files.keys();
                let below = below.filter_map(|entry| entry.as_str().strip_prefix(&prefix));
                let children: BTreeSet<&str> =
                    below.filter_map(|rest| rest.split('/').next()).collect();
                targets.extend(children.iter().map(|child| target.join(child)));
            }
        }
        let bytes = Journal::bytes_for(targets.iter().map(PathBuf::as_path));
        space::require_file(bytes, "the journal of the import")
    }
}

impl Sink for Unpack<'_> {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        self.selection.check(self.settings, manifest)?;
        contents::check_sizes(self.settings, manifest, |name| self.selection.has(name))?;
        let wanted = manifest
            .files
            .iter()
            .filter(|(name, _)| self.selection.has(name));
        self.require_files(manifest)?;
        // A directory is one target of many entries. Free pages of a database are holes where it is unpacked.
        let mut placed: BTreeMap<&PathBuf, u64> = BTreeMap::new();
        let mut total = 0u64;
        for (name, record) in wanted {
            let source = self.settings.source_of(name);
            let target = source.and_then(|source| self.targets.paths.get(&source.name));
            if let Some(target) = target {
                let bytes = placed.entry(target).or_default();
                *bytes = bytes.saturating_add(record.size);
                total = total.saturating_add(record.stored_bytes());
            }
        }
        let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0u64, u64::saturating_add);
        self.bytes = total;
        self.staging = Some(Staging::with_room(
            self.places,
            total,
            "the unpacked archive",
        )?);
        // A rehearsal stages elsewhere, and still tells whether there would be room.
        space::require(self.home, total, "the unpacked archive")?;
        // On the file system where it is staged a file is moved; on another one it needs room as well.
        for target in placed
            .keys()
            .filter(|target| !survey::share_file_system(target, self.home))
        {
            let beside = placed
                .iter()
                .filter(|(other, _)| anchor(other) == anchor(target));
            space::require(
                &anchor(target),
                sum(&mut beside.map(|(_, bytes)| *bytes)),
                "the new files",
            )?;
        }
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        // A machine without a configuration asks the archive's own, whatever was asked for.
        let is_asked = !self.settings.is_described
            && name.as_str() == CONFIG
            && record.size <= MAX_CONFIG_BYTES;
        if !(is_asked || self.selection.has(name) && self.has_place(name)) {
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

    fn end(&mut self, name: &EntryName, record: &FileRecord) -> Result<()> {
        self.unpacking.end(name, record)
    }
}
