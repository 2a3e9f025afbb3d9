//! The room that an import needs, counted in blocks and inodes, before anything is unpacked.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::request::KeepStaging;
use crate::{
    archive::listing::Listing,
    disk::{
        mounts::{anchor, is_mount_point},
        survey,
    },
    model::{
        entry_name::EntryName,
        manifest::{FileRecord, ListedDirectory, ListedNode},
        tree::Tree,
    },
    work::space::NewFiles,
};

/// The new files of an import on each file system: where they are unpacked, and where they replace others.
pub struct Rooms {
    /// The place of everything that is unpacked.
    home: NewFiles,
    /// On the file system where it is unpacked a file is moved; on another one it needs room as well.
    others: Vec<(PathBuf, NewFiles)>,
    /// The places in `others` of the targets that lie there.
    places: BTreeMap<EntryName, usize>,
    /// The directories whose listings have not come yet.
    awaited: BTreeMap<EntryName, ListedDirectory>,
    /// The unpacked files are copied if they are kept.
    keep: KeepStaging,
}

impl Rooms {
    /// Returns rooms without files. The archive is unpacked at `home`, and put at `targets`.
    pub fn new(
        home: &Path,
        targets: &BTreeMap<EntryName, PathBuf>,
        keep: KeepStaging,
    ) -> Result<Rooms> {
        let mut rooms = Rooms {
            keep,
            home: NewFiles::at(home)?,
            others: Vec::new(),
            places: BTreeMap::new(),
            awaited: BTreeMap::new(),
        };
        // The folder in which it is unpacked.
        rooms.home.add(1, 0);
        let apart = targets.iter();
        for (name, target) in apart.filter(|(_, target)| !survey::share_file_system(target, home)) {
            let anchor = anchor(target);
            let mut others = rooms.others.iter();
            let known = others.position(|(other, _)| survey::share_file_system(other, &anchor));
            let place = match known {
                Some(place) => place,
                None => {
                    let files = NewFiles::at(&anchor)?;
                    rooms.others.push((anchor, files));
                    rooms.others.len() - 1
                }
            };
            rooms.places.insert(name.clone(), place);
        }
        Ok(rooms)
    }

    /// Adds a file of the source called `source`. Free pages of a database are holes where it is unpacked.
    pub fn add_file(&mut self, source: &EntryName, record: &FileRecord) {
        self.home.add_file(record.stored_bytes());
        if let Some(copies) = self.copies(source) {
            copies.add_file(record.size);
        }
    }

    /// Adds the folders and links of the directory called `name`, whose files are in the manifest.
    pub fn add_tree(&mut self, name: &EntryName, target: &Path, tree: &Tree) {
        if self.copies(name).is_some() {
            let staged = tree.folders.len() as u64 + 1;
            (0..staged).for_each(|_| self.home.add_folder());
        }
        let files = self.at_target(name);
        if !is_mount_point(target) {
            files.add_folder();
        }
        tree.folders.iter().for_each(|_| files.add_folder());
        let links = tree.links.values();
        links.for_each(|link| files.add_link(&link.target));
    }

    /// Adds a directory of which only the sums are known before its [listing](Rooms::add_listing) comes.
    pub fn await_listing(&mut self, name: &EntryName, target: &Path, listed: &ListedDirectory) {
        self.home.add(listed.files, listed.bytes);
        if let Some(copies) = self.copies(name) {
            copies.add(listed.files, listed.bytes);
            self.home.add_folder();
            self.home.add(listed.folders, 0);
        }
        let apart = listed.folders.saturating_add(listed.links);
        let files = self.at_target(name);
        files.add(apart, 0);
        if !is_mount_point(target) {
            files.add_folder();
        }
        self.awaited.insert(name.clone(), listed.clone());
    }

    /// Counts what the listing of the directory called `name` has instead of the sums. Fails if it does not fit.
    pub fn add_listing(&mut self, name: &EntryName, listing: &Listing) -> Result<()> {
        let Some(listed) = self.awaited.remove(name) else {
            return Ok(());
        };
        let apart = listed.folders.saturating_add(listed.links);
        // Each at most twice on one file system.
        let most = listed.lines().saturating_mul(2);
        // The lines of a million files take a second.
        let is_roomy = self.home.is_roomy(most)
            && self.copies(name).is_none_or(|copies| copies.is_roomy(most));
        if is_roomy {
            return self.require();
        }
        self.home.subtract(listed.files, listed.bytes);
        if let Some(copies) = self.copies(name) {
            copies.subtract(listed.files, listed.bytes);
            self.home.subtract(listed.folders, 0);
        }
        let is_copied = self.copies(name).is_some();
        self.at_target(name).subtract(apart, 0);
        for line in listing.lines() {
            match line?.node {
                ListedNode::File(record) => self.add_file(name, &record),
                ListedNode::Folder(_) => {
                    if is_copied {
                        self.home.add_folder();
                    }
                    self.at_target(name).add_folder();
                }
                ListedNode::Link(link) => self.at_target(name).add_link(&link.target),
            }
        }
        self.require()
    }

    /// Fails if what was added does not fit.
    pub fn require(&self) -> Result<()> {
        self.home.require("the unpacked archive")?;
        for (_, other) in &self.others {
            other.require("the new files")?;
        }
        Ok(())
    }

    /// Returns the new files where those of a source are copied to; `None` if the unpacked ones are moved.
    fn copies(&mut self, source: &EntryName) -> Option<&mut NewFiles> {
        let is_apart = self.places.contains_key(source);
        (is_apart || self.keep == KeepStaging::Yes).then(|| self.at_target(source))
    }

    /// Returns the new files where the target of a source lies.
    fn at_target(&mut self, source: &EntryName) -> &mut NewFiles {
        let place = self.places.get(source);
        match place.and_then(|place| self.others.get_mut(*place)) {
            Some((_, files)) => files,
            None => &mut self.home,
        }
    }
}
