//! An archive as one side of a comparison: its records, and the little of its content that has to be known.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::{BuildHasher as _, RandomState},
    io::{self, Write},
};

use anyhow::Result;

use super::{
    part::{Content, SidePart, SideParts, in_order, of_line},
    text::{is_text, is_toml},
};
use crate::{
    archive::{Sink, Verified},
    catalog::input::{ArchiveInput, damage},
    context::Context,
    model::{
        entry_name::EntryName,
        limits::SMALL_SOURCE_BYTES,
        manifest::{FileRecord, Manifest},
        tree::{files_of, relative_of},
    },
    source::database::HEAD_BYTES,
};

/// The most bytes of texts that are in memory for one archive.
pub const MOST_TEXT_BYTES: usize = 16 << 20;
/// The most texts for which there was no room that are remembered.
const MOST_LEFT_OUT: usize = 1_000_000;
/// The memory of a text beside its bytes and its name.
const TEXT_OVERHEAD: usize = 128;
/// The most databases of an archive whose first bytes are in memory. Those of further ones of redb count as changed if
/// their files differ.
const MOST_HEADS: usize = 10_000;

/// The content of an archive that a comparison needs beside the digests.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Tells if the text of an entry is wanted.
    pub text: &'a dyn Fn(&EntryName) -> bool,
    /// True if the first bytes of databases are.
    pub heads: bool,
}

/// An archive that was read to its end.
pub struct ArchivedSide {
    verified: Verified,
    texts: BTreeMap<EntryName, Vec<u8>>,
    left_out: LeftOut,
    heads: BTreeMap<EntryName, Vec<u8>>,
}

/// The texts for which there was no room: the hashes of their names.
#[derive(Default)]
struct LeftOut {
    hashes: HashSet<u64>,
    keys: RandomState,
}

impl LeftOut {
    fn add(&mut self, name: &EntryName) {
        if self.hashes.len() < MOST_LEFT_OUT {
            self.hashes.insert(self.keys.hash_one(name.as_str()));
        }
    }

    /// Returns true if a text was left out. If very many were, any other may be one of them.
    fn has(&self, name: &EntryName) -> bool {
        self.hashes.len() >= MOST_LEFT_OUT
            || self.hashes.contains(&self.keys.hash_one(name.as_str()))
    }
}

impl ArchivedSide {
    /// Reads the archive.
    pub fn read(
        context: &Context,
        archive: &ArchiveInput,
        wanted: Wanted<'_>,
    ) -> Result<ArchivedSide> {
        archive.first_good(context, damage, |archive| {
            let mut kept = Kept {
                wanted,
                secret: BTreeSet::new(),
                texts: BTreeMap::new(),
                text_bytes: 0,
                left_out: LeftOut::default(),
                heads: BTreeMap::new(),
                now: Now::Passed,
            };
            let verified = archive.read(context, "reading", &mut kept)?;
            Ok(ArchivedSide {
                verified,
                texts: kept.texts,
                left_out: kept.left_out,
                heads: kept.heads,
            })
        })
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        self.verified.manifest()
    }

    /// Returns the text of an entry, if it was wanted and is one.
    pub fn text(&self, name: &EntryName) -> Option<&[u8]> {
        self.texts.get(name).map(Vec::as_slice)
    }

    /// Returns true if the text of an entry was wanted, and there was no room for it.
    pub fn lacks_text(&self, name: &EntryName) -> bool {
        !self.texts.contains_key(name) && self.left_out.has(name)
    }

    /// Returns the first bytes of a database.
    pub fn head(&self, name: &EntryName) -> &[u8] {
        self.heads.get(name).map_or(&[], Vec::as_slice)
    }

    /// Returns the names of its directories.
    pub fn directories(&self) -> impl Iterator<Item = &EntryName> {
        let manifest = self.manifest();
        manifest.trees.keys().chain(manifest.directories.keys())
    }

