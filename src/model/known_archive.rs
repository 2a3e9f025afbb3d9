//! The record of an archive that this machine proved at a destination: what is known of a sealed one without a key.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use serde::{Deserialize, Serialize};

use super::{
    digest::{Digest, Hashing},
    entry_name::EntryName,
    manifest::{FileRecord, ListedDirectory, Manifest},
    state_digest::state_digest,
    tree::files_of,
};

/// An archive that this machine proved: a line of `known.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownArchive {
    /// The address of the destination.
    pub destination: String,
    /// The name of the archive's file.
    pub name: String,
    /// The size of the file in bytes.
    pub size_bytes: u64,
    /// The tag that the store gave it, if it gives any.
    #[serde(default)]
    pub etag: Option<String>,
    /// SHA-256 of the file.
    pub sha256: String,
    /// A summary of its content.
    #[serde(flatten)]
    pub content: KnownContent,
}

/// A summary of what an archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownContent {
    /// SHA-256 of `manifest.json`.
    pub manifest_sha256: String,
    /// The digest of the state ([`state_digest`]).
    pub state_sha256: String,
    /// The time of the snapshot in Unix seconds.
    pub created_at: i64,
    /// The name of the root folder.
    pub root: Option<String>,
    /// The machine that made it.
    pub host: Option<String>,
    /// The application.
    pub app: Option<String>,
    /// The version of the application.
    pub app_version: Option<String>,
    /// The hookshot that made it.
    pub hookshot_version: String,
    /// The number of files.
    pub files: u64,
    /// Their bytes.
    pub content_bytes: u64,
    /// The labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The number of torn files.
    pub torn: u64,
    /// True if a database is among them.
    pub torn_database: bool,
    /// The sources by name.
    pub sources: ArchivedSources,
}

/// The machine and the application that made an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// The name of the machine.
    pub host: Option<String>,
    /// The name of the application.
    pub app: Option<String>,
}

/// The sources in an archive by name.
pub type ArchivedSources = BTreeMap<String, ArchivedSource>;

/// A source in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedSource {
    /// SHA-256 of the file; of a directory, that of a list of its files.
    pub sha256: String,
    /// The number of its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// True if it is a directory.
    pub is_directory: bool,
}

impl KnownArchive {
    /// Returns true if a file of this size and tag is the one that was proven. A store may tell no tag.
    pub fn is(&self, size_bytes: u64, etag: Option<&str>) -> bool {
        let tags = self.etag.as_deref().zip(etag);
        self.size_bytes == size_bytes && tags.is_none_or(|(known, found)| known == found)
    }
}

impl Maker {
    /// Returns the maker of the archive with this manifest.
    pub fn of(manifest: &Manifest) -> Maker {
        Maker {
            host: manifest.hostname.clone(),
            app: manifest.app.clone(),
        }
    }
}

impl KnownContent {
    /// Returns the maker of the archive.
    pub fn maker(&self) -> Maker {
        Maker {
            host: self.host.clone(),
            app: self.app.clone(),
        }
    }

    /// Returns what the archive with this manifest holds.
    pub fn of(manifest: &Manifest) -> KnownContent {
        KnownContent {
            manifest_sha256: Digest::of(&manifest.to_bytes()).to_string(),
            state_sha256: state_digest(manifest).to_string(),
            created_at: manifest.created_at,
            root: manifest.root.clone(),
            host: manifest.hostname.clone(),
            app: manifest.app.clone(),
            app_version: manifest.app_version.clone(),
            hookshot_version: manifest.hookshot_version.to_string(),
            files: manifest.count(),
            content_bytes: manifest.total_bytes(),
            tags: manifest.tags.clone(),
            torn: manifest.torn_count(),
            torn_database: manifest.has_torn_database(),
            sources: sources_of(manifest),
        }
    }
}

