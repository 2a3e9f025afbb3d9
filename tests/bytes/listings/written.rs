//! Archives with a listed directory as the library writes them.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read},
};

use hookshot::{
    archive::{
        ahead::{FileContent, ListedFile},
        reuse::Earlier,
        writer::{self, Level, ListedFiles, Written},
    },
    error::Failure,
    model::{
        digest::Digest,
        entry_name::EntryName,
        manifest::{
            FileRecord, LISTING_KIND, ListedDirectory, ListedNode, ListingLine, Manifest,
            record::FolderRecord,
        },
        relative::{RelativeName, by_component},
        version::FormatVersion,
    },
    work::Threads,
};
use support::forge;

/// The name of an entry.
pub fn name(text: &str) -> EntryName {
    EntryName::new(text).expect("a name")
}

/// An archive to be written: entries, and files of the directory `data` by their paths below it.
#[derive(Clone, Default)]
pub struct Source {
    /// The entries beside the listing.
    pub entries: BTreeMap<EntryName, Vec<u8>>,
    /// The files.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// The content of one file.
struct InMemory(Vec<u8>);

impl FileContent for InMemory {
    fn open(&self) -> anyhow::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.0.as_slice()))
    }

    fn append(&self, _: usize, bytes: &mut Vec<u8>) -> anyhow::Result<()> {
        bytes.extend_from_slice(&self.0);
        Ok(())
    }
}

impl ListedFiles for Source {
    fn files(
        &self,
        _: &EntryName,
    ) -> anyhow::Result<Box<dyn Iterator<Item = anyhow::Result<ListedFile>> + '_>> {
        let lines = self.lines().into_iter();
        let files = lines.filter_map(|line| match line.node {
            ListedNode::File(record) => {
                let path = std::str::from_utf8(line.name.as_bytes()).expect("UTF-8");
                let content = self.files[path].clone();
                let content: Box<dyn FileContent> = Box::new(InMemory(content));
                Some(Ok((*record, content)))
            }
            _ => None,
        });
        Ok(Box::new(files))
    }

    fn packed(&self, _: u64, _: u64) -> Result<(), Failure> {
        Ok(())
    }
}

impl Source {
    /// Every name of an entry or of a file, with its content.
    pub fn contents(&self) -> BTreeMap<EntryName, Vec<u8>> {
        let files = self.files.iter();
        let mut all: BTreeMap<EntryName, Vec<u8>> = files
            .map(|(path, content)| (name(&format!("data/{path}")), content.clone()))
            .collect();
        all.extend(self.entries.clone());
        all
    }

    fn lines(&self) -> Vec<ListingLine> {
        let directory = name("data");
        let mut lines = BTreeMap::new();
        for (path, content) in &self.files {
            let relative = RelativeName::new(path.as_bytes()).expect("a path");
            for folder in relative.folders() {
                let folder = RelativeName::new(folder).expect("a path");
                lines.insert(folder, ListedNode::Folder(FolderRecord::default()));
            }
            let (entry, is_escaped) = relative.entry(&directory);
            let mut record = FileRecord::new(entry, Digest::of(content), content.len() as u64);
            record.name = is_escaped.then(|| relative.as_bytes().into());
            record.mode = Some(0o640);
            record.kind = Some("file".into());
            lines.insert(relative, ListedNode::File(Box::new(record)));
        }
        let lines = lines.into_iter();
        let mut lines: Vec<ListingLine> = lines
            .map(|(name, node)| ListingLine { name, node })
            .collect();
        lines.sort_by(|one, other| by_component(one.name.as_bytes(), other.name.as_bytes()));
        lines
    }

    /// The text of the listing.
    pub fn listing(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for line in self.lines() {
            line.write(&name("data"), &mut text);
        }
        text
    }

    /// The manifest.
    pub fn manifest(&self) -> Manifest {
        let directory = name("data");
        let mut listed =
            ListedDirectory::new(&directory, FolderRecord::default()).expect("a short name");
        for line in self.lines() {
            listed.count(&line);
        }
        let record = |name: &EntryName, content: &[u8]| {
            let mut record =
                FileRecord::new(name.clone(), Digest::of(content), content.len() as u64);
            record.mode = Some(0o600);
            record
        };
        let entries = self.entries.iter();
        let mut files: BTreeMap<EntryName, FileRecord> = entries
            .map(|(name, content)| (name.clone(), record(name, content)))
            .collect();
        let mut listing = record(&listed.listing, &self.listing());
        listing.kind = Some(LISTING_KIND.into());
        files.insert(listed.listing.clone(), listing);
        Manifest {
            version: FormatVersion::CURRENT,
            compression: Some(Level::DEFAULT.name()),
            directories: BTreeMap::from([(directory, listed)]),
            ..forge::current(files)
        }
    }

    /// The archive, with members of `earlier` if there is one.
    pub fn write(&self, earlier: Option<&Earlier>) -> Written<Vec<u8>> {
        let listing = self.listing();
        let open = |name: &EntryName| {
            let entry = self.entries.get(name).unwrap_or(&listing);
            Ok(Cursor::new(entry.clone()))
        };
        let (manifest, level) = (self.manifest(), Level::DEFAULT);
        let threads = Threads::ONE;
        writer::write_with(Vec::new(), &manifest, level, threads, earlier, open, self)
            .expect("an archive")
    }
}
