//! A directory that was read.

use anyhow::Result;

use super::listed::StagedListing;
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
    /// All other entries; if there is a listing, only the top folder.
    pub tree: Tree,
    /// The listing, if there are many files.
    pub listing: Option<StagedListing>,
    /// The databases among the files, with their records.
    pub databases: Vec<(EntryName, FileRecord)>,
    /// Links that lead out of the directory.
    pub outside: Vec<String>,
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
    /// Files and folders whose extended attributes are too long for a listing: the archive does not have them.
    pub stripped: Vec<String>,
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
}
