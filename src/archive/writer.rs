//! Writes an archive: root folder, manifest, entries in the manifest's order (docs/format.md, "The tar").

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

use anyhow::{Context as _, Result};

pub use super::gzip::pack::Level;
use super::{
    ahead::{Ahead, Batch, ListedFile, changed},
    gzip::pack::MemberWriter,
    manifest_text,
    reuse::{Earlier, EarlierEntries, Position},
    tar::layout::{self, BLOCK},
};
use crate::work::workers::Threads;
use crate::{
    error::Failure,
    model::{
        entry_name::EntryName,
        limits::{MEMBER_BYTES, TAR_OVERHEAD_BYTES},
        manifest::{FileRecord, Manifest},
    },
};

/// The files of directories that have listings.
pub trait ListedFiles {
    /// Returns the files of the directory called `name`, in the order of its listing.
    fn files(&self, name: &EntryName) -> Result<Box<dyn Iterator<Item = Result<ListedFile>> + '_>>;

    /// Takes note of files that are packed now, and of their bytes. May end the work with an error.
    fn packed(&self, files: u64, bytes: u64) -> Result<(), Failure>;
}

/// The files of an archive in which no directory has a listing.
pub struct NoListedFiles;

impl ListedFiles for NoListedFiles {
    fn files(&self, name: &EntryName) -> Result<Box<dyn Iterator<Item = Result<ListedFile>> + '_>> {
        anyhow::bail!("the files of {name} are missing")
    }

    fn packed(&self, _: u64, _: u64) -> Result<(), Failure> {
        Ok(())
    }
}

/// Writes the archive that `manifest` describes to `out`; `open` gives the content of each entry. Returns an error if
/// a directory has a listing: [`write_with`] writes those.
pub fn write<W: Write, R: Read>(
    out: W,
    manifest: &Manifest,
    level: Level,
    threads: Threads,
    earlier: Option<&Earlier>,
    open: impl FnMut(&EntryName) -> Result<R>,
) -> Result<Written<W>> {
    write_with(out, manifest, level, threads, earlier, open, &NoListedFiles)
}

/// Writes the archive that `manifest` describes to `out`; `open` gives the content of each entry, and `listed` that of
/// the files of directories that have listings.
///
/// Blocks that `earlier` already compressed are reused; that does not change the output. If the size of an entry
/// differs from the manifest, its source changed meanwhile: an error. Digests are not computed here; reading the
/// archive back finds content that changed. If no reader would accept the manifest, the error is
/// [`Kind::Usage`](crate::error::Kind::Usage), before anything is written.
pub fn write_with<W: Write, R: Read>(
    out: W,
    manifest: &Manifest,
    level: Level,
    threads: Threads,
    earlier: Option<&Earlier>,
    open: impl FnMut(&EntryName) -> Result<R>,
    listed: &dyn ListedFiles,
) -> Result<Written<W>> {
    let root = manifest
        .root
        .as_deref()
        .context("an archive needs a root folder")?;
    let described = Described {
        root,
        text: &manifest_text::of(manifest)?,
        manifest,
    };
    write_described(out, &described, (level, threads), earlier, open, listed)
}

/// An archive that is to be written.
pub struct Described<'a> {
    /// The name of its root folder.
    pub root: &'a str,
    /// The text of its manifest.
    pub text: &'a [u8],
    /// The manifest of that text; records may have more attributes, for the headers.
    pub manifest: &'a Manifest,
}

/// Does what [`write_with`] does, for a manifest whose text is given.
pub fn write_described<W: Write, R: Read>(
    out: W,
    described: &Described<'_>,
    (level, threads): (Level, Threads),
    earlier: Option<&Earlier>,
    mut open: impl FnMut(&EntryName) -> Result<R>,
    listed: &dyn ListedFiles,
) -> Result<Written<W>> {
    let Described {
        root,
        text: bytes,
        manifest,
    } = *described;
    let mut writer = Writer {
        members: MemberWriter::new(out, level, threads),
        earlier: earlier.and_then(Earlier::entries),
    };
    let created_at = manifest.created_at;
    let folder = layout::folder_header(root, created_at)?;
    writer.members.write_all(&folder)?;
    let header = layout::manifest_header(root, created_at, bytes.len() as u64)?;
    writer.members.write_all(&header)?;
    writer.members.write_all(bytes)?;
    writer.pad(bytes.len() as u64)?;
    let directories = manifest.directories.iter();
    let directories = directories.map(|(name, directory)| (&directory.listing, name));
    let directories: BTreeMap<&EntryName, &EntryName> = directories.collect();
    for (name, record) in &manifest.files {
        let content = open(name)?;
        let position = || Some(Position::of_entry(name));
        writer
            .entry(root, name, record, position, content)
            .with_context(|| format!("cannot archive {name}"))?;
        if let Some(directory) = directories.get(name) {
            let files = listed.files(directory)?;
            let place = |record: &FileRecord| Position::of_file(name, directory, record);
            writer.directory(root, files, place, threads, listed)?;
        }
    }
    writer.members.write_all(&[0; 2 * BLOCK as usize])?;
    let (out, reused_bytes) = writer.members.finish()?;
    Ok(Written { out, reused_bytes })
}

