//! Receivers of the entries of an archive.

use std::io::{self, Write};

use anyhow::Result;

use super::listing::Listing;
use crate::model::{
    entry_name::EntryName,
    manifest::{FileRecord, Manifest},
};

/// The receiver of the entries while they are checked. Nothing that it receives may be used before
/// [`read`](super::read) has returned.
pub trait Sink {
    /// Begins: called once, with the manifest, before any entry.
    fn begin(&mut self, manifest: &Manifest) -> Result<()>;
    /// Returns a writer for the content of an entry.
    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>>;
    /// Takes the listing of a directory, which is complete and matches the manifest: called before the files of the
    /// directory come as entries.
    fn listing(&mut self, _directory: &EntryName, _listing: &Listing) -> Result<()> {
        Ok(())
    }
    /// Ends the last entry that was begun: called when its content is complete and matches the manifest.
    fn end(&mut self, _: &EntryName, _: &FileRecord) -> Result<()> {
        Ok(())
    }
}

/// A sink that keeps nothing.
pub struct Discard;

impl Sink for Discard {
    fn begin(&mut self, _: &Manifest) -> Result<()> {
        Ok(())
    }

    fn entry(&mut self, _: &EntryName, _: &FileRecord) -> Result<Box<dyn Write + '_>> {
        Ok(Box::new(io::sink()))
    }
}
