//! Single entries out of a tree: the rest of it is not read.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write as _},
};

use anyhow::{Context as _, Result};

use super::{
    members::root_of,
    source::{ArchiveTree, manifest_text},
};
use crate::{
    archive::{select::Selected, sink::Sink},
    model::{
        digest::Hashing,
        entry_name::EntryName,
        limits::BUFFER_BYTES,
        manifest::{FileRecord, Manifest},
    },
};

/// Passes the entries called `names`, or only the manifest if there are none, to `sink`; the digest of each is verified.
/// `None` if the archive has to be read through for that: it names the fault, or a directory has a listing.
pub fn select(
    shown: &str,
    tree: &mut dyn ArchiveTree,
    names: &[EntryName],
    sink: &mut dyn Sink,
) -> Result<Option<Selected>> {
    let reading = || format!("cannot read {shown}");
    let text = manifest_text(tree).with_context(reading)?;
    let Some(Ok(manifest)) = text.as_deref().map(Manifest::parse) else {
        return Ok(None);
    };
    let is_plain = |name: &EntryName| {
        manifest.files.contains_key(name) && !manifest.is_listing(name)
            || manifest.directories.is_empty() && !manifest.trees.contains_key(name)
    };
    if !names.iter().all(is_plain) {
        return Ok(None);
    }
    sink.begin(&manifest)?;
    for name in names {
        let Some(record) = manifest.files.get(name) else {
            continue;
        };
        if !pass(tree, name, record, sink).with_context(reading)? {
            return Ok(None);
        }
    }
    let root = root_of(tree, Some(&manifest));
    Ok(Some(Selected::new(root, manifest, BTreeMap::new())))
}

/// Passes one entry; false if it is not as the manifest says.
fn pass(
    tree: &mut dyn ArchiveTree,
    name: &EntryName,
    record: &FileRecord,
    sink: &mut dyn Sink,
) -> Result<bool> {
    let file = tree.open(record.path.as_str().as_bytes())?;
    let Some(file) = file.filter(|file| file.size == record.size) else {
        return Ok(false);
    };
    let mut content = BufReader::with_capacity(BUFFER_BYTES, file.content);
    let mut hashing = Hashing::new(sink.entry(name, record)?);
    let mut left = record.size;
    while left > 0 {
        let bytes = content.fill_buf()?;
        let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if count == 0 {
            return Ok(false);
        }
        hashing.write_all(&bytes[..count])?;
        content.consume(count);
        left -= count as u64;
    }
    if hashing.finish().0 != record.checksum {
        return Ok(false);
    }
    sink.end(name, record)?;
    Ok(true)
}
