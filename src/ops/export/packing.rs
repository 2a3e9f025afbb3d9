//! The files of directories that have listings, on their way into an archive.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use crate::{
    archive::{
        ahead::{FileContent, ListedFile},
        writer::ListedFiles,
    },
    context::Context,
    error::Failure,
    model::entry_name::EntryName,
    source::tree::StagedListing,
};

/// The files of the directories that have listings.
pub struct Packing<'a> {
    pub context: &'a Context,
    pub listings: &'a BTreeMap<EntryName, StagedListing>,
}

impl ListedFiles for Packing<'_> {
    fn files(&self, name: &EntryName) -> Result<Box<dyn Iterator<Item = Result<ListedFile>> + '_>> {
        let listing = self.listings.get(name);
        let listing = listing.context("a directory without a source")?;
        let boxed = |(record, content)| (record, Box::new(content) as Box<dyn FileContent>);
        Ok(Box::new(listing.files().map(move |file| file.map(boxed))))
    }

    fn packed(&self, files: u64, bytes: u64) -> Result<(), Failure> {
        self.context.events.advance_files(files, bytes);
        self.context.stop.check()
    }
}
