//! The contents of one directory of an archive, in the order of a listing, wherever the archive has their records.

use anyhow::Result;

use super::listing::{Listing, ListingLines};
use crate::model::{
    entry_name::EntryName,
    manifest::{ListedDirectory, ListedNode, ListingLine, Manifest},
    tree::{Tree, files_of},
};

/// A directory of an archive.
#[derive(Debug, Clone)]
pub struct DirectoryContents<'a> {
    name: &'a EntryName,
    records: Records<'a>,
}

#[derive(Debug, Clone)]
enum Records<'a> {
    InManifest(&'a Manifest, &'a Tree),
    Listed(&'a ListedDirectory, &'a Listing),
}

impl<'a> DirectoryContents<'a> {
    /// Returns the directory called `name` whose records are in the manifest; `None` if there is none.
    pub fn in_manifest(manifest: &'a Manifest, name: &EntryName) -> Option<DirectoryContents<'a>> {
        let (name, tree) = manifest.trees.get_key_value(name)?;
        let records = Records::InManifest(manifest, tree);
        Some(DirectoryContents { name, records })
    }

    /// Returns the directory called `name` whose records are in `listing`; `None` if there is none.
    pub fn listed(
        manifest: &'a Manifest,
        name: &EntryName,
        listing: &'a Listing,
    ) -> Option<DirectoryContents<'a>> {
        let (name, listed) = manifest.directories.get_key_value(name)?;
        let records = Records::Listed(listed, listing);
        Some(DirectoryContents { name, records })
    }

    /// Returns its name.
    pub fn name(&self) -> &'a EntryName {
        self.name
    }

    /// Returns the number of its files.
    pub fn files(&self) -> u64 {
        match &self.records {
            Records::InManifest(manifest, _) => files_of(self.name, &manifest.files).count() as u64,
            Records::Listed(listed, _) => listed.files,
        }
    }

    /// Returns the bytes of its files.
    pub fn bytes(&self) -> u64 {
        match &self.records {
            Records::InManifest(manifest, _) => {
                let sizes = files_of(self.name, &manifest.files).map(|(_, _, record)| record.size);
                sizes.fold(0, u64::saturating_add)
            }
            Records::Listed(listed, _) => listed.bytes,
        }
    }

    /// Returns its top folder, its symbolic links, and whether it is secret. The folders come with the lines.
    ///
    /// The links are held in memory: a link leads where other links lead.
    pub fn top(&self) -> Result<Tree> {
        let (listed, listing) = match &self.records {
            Records::InManifest(_, tree) => {
                return Ok(Tree {
                    root: tree.root.clone(),
                    links: tree.links.clone(),
                    secret: tree.secret,
                    ..Tree::default()
                });
            }
            Records::Listed(listed, listing) => (listed, listing),
        };
        let mut tree = Tree {
            root: listed.root.clone(),
            secret: listed.secret,
            ..Tree::default()
        };
        if listed.links > 0 {
            for line in listing.lines() {
                let line = line?;
                if let ListedNode::Link(record) = line.node {
                    tree.links.insert(line.name, record);
                }
            }
        }
        Ok(tree)
    }

    /// Returns the records of its files, folders and links: each folder right before what lies in it, and everything in
    /// the order of [`by_component`].
    pub fn lines(&self) -> Result<DirectoryLines> {
        let (manifest, tree) = match &self.records {
            Records::InManifest(manifest, tree) => (manifest, tree),
            Records::Listed(_, listing) => {
                return Ok(DirectoryLines::Listed(Box::new(listing.lines())));
            }
        };
        let files = files_of(self.name, &manifest.files);
        let files = files.map(|(key, _, record)| (key, record));
        let lines = tree.lines(self.name, files).map_err(anyhow::Error::msg)?;
        Ok(DirectoryLines::InManifest(lines.into_iter()))
    }
}

/// The records of a directory, one by one.
#[derive(Debug)]
pub enum DirectoryLines {
    /// Out of the manifest.
    InManifest(std::vec::IntoIter<ListingLine>),
    /// Out of a listing.
    Listed(Box<ListingLines>),
}

impl Iterator for DirectoryLines {
    type Item = Result<ListingLine>;

    fn next(&mut self) -> Option<Result<ListingLine>> {
        match self {
            DirectoryLines::InManifest(lines) => lines.next().map(Ok),
            DirectoryLines::Listed(lines) => lines.next(),
        }
    }
}
