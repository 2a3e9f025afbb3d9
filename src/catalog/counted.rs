//! The progress of an archive's reading by files, for archives with directories of many files.

use std::io::Write;

use anyhow::Result;

use crate::{
    archive::{Sink, listing::Listing},
    model::{
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
    },
    work::events::Events,
};

/// A sink that passes everything on and tells how many files came.
pub struct Counted<'a> {
    inner: &'a mut dyn Sink,
    events: &'a Events,
    is_told: bool,
    files: u64,
}

impl<'a> Counted<'a> {
    /// Returns a sink over `inner`.
    pub fn new(inner: &'a mut dyn Sink, events: &'a Events) -> Counted<'a> {
        Counted {
            inner,
            events,
            is_told: false,
            files: 0,
        }
    }
}

impl Sink for Counted<'_> {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        self.is_told = !manifest.directories.is_empty();
        self.inner.begin(manifest)
    }

    fn listing(&mut self, directory: &EntryName, listing: &Listing) -> Result<()> {
        self.inner.listing(directory, listing)
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        self.inner.entry(name, record)
    }

    fn end(&mut self, name: &EntryName, record: &FileRecord) -> Result<()> {
        self.files += 1;
        if self.is_told {
            self.events.count_one(self.files);
        }
        self.inner.end(name, record)
    }
}