    /// Returns the names of its entries that lie in none of `directories`.
    pub fn entries<'a>(
        &'a self,
        directories: &'a BTreeSet<EntryName>,
    ) -> impl Iterator<Item = &'a EntryName> {
        let manifest = self.manifest();
        let is_apart = move |name: &&EntryName| {
            let first = name.as_str().split_once('/').map(|(first, _)| first);
            !first.is_some_and(|first| directories.contains(first)) && !manifest.is_listing(name)
        };
        manifest.files.keys().filter(is_apart)
    }

    /// Returns an entry outside directories.
    pub fn entry(&self, name: &EntryName) -> Option<Content> {
        let record = self.manifest().files.get(name)?;
        Some(Content::of(record))
    }

    /// Returns the parts of the directory called `name`, in the order of a listing. What another archive has as a
    /// directory may be single entries in this one.
    pub fn parts<'a>(&'a self, name: &'a EntryName) -> Result<SideParts<'a>> {
        if let Some(contents) = self.verified.directory(name) {
            let lines = contents.lines()?;
            return Ok(Box::new(lines.filter_map(move |line| of_line(name, line))));
        }
        let files = files_of(name, &self.manifest().files);
        let parts = files.map(|(key, entry, record)| {
            Ok(SidePart {
                name: relative_of(key, record, name).map_err(anyhow::Error::msg)?,
                entry: entry.clone(),
                content: Content::of(record),
            })
        });
        in_order(parts)
    }
}

/// A sink that keeps the wanted content in memory.
struct Kept<'a> {
    wanted: Wanted<'a>,
    /// The directories that the archive says are secret.
    secret: BTreeSet<EntryName>,
    texts: BTreeMap<EntryName, Vec<u8>>,
    text_bytes: usize,
    left_out: LeftOut,
    heads: BTreeMap<EntryName, Vec<u8>>,
    now: Now,
}

/// The fate of the entry that is read.
enum Now {
    /// It is kept whole.
    Text(Vec<u8>),
    /// Its first bytes are kept.
    Head(Vec<u8>),
    /// It is passed over.
    Passed,
}

impl Write for Now {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Now::Text(text) => text.extend_from_slice(bytes),
            Now::Head(head) => {
                let room = HEAD_BYTES - head.len();
                head.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Now::Passed => {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Kept<'_> {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        let trees = manifest.trees.iter().filter(|(_, tree)| tree.secret);
        let listed = manifest.directories.iter().filter(|(_, it)| it.secret);
        let names = trees.map(|(name, _)| name);
        self.secret = names.chain(listed.map(|(name, _)| name)).cloned().collect();
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        let first = name.as_str().split_once('/').map(|(first, _)| first);
        let is_secret = record.secret || first.is_some_and(|first| self.secret.contains(first));
        self.now = if !is_secret
            && record.size <= SMALL_SOURCE_BYTES
            && is_text(name, record.kind.as_deref())
            && (self.wanted.text)(name)
        {
            Now::Text(Vec::new())
        } else if self.wanted.heads && record.engine().is_some() && self.heads.len() < MOST_HEADS {
            Now::Head(Vec::new())
        } else {
            Now::Passed
        };
        Ok(Box::new(&mut self.now))
    }

    fn end(&mut self, name: &EntryName, _: &FileRecord) -> Result<()> {
        match std::mem::replace(&mut self.now, Now::Passed) {
            Now::Text(text) if is_toml(&text) => {
                let bytes = self.text_bytes + text.len() + name.as_str().len() + TEXT_OVERHEAD;
                if bytes > MOST_TEXT_BYTES {
                    self.left_out.add(name);
                    return Ok(());
                }
                self.text_bytes = bytes;
                self.texts.insert(name.clone(), text);
            }
            Now::Head(head) => {
                self.heads.insert(name.clone(), head);
            }
            Now::Text(_) | Now::Passed => {}
        }
        Ok(())
    }
}
