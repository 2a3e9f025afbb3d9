//! A directory that was read.

use std::{path::Path, sync::Arc};

use anyhow::Result;

use super::{
    content::OpenDirectory,
    listed::{ListingSpool, StagedListing},
};
use crate::{
    model::{
        entry_name::EntryName,
        manifest::{FileRecord, ListingLine},
        tree::Tree,
    },
    source::staged::StagedContent,
};

/// A directory that is ready for the archive.
pub struct StagedTree {
    /// The files' records in the manifest, in the order of their names; none if there is a listing.
    pub records: Vec<(EntryName, FileRecord)>,
    /// The contents, in the same order.
    pub contents: Vec<(EntryName, StagedContent)>,
    /// All other entries; if there is a listing, only the top folder and the links.
    pub tree: Tree,
    /// The listing, if there are many files.
    pub listing: Option<StagedListing>,
    /// The databases among the files, with their records.
    pub databases: Vec<(EntryName, FileRecord)>,
    /// Files that no archive holds: sockets, fifos, devices.
    pub special: Vec<String>,
    /// Files of hookshot's own, which are left out as well.
    pub own: Vec<String>,
    /// Files that were gone before they were read.
    pub vanished: Vec<String>,
    /// Files that changed each time they were read: the archive has them as they were read last, which may be no state
    /// that they ever had.
    pub torn: Vec<EntryName>,
    /// Files that begin like databases and of which no consistent copy could be made, and why: the archive has them as
    /// plain files.
    pub unproven: Vec<(EntryName, String)>,
    /// The directory itself, open.
    pub(super) origin: Arc<OpenDirectory>,
}

impl StagedTree {
    /// Returns the records of files, folders and links of the directory called `name`, in the order of a listing.
    pub fn lines(&self, name: &EntryName) -> Result<Box<dyn Iterator<Item = Result<ListingLine>>>> {
        if let Some(listing) = &self.listing {
            return Ok(Box::new(listing.lines()));
        }
        let lines = self.sorted(name)?.into_iter();
        Ok(Box::new(lines.map(Ok)))
    }

    fn sorted(&self, name: &EntryName) -> Result<Vec<ListingLine>> {
        let below = name.as_str().len() + 1;
        let files = self.records.iter();
        let files = files.map(|(entry, record)| (&entry.as_str()[below..], record));
        self.tree.lines(name, files).map_err(anyhow::Error::msg)
    }

    /// Returns true if it has more files, or more folders and links, than `most`.
    pub(super) fn is_large(&self, most: u64) -> bool {
        let others = self.tree.folders.len() + self.tree.links.len();
        self.records.len().max(others) as u64 > most
    }

    /// Moves the records and contents to a listing in the folder `scratch`.
    pub(super) fn list(mut self, name: &EntryName, scratch: &Path) -> Result<StagedTree> {
        let lines = self.sorted(name)?;
        let mut spool = ListingSpool::create(name, self.tree.root.clone(), scratch)?;
        self.records.clear();
        let contents = std::mem::take(&mut self.contents).into_iter();
        let mut contents: std::collections::BTreeMap<_, _> = contents.collect();
        for line in lines {
            let content = line.file().and_then(|file| contents.remove(&file.path));
            spool.push(&line, content)?;
        }
        self.tree.folders.clear();
        self.listing = Some(spool.finish(self.origin.clone())?);
        Ok(self)
    }
}

/// Returns true if a line is that of a database.
pub fn is_database(record: &FileRecord) -> bool {
    record.kind.as_deref().is_some_and(|kind| kind != "file")
}
