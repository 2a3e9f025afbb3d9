//! The symbolic links of a directory of an archive whose records are in a listing.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    sync::Arc,
};

use anyhow::{Context as _, Result};

use super::input::ArchiveInput;
use crate::{
    archive::{Sink, contents::DirectoryContents, listing::Listing},
    context::Context,
    error::{Failure, Kind},
    model::{
        entry_name::EntryName,
        limits::BUFFER_BYTES,
        manifest::{FileRecord, Manifest},
        tree::Tree,
    },
};

impl ArchiveInput {
    /// Returns the top folder and the links of the directory called `name`, whose records are in a listing. Of a large
    /// archive only the listing is read, through the index.
    pub fn listed_links(
        &self,
        context: &Context,
        manifest: &Manifest,
        name: &EntryName,
    ) -> Result<Tree> {
        let lacking = || Failure::new(Kind::Refused, format!("{name} has no listing"));
        let listed = manifest.directories.get(name).ok_or_else(lacking)?;
        let names = std::slice::from_ref(&listed.listing);
        let mut taken = Taken::new(context, name, &listed.listing)?;
        if self
            .select(context, names, "reading", &mut taken)?
            .is_none()
        {
            taken = Taken::new(context, name, &listed.listing)?;
            self.read(context, "reading", &mut taken)?;
        }
        let listing = taken.finish()?;
        let contents = DirectoryContents::listed(manifest, name, &listing).ok_or_else(lacking)?;
        contents.top()
    }
}

/// A sink that takes one listing.
struct Taken<'a> {
    directory: &'a EntryName,
    entry: &'a EntryName,
    proven: Option<Listing>,
    /// The listing as an entry of which only the digest was compared.
    copy: BufWriter<File>,
    bytes: u64,
}

impl Taken<'_> {
    fn new<'a>(
        context: &Context,
        directory: &'a EntryName,
        entry: &'a EntryName,
    ) -> Result<Taken<'a>> {
        let scratch = context.scratch.display();
        let copy = tempfile::tempfile_in(&context.scratch)
            .with_context(|| format!("cannot make a temporary file in {scratch}"))?;
        Ok(Taken {
            directory,
            entry,
            proven: None,
            copy: BufWriter::with_capacity(BUFFER_BYTES, copy),
            bytes: 0,
        })
    }

    fn finish(self) -> Result<Listing> {
        if let Some(listing) = self.proven {
            return Ok(listing);
        }
        let copy = self
            .copy
            .into_inner()
            .map_err(io::IntoInnerError::into_error);
        let copy = copy.context("cannot keep a listing in the temporary folder")?;
        let directory = self.directory.clone();
        Ok(Listing::new(directory, Arc::new(copy), 0, self.bytes))
    }
}

impl Sink for Taken<'_> {
    fn begin(&mut self, _: &Manifest) -> Result<()> {
        Ok(())
    }

    fn listing(&mut self, directory: &EntryName, listing: &Listing) -> Result<()> {
        if directory == self.directory {
            self.proven = Some(listing.clone());
        }
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        if name != self.entry {
            return Ok(Box::new(io::sink()));
        }
        self.bytes = record.size;
        Ok(Box::new(&mut self.copy))
    }
}
