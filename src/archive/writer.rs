//! Writes an archive: root folder, manifest, entries in the manifest's order (docs/format.md, "The tar").

use std::io::{self, Read, Write};

use anyhow::{Context as _, Result};

pub use super::gzip::pack::Level;
use super::{
    gzip::pack::MemberWriter,
    manifest_text,
    reuse::Earlier,
    tar::layout::{self, BLOCK},
};
use crate::work::workers::Threads;
use crate::{
    error::{Failure, Kind},
    model::{
        entry_name::EntryName,
        limits::{MEMBER_BYTES, TAR_OVERHEAD_BYTES},
        manifest::{FileRecord, Manifest},
    },
};

/// Writes the archive that `manifest` describes to `out`; `open` gives the content of each entry.
///
/// Blocks that `earlier` already compressed are reused; that does not change the output. If the size of an entry
/// differs from the manifest, its source changed meanwhile: an error. Digests are not computed here; reading the
/// archive back finds content that changed. If no reader would accept the manifest, the error is [`Kind::Usage`],
/// before anything is written.
pub fn write<W: Write, R: Read>(
    out: W,
    manifest: &Manifest,
    level: Level,
    threads: Threads,
    earlier: Option<&Earlier>,
    mut open: impl FnMut(&EntryName) -> Result<R>,
) -> Result<Written<W>> {
    let root = manifest
        .root
        .as_deref()
        .context("an archive needs a root folder")?;
    let mut writer = Writer {
        members: MemberWriter::new(out, level, threads),
    };
    let bytes = manifest_text::of(manifest)?;
    let created_at = manifest.created_at;
    let folder = layout::folder_header(root, created_at)?;
    writer.members.write_all(&folder)?;
    let header = layout::manifest_header(root, created_at, bytes.len() as u64)?;
    writer.members.write_all(&header)?;
    writer.members.write_all(&bytes)?;
    writer.pad(bytes.len() as u64)?;
    drop(bytes);
    for (name, record) in &manifest.files {
        let content = open(name)?;
        writer
            .entry(root, name, record, earlier, content)
            .with_context(|| format!("cannot archive {name}"))?;
    }
    writer.members.write_all(&[0; 2 * BLOCK as usize])?;
    let (out, reused_bytes) = writer.members.finish()?;
    Ok(Written { out, reused_bytes })
}

/// Returns the most bytes that the archive of `manifest` can have: no content shrinks, and every header is a long one.
pub fn most_bytes(manifest: &Manifest) -> u64 {
    let text = manifest.to_bytes().len() as u64;
    let headers = TAR_OVERHEAD_BYTES.saturating_mul(manifest.files.len() as u64 + 2);
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

struct Writer<W> {
    members: MemberWriter<W>,
}

impl<W: Write> Writer<W> {
    fn entry(
        &mut self,
        root: &str,
        name: &EntryName,
        record: &FileRecord,
        earlier: Option<&Earlier>,
        mut content: impl Read,
    ) -> Result<()> {
        let header = layout::entry_header(root, record)?;
        self.members.write_all(&header)?;
        if record.size > MEMBER_BYTES as u64 {
            let blocks = earlier.map(|earlier| earlier.blocks(name, record));
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

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = size.next_multiple_of(BLOCK) - size;
        self.members
            .write_all(&[0; BLOCK as usize][..padding as usize])
    }
}

fn changed(name: &EntryName) -> anyhow::Error {
    Failure::new(
        Kind::Failed,
        format!("{name} changed while it was exported"),
    )
    .hint("export again when no process writes to the file")
    .into()
}
