//! Single entries out of an archive, through its index: only the members that hold them are read.
//!
//! The digest of each selected entry is verified; the rest of the archive is not read. If anything is not as it should
//! be, [`select`] returns nothing, and the archive has to be read through: that names the fault.

use std::io::{self, Read, Write as _};

use anyhow::{Context as _, Result};
use libdeflater::Decompressor;

use super::{
    Sink,
    fault::fault_of,
    gzip::{
        index::{self, MemberSize},
        member::{PLAIN_HEADER_BYTES, Raw, stated_size, try_inflate},
    },
    tar::{
        layout,
        stream::{MemberKind, TarStream},
    },
};
use crate::model::{
    digest::Hashing,
    entry_name::EntryName,
    limits::{BUFFER_BYTES, MAX_MANIFEST_BYTES, MEMBER_BYTES, TAR_OVERHEAD_BYTES, TAR_SLACK_BYTES},
    manifest::{MANIFEST_NAME, Manifest},
};
use crate::work::ReadAt;

/// The root folder and manifest of an archive of which only a part was read.
#[derive(Debug)]
pub struct Selected {
    /// Its root folder.
    pub root: String,
    /// Its manifest.
    pub manifest: Manifest,
}

/// Passes the entries called `names`, or only the manifest if there are none, to `sink`. `None` if the archive has to
/// be read through for that. If the manifest lacks a name, the sink has to report it.
pub fn select(
    source: &dyn ReadAt,
    names: &[EntryName],
    sink: &mut dyn Sink,
) -> Result<Option<Selected>> {
    match try_select(source, names, sink) {
        Err(error) if error.chain().any(is_fault) => Ok(None),
        result => result,
    }
}

fn is_fault(cause: &(dyn std::error::Error + 'static)) -> bool {
    let error = cause.downcast_ref::<io::Error>();
    error.is_some_and(|error| {
        fault_of(error).is_some() || error.kind() == io::ErrorKind::UnexpectedEof
    })
}

fn try_select(
    source: &dyn ReadAt,
    names: &[EntryName],
    sink: &mut dyn Sink,
) -> Result<Option<Selected>> {
    let Some(sizes) = index::load(source).context("cannot read the index")? else {
        return Ok(None);
    };
    let Some((root, bytes)) = manifest(source, &sizes)? else {
        return Ok(None);
    };
    let Ok(manifest) = Manifest::parse(&bytes) else {
        return Ok(None);
    };
    sink.begin(&manifest)?;
    let Ok(places) = layout::places(&manifest, &root, bytes.len() as u64) else {
        return Ok(None);
    };
    for name in names {
        let (Some(record), Some(place)) = (manifest.files.get(name), places.get(name)) else {
            return Ok(None);
        };
        // An entry whose mode is only in the tar is left to the reader.
        if record.mode.is_none() {
            return Ok(None);
        }
        let most = record.size.saturating_add(TAR_OVERHEAD_BYTES);
        let mut tar = TarStream::new(Members::new(source, &sizes, place.header).take(most));
        let member = tar.next_member()?;
        let path = format!("{root}/{}", record.path.as_str());
        let is_it = member.is_some_and(|member| {
            member.what == MemberKind::File && member.path == path && member.size == record.size
        });
        if !is_it {
            return Ok(None);
        }
        let mut hashing = Hashing::new(sink.entry(name, record)?);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match tar.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => hashing
                    .write_all(&buffer[..count])
                    .with_context(|| format!("cannot write {name}"))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        if hashing.finish() != (record.checksum, record.size) {
            return Ok(None);
        }
        sink.end(name, record)?;
    }
    Ok(Some(Selected { root, manifest }))
}

/// Reads the root folder's name and the manifest's text, if they are the first that the tar has.
pub(super) fn manifest(
    source: &dyn ReadAt,
    sizes: &[MemberSize],
) -> Result<Option<(String, Vec<u8>)>> {
    let most = MAX_MANIFEST_BYTES + TAR_SLACK_BYTES;
    let mut tar = TarStream::new(Members::new(source, sizes, 0).take(most));
    let folder = tar.next_member()?;
    let Some(folder) = folder.filter(|member| member.what == MemberKind::Folder) else {
        return Ok(None);
    };
    let root = folder.path.trim_end_matches('/').to_owned();
    let path = format!("{root}/{MANIFEST_NAME}");
    let file = tar.next_member()?.filter(|member| {
        member.what == MemberKind::File && member.path == path && member.size <= MAX_MANIFEST_BYTES
    });
    if file.is_none() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    tar.read_to_end(&mut bytes)?;
    Ok(EntryName::new(&root).is_ok().then_some((root, bytes)))
}

/// The inflated content of an archive from some offset on, one member at a time.
struct Members<'a> {
    source: &'a dyn ReadAt,
    sizes: std::slice::Iter<'a, MemberSize>,
    /// The offset of the next member in the archive.
    offset: u64,
    /// The bytes of the member before the requested offset.
    skip: usize,
    raw: Raw,
    given: usize,
    decompressor: Decompressor,
}

impl<'a> Members<'a> {
    fn new(source: &'a dyn ReadAt, sizes: &'a [MemberSize], place: u64) -> Members<'a> {
        let (mut offset, mut inflated, mut first) = (0, 0, 0);
        for size in sizes {
            if inflated + u64::from(size.inflated) > place {
                break;
            }
            inflated += u64::from(size.inflated);
            offset += u64::from(size.packed);
            first += 1;
        }
        Members {
            source,
            sizes: sizes[first..].iter(),
            offset,
            skip: usize::try_from(place - inflated).unwrap_or(usize::MAX),
            raw: Raw::default(),
            given: 0,
            decompressor: Decompressor::new(),
        }
    }

    /// Reads the next member; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        let Some(size) = self.sizes.next() else {
            return Ok(false);
        };
        let mut raw = std::mem::take(&mut self.raw);
        // The index is not verified: its values are bounded here, and compared with the member below.
        if size.packed as usize > 2 * MEMBER_BYTES || size.inflated as usize > MEMBER_BYTES {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        raw.member.resize(size.packed as usize, 0);
        self.source.read_exact_at(&mut raw.member, self.offset)?;
        let stated = raw.member.get(..PLAIN_HEADER_BYTES).and_then(stated_size);
        let tried = try_inflate(&mut self.decompressor, raw);
        if !tried.is_good
            || stated != Some(size.packed as usize)
            || tried.raw.block.len() != size.inflated as usize
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.raw = tried.raw;
        self.offset += u64::from(size.packed);
        self.given = std::mem::take(&mut self.skip);
        Ok(true)
    }
}

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given >= self.raw.block.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let left = &self.raw.block[self.given..];
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.given += count;
        Ok(count)
    }
}