/// Returns the most bytes that the archive of `manifest` can have: no content shrinks, and every header is a long one.
pub fn most_bytes(manifest: &Manifest) -> u64 {
    let text = manifest.to_bytes().len() as u64;
    let headers = TAR_OVERHEAD_BYTES.saturating_mul(manifest.count().saturating_add(2));
    let tar = manifest
        .total_bytes()
        .saturating_add(headers)
        .saturating_add(2 * text);
    // Stored blocks, members and index add far less than a hundredth.
    tar.saturating_add(tar / 100).saturating_add(1 << 20)
}

/// An archive that was written.
#[derive(Debug)]
pub struct Written<W> {
    /// The output.
    pub out: W,
    /// Bytes of content whose compressed form was reused from an earlier archive.
    pub reused_bytes: u64,
}

struct Writer<'a, W> {
    members: MemberWriter<W>,
    earlier: Option<EarlierEntries<'a>>,
}

impl<W: Write> Writer<'_, W> {
    fn entry(
        &mut self,
        root: &str,
        name: &EntryName,
        record: &FileRecord,
        position: impl Fn() -> Option<Position>,
        mut content: impl Read,
    ) -> Result<()> {
        let header = layout::entry_header(root, record)?;
        self.members.write_all(&header)?;
        if record.size > MEMBER_BYTES as u64 {
            let earlier = self.earlier.as_mut().zip(position());
            let blocks = earlier.map(|(earlier, position)| earlier.blocks(&position, record));
            self.members.begin_entry(blocks.unwrap_or_default())?;
        }
        let mut left = record.size;
        loop {
            let count = match self.members.take(&mut content) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            left = left
                .checked_sub(count as u64)
                .ok_or_else(|| changed(name))?;
        }
        if left > 0 {
            return Err(changed(name));
        }
        self.members.end_entry();
        Ok(self.pad(record.size)?)
    }

    /// Writes the files of a directory that has a listing.
    fn directory(
        &mut self,
        root: &str,
        files: impl Iterator<Item = Result<ListedFile>>,
        position: impl Fn(&FileRecord) -> Option<Position>,
        threads: Threads,
        listed: &dyn ListedFiles,
    ) -> Result<()> {
        let mut ahead = Ahead::start(threads, root);
        self.members.begin_files()?;
        for file in files {
            let (record, content) = file?;
            if Ahead::is_small(&record) {
                ahead.add((record, content));
                while let Some(batch) = ahead.take_full()? {
                    self.batch(&batch, listed)?;
                }
                continue;
            }
            ahead.give();
            while let Some(batch) = ahead.take()? {
                self.batch(&batch, listed)?;
            }
            let name = &record.path;
            let archiving = || format!("cannot archive {name}");
            let content = content.open().with_context(archiving)?;
            let watched = Advancing { content, listed };
            self.entry(root, name, &record, || position(&record), watched)
                .with_context(archiving)?;
            self.members.begin_files()?;
            listed.packed(1, 0)?;
        }
        ahead.give();
        while let Some(batch) = ahead.take()? {
            self.batch(&batch, listed)?;
        }
        self.members.end_entry();
        Ok(())
    }

    fn batch(&mut self, batch: &Batch, listed: &dyn ListedFiles) -> Result<()> {
        self.members.write_all(&batch.tar)?;
        listed.packed(batch.files, batch.bytes)?;
        Ok(())
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = size.next_multiple_of(BLOCK) - size;
        self.members
            .write_all(&[0; BLOCK as usize][..padding as usize])
    }
}

/// The content of a large file of a directory; each read is taken note of.
struct Advancing<'a, R> {
    content: R,
    listed: &'a dyn ListedFiles,
}

impl<R: Read> Read for Advancing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.listed.packed(0, count as u64)?;
        Ok(count)
    }
}
