//! The archive file of a tree: the same manifest, entries and headers as those of the archive that was unpacked.

use std::{
    cell::RefCell,
    io::{self, Read, Write},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};

use super::source::{ArchiveTree, TreeFile, manifest_text};
use crate::{
    archive::{
        ahead::{FileContent, ListedFile},
        verified::Verified,
        writer::{Described, Level, ListedFiles, write_described},
    },
    error::Failure,
    model::{
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
    },
    work::workers::Threads,
};

/// Writes the archive of a tree to `out`. `verified` is what a reading of the tree returned. What changed since then is
/// found by the reader of the archive that is written; only another size ends the writing.
///
/// The level is that of the manifest if it names one of ours, else `level`.
pub fn pack<W: Write>(
    tree: &mut dyn ArchiveTree,
    verified: &Verified,
    level: Level,
    threads: Threads,
    out: W,
) -> Result<W> {
    let manifest = verified.manifest();
    let text = manifest_text(tree)?.context("manifest.json is gone")?;
    let described = described(tree, manifest)?;
    let named = manifest.compression.as_deref().and_then(Level::of_name);
    let tree = RefCell::new(tree);
    let open = |name: &EntryName| -> Result<Box<dyn Read>> {
        let record = manifest.files.get(name).context("an entry is gone")?;
        Ok(opened(&tree, record)?.content)
    };
    let listed = TreeFiles {
        tree: &tree,
        verified,
    };
    let parts = Described {
        root: verified.root(),
        text: &text,
        manifest: described.as_ref().unwrap_or(manifest),
    };
    let written = write_described(
        out,
        &parts,
        (named.unwrap_or(level), threads),
        None,
        open,
        &listed,
    )?;
    Ok(written.out)
}

/// Returns the manifest with the attributes of the files, if its version has none of its own; `None` if they are in the
/// manifest.
fn described(tree: &mut dyn ArchiveTree, manifest: &Manifest) -> Result<Option<Manifest>> {
    if manifest.version.minor > 0 {
        return Ok(None);
    }
    let mut described = manifest.clone();
    for record in described.files.values_mut() {
        let Some(file) = tree.open(record.path.as_str().as_bytes())? else {
            continue;
        };
        let attributes = file.attributes;
        record.mode = Some(attributes.mode);
        record.user = attributes.user.map(Arc::from);
        record.group = attributes.group.map(Arc::from);
        (record.uid, record.gid) = (Some(attributes.uid), Some(attributes.gid));
        record.mtime = Some(attributes.mtime);
    }
    Ok(Some(described))
}

/// Opens the file of a record, which was there a moment before.
fn opened(tree: &RefCell<&mut dyn ArchiveTree>, record: &FileRecord) -> Result<TreeFile> {
    let path = record.path.as_str();
    let mut tree = tree.borrow_mut();
    let mut found = tree.open(path.as_bytes())?;
    if let (None, Some(name), Some((directory, _))) = (&found, &record.name, path.split_once('/')) {
        found = tree.open(&[directory.as_bytes(), b"/", name].concat())?;
    }
    found.with_context(|| format!("{path} is gone"))
}

/// The files of the directories of a tree that have listings.
struct TreeFiles<'a, 't> {
    tree: &'a RefCell<&'t mut dyn ArchiveTree>,
    verified: &'a Verified,
}

impl ListedFiles for TreeFiles<'_, '_> {
    fn files(&self, name: &EntryName) -> Result<Box<dyn Iterator<Item = Result<ListedFile>> + '_>> {
        let directory = self.verified.directory(name);
        let lines = directory
            .with_context(|| format!("the listing of {name} is gone"))?
            .lines()?;
        let files = lines.filter_map(|line| {
            let file = line.map(|line| line.file().cloned()).transpose()?;
            Some(file.and_then(|record| {
                let file = opened(self.tree, &record)?;
                let content: Box<dyn FileContent> =
                    Box::new(OnceContent(Mutex::new(Some(file.content))));
                Ok((record, content))
            }))
        });
        Ok(Box::new(files))
    }

    fn packed(&self, _: u64, _: u64) -> Result<(), Failure> {
        Ok(())
    }
}

/// The content of a file, which is read once.
struct OnceContent(Mutex<Option<Box<dyn Read + Send>>>);

impl OnceContent {
    fn take(&self) -> io::Result<Box<dyn Read + Send>> {
        let mut content = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = content.take();
        taken.ok_or_else(|| io::Error::other("a file is read twice"))
    }
}

impl FileContent for OnceContent {
    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(self.take()?)
    }

    fn append(&self, size: usize, bytes: &mut Vec<u8>) -> Result<()> {
        let most = size as u64 + 1;
        self.take()?.take(most).read_to_end(bytes)?;
        Ok(())
    }
}