/// Returns the sources that an archive with this manifest holds.
pub fn sources_of(manifest: &Manifest) -> ArchivedSources {
    let is_in_directory = |name: &EntryName| {
        let first = name.as_str().split_once('/').map(|(first, _)| first);
        first.is_some_and(|first| manifest.trees.contains_key(first))
    };
    let is_file = |name: &EntryName| !is_in_directory(name) && !manifest.is_listing(name);
    let files = manifest.files.iter().filter(|(name, _)| is_file(name));
    let files = files.map(|(name, record)| (name.to_string(), of_file(record)));
    let trees = manifest.trees.keys();
    let trees = trees.map(|name| (name.to_string(), of_tree(name, &manifest.files)));
    let listed = manifest.directories.iter();
    let listed = listed.map(|(name, listed)| (name.to_string(), of_listed(listed, manifest)));
    files.chain(trees).chain(listed).collect()
}

fn of_file(record: &FileRecord) -> ArchivedSource {
    ArchivedSource {
        sha256: record.checksum.to_string(),
        files: 1,
        bytes: record.size,
        is_directory: false,
    }
}

fn of_tree(name: &EntryName, files: &BTreeMap<EntryName, FileRecord>) -> ArchivedSource {
    let mut lines = Hashing::new(io::sink());
    let (mut count, mut bytes) = (0, 0u64);
    for (path, _, record) in files_of(name, files) {
        // Nothing fails on the way to nowhere.
        let _ = writeln!(lines, "{}  {path}", record.checksum);
        count += 1;
        bytes = bytes.saturating_add(record.size);
    }
    ArchivedSource {
        sha256: lines.finish().0.to_string(),
        files: count,
        bytes,
        is_directory: true,
    }
}

fn of_listed(listed: &ListedDirectory, manifest: &Manifest) -> ArchivedSource {
    let listing = manifest.files.get(&listed.listing);
    ArchivedSource {
        sha256: listing.map_or_else(String::new, |listing| listing.checksum.to_string()),
        files: listed.files,
        bytes: listed.bytes,
        is_directory: true,
    }
}

#[cfg(test)]
mod tests {
    use semver::Version;

    use super::*;
    use crate::model::tree::Tree;

    fn name(text: &str) -> EntryName {
        text.parse().expect("a name")
    }

    fn manifest() -> Manifest {
        let files = [("a", "1"), ("c/d", "22"), ("conf/x", "333"), ("conf/y", "")];
        let files = files.map(|(entry, text)| {
            let digest = Digest::of(text.as_bytes());
            let record = FileRecord::new(name(entry), digest, text.len() as u64);
            (name(entry), record)
        });
        let mut manifest = Manifest::new(7, Version::new(1, 2, 3), files.into_iter().collect());
        manifest.trees.insert(name("conf"), Tree::default());
        manifest
    }

    #[test]
    fn a_source_is_a_file_or_a_directory_with_its_files() {
        let sources = sources_of(&manifest());
        let told = |name: &str| {
            let source = &sources[name];
            (source.files, source.bytes, source.is_directory)
        };
        assert_eq!(sources.len(), 3);
        assert_eq!(told("a"), (1, 1, false));
        assert_eq!(told("c/d"), (1, 2, false));
        assert_eq!(told("conf"), (2, 3, true));
        let mut other = manifest();
        let record = other.files.get_mut(&name("conf/y")).expect("there");
        record.checksum = Digest::of(b"else");
        let changed = sources_of(&other);
        assert_ne!(changed["conf"].sha256, sources["conf"].sha256);
        assert_eq!(changed["a"], sources["a"]);
    }

    #[test]
    fn a_record_reads_back_and_later_versions_may_add_to_it() {
        let known = KnownArchive {
            destination: "s3://b/p".to_owned(),
            name: "a-20261130-020000.tar.gz.age".to_owned(),
            size_bytes: 9,
            etag: None,
            sha256: Digest::of(b"1").to_string(),
            content: KnownContent::of(&manifest()),
        };
        let line = serde_json::to_string(&known).expect("JSON");
        let line = line.replacen('{', r#"{"later":[1],"#, 1);
        assert_eq!(
            serde_json::from_str::<KnownArchive>(&line).expect("read"),
            known
        );
    }

    #[test]
    fn another_size_or_tag_is_another_file() {
        let known = KnownArchive {
            destination: String::new(),
            name: String::new(),
            size_bytes: 9,
            etag: Some("x".to_owned()),
            sha256: String::new(),
            content: KnownContent::of(&manifest()),
        };
        assert!(known.is(9, Some("x")) && known.is(9, None));
        assert!(!known.is(8, Some("x")) && !known.is(9, Some("y")));
    }
}
