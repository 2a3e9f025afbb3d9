//! An archive after every check.

use std::collections::BTreeMap;

use super::{contents::DirectoryContents, listing::Listing, tar::stream::HeaderAttributes};
use crate::model::{entry_name::EntryName, manifest::Manifest};

/// An archive that was read to its end and matches its manifest. Only [`read`](super::read) makes
/// one.
#[derive(Debug, Clone)]
pub struct Verified {
    pub(super) manifest: Manifest,
    pub(super) root: String,
    pub(super) headers: BTreeMap<EntryName, HeaderAttributes>,
    pub(super) is_plain: bool,
    pub(super) listings: BTreeMap<EntryName, Listing>,
}

impl Verified {
    /// Returns the contents of the directory called `name`; `None` if the archive has none of that name.
    pub fn directory(&self, name: &EntryName) -> Option<DirectoryContents<'_>> {
        let listing = self.listings.get(name);
        let listed =
            listing.and_then(|listing| DirectoryContents::listed(&self.manifest, name, listing));
        listed.or_else(|| DirectoryContents::in_manifest(&self.manifest, name))
    }

    /// Returns true if the archive was the bare tar: another program had already removed the gzip.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the name of the root folder.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Returns the owner and permissions of an entry in the tar, for entries without these in the manifest, as in
    /// archives of version 1.0. They are less trustworthy than the manifest.
    pub fn header(&self, name: &EntryName) -> HeaderAttributes {
        self.headers.get(name).cloned().unwrap_or_default()
    }
}
