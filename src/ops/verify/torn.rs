//! The torn files of listed directories, noted while an archive is read: its manifest does not name them.

use std::{collections::BTreeSet, io::Write};

use anyhow::Result;

use crate::{
    archive::{Sink, listing::Listing},
    model::{
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
    },
};

/// The most torn files of listed directories that are named.
const MOST_NAMED: usize = 10_000;

/// The torn files of listed directories.
#[derive(Default)]
pub struct ListedTorn {
    /// The first of them.
    pub named: Vec<EntryName>,
    /// The number of the others.
    pub more: u64,
}

/// A sink in front of another one.
pub struct NotingTorn<S> {
    inner: S,
    listed: BTreeSet<EntryName>,
    torn: ListedTorn,
}

impl<S: Sink> NotingTorn<S> {
    /// Returns a sink in front of `inner`.
    pub fn new(inner: S) -> NotingTorn<S> {
        NotingTorn {
            inner,
            listed: BTreeSet::new(),
            torn: ListedTorn::default(),
        }
    }

    /// Returns the inner sink and the torn files.
    pub fn finish(self) -> (S, ListedTorn) {
        (self.inner, self.torn)
    }
}

impl<S: Sink> Sink for NotingTorn<S> {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        self.listed = manifest.directories.keys().cloned().collect();
        self.inner.begin(manifest)
    }

    fn listing(&mut self, directory: &EntryName, listing: &Listing) -> Result<()> {
        self.inner.listing(directory, listing)
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        let first = name.as_str().split_once('/').map(|(first, _)| first);
        if record.torn && first.is_some_and(|first| self.listed.contains(first)) {
            match self.torn.named.len() < MOST_NAMED {
                true => self.torn.named.push(name.clone()),
                false => self.torn.more += 1,
            }
        }
        self.inner.entry(name, record)
    }

    fn end(&mut self, name: &EntryName, record: &FileRecord) -> Result<()> {
        self.inner.end(name, record)
    }
}
