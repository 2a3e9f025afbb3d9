//! The manifest: an archive's table of contents with the digest of every entry (docs/format.md, "manifest.json").

mod fault;
mod fields;
mod file_json;
mod json;
mod listed;
mod listing;
mod ordinary;
mod read;
pub mod record;
mod record_json;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use semver::Version;

pub use self::{
    fault::ManifestFault,
    file_json::MANIFEST_NAME,
    listed::{LISTING_KIND, ListedDirectory, MAX_LISTED_NAME_BYTES},
    listing::{LineReader, ListingCheck, MAX_LISTING_FAULTS},
    record::{FileRecord, ListedNode, ListingLine},
};
use super::{
    entry_name::EntryName, secrets_fingerprint::SecretsFingerprint, tree::Tree,
    version::FormatVersion,
};

/// An archive's table of contents.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The version of the format.
    pub version: FormatVersion,
    /// Time of the snapshot, Unix seconds.
    pub created_at: i64,
    /// The hookshot that wrote the archive.
    pub hookshot_version: Version,
    /// The entries by name, in the order in which they stand in the archive.
    pub files: BTreeMap<EntryName, FileRecord>,
    /// The root folder's name; absent in version 1.0.
    pub root: Option<String>,
    /// The name of the machine that made the archive.
    pub hostname: Option<String>,
    /// The name of the exported application.
    pub app: Option<String>,
    /// The version of the application.
    pub app_version: Option<String>,
    /// The method that compressed its blocks. The same hookshot with the same method writes the same bytes.
    pub compression: Option<String>,
    /// The fingerprint of the secrets file of the machine, whether the archive holds that file or not. It counts only
    /// with the name of the root folder.
    pub secrets_fingerprint: Option<SecretsFingerprint>,
    /// Free labels.
    pub tags: BTreeMap<String, String>,
    /// Directory sources by name; their files are entries.
    pub trees: BTreeMap<EntryName, Tree>,
    /// Directory sources of many files by name; their listings have the records of their files, which are not among
    /// the entries here.
    pub directories: BTreeMap<EntryName, ListedDirectory>,
}

impl Manifest {
    /// Returns a manifest of the version without listings, with these entries and nothing that is optional.
    pub fn new(
        created_at: i64,
        hookshot_version: Version,
        files: BTreeMap<EntryName, FileRecord>,
    ) -> Manifest {
        Manifest {
            version: FormatVersion::PLAIN,
            created_at,
            hookshot_version,
            files,
            root: None,
            hostname: None,
            app: None,
            app_version: None,
            compression: None,
            secrets_fingerprint: None,
            tags: BTreeMap::new(),
            trees: BTreeMap::new(),
            directories: BTreeMap::new(),
        }
    }

    /// Returns the number of files whose content may be a state that they never had.
    pub fn torn_count(&self) -> u64 {
        let listed = self.directories.values().map(|listed| listed.torn);
        listed.fold(self.torn().count() as u64, u64::saturating_add)
    }

    /// Returns the entries of the manifest whose content may be a state that they never had.
    pub fn torn(&self) -> impl Iterator<Item = (&EntryName, &FileRecord)> {
        self.files.iter().filter(|(_, record)| record.torn)
    }

    /// Returns true if a database is among the torn entries: then an older archive may be the better one.
    pub fn has_torn_database(&self) -> bool {
        let mut listed = self.directories.values();
        self.torn().any(|(_, record)| record.engine().is_some())
            || listed.any(|listed| listed.torn_databases > 0)
    }

    /// Returns true if the entry is the listing of a directory.
    pub fn is_listing(&self, name: &EntryName) -> bool {
        let mut listed = self.directories.values();
        listed.any(|listed| listed.listing == *name)
    }

    /// Returns true if the archive marks an entry as secret, by its own record or by that of its directory.
    pub fn is_secret(&self, name: &EntryName) -> bool {
        let directory = name.as_str().split_once('/').map(|(first, _)| first);
        let is_secret_directory = |first: &str| {
            let tree = self.trees.get(first);
            let listed = self.directories.get(first);
            tree.is_some_and(|tree| tree.secret) || listed.is_some_and(|listed| listed.secret)
        };
        self.files.get(name).is_some_and(|record| record.secret)
            || directory.is_some_and(is_secret_directory)
    }

    /// Returns true if it has a directory source of this name, listed or not.
    pub fn has_directory(&self, name: &EntryName) -> bool {
        self.trees.contains_key(name) || self.directories.contains_key(name)
    }

    /// Returns the directory whose listing is the entry called `name`, if it is one.
    pub fn listed_by(&self, name: &EntryName) -> Option<&EntryName> {
        let mut directories = self.directories.iter();
        let found = directories.find(|(_, listed)| listed.listing == *name);
        found.map(|(directory, _)| directory)
    }

    /// Returns the number of files in the archive: the entries, and the files of listed directories.
    pub fn count(&self) -> u64 {
        let listed = self.directories.values().map(|listed| listed.files);
        listed.fold(self.files.len() as u64, u64::saturating_add)
    }

    /// Returns the bytes of all files together.
    pub fn total_bytes(&self) -> u64 {
        let listed = self.directories.values().map(|listed| listed.bytes);
        let entries = self.files.values().map(|file| file.size);
        entries.chain(listed).fold(0, u64::saturating_add)
    }
}
