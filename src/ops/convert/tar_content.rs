//! The content of a tar: its records, and its files one after the other in a file without a name.

use std::{
    fs::File,
    io::{self, Write as _},
    sync::Arc,
};

use anyhow::{Context as _, Result};

use super::{
    collected::{Collected, Collecting, Kept},
    tar_file::TarFile,
};
use crate::{
    archive::foreign_tar::{ForeignKind, ForeignMember, ForeignTar},
    context::Context,
    error::{Failure, Kind},
    model::{
        digest::{Digest, Hashing, HashingReader},
        entry_name::EntryName,
    },
    work::{range::FileRange, remarks::Remarks},
};

/// The content of a tar.
pub struct TarContent {
    /// Its records.
    pub collected: Collected,
    /// SHA-256 of the tar as it lies there.
    pub origin: Digest,
    /// The digest of each file in the order of the tar.
    digests: Vec<Digest>,
    content: Arc<File>,
}

impl TarContent {
    /// Returns the content of an entry.
    pub fn content(&self, name: &EntryName) -> Result<FileRange> {
        let Collected { files, places, .. } = &self.collected;
        let record = files.get(name).zip(places.get(name));
        let (record, place) = record.with_context(|| format!("{name} is not in the tar"))?;
        Ok(FileRange::new(self.content.clone(), *place, record.size))
    }
}

/// Reads the tar, and collects what an archive can have. What it cannot have is left undone.
pub fn collect(
    context: &Context,
    tar: &TarFile,
    directory: Option<&EntryName>,
    remarks: &mut Remarks,
) -> Result<TarContent> {
    let scratch = &context.scratch;
    let content = tempfile::tempfile_in(scratch)
        .with_context(|| format!("cannot make a temporary file in {}", scratch.display()))?;
    let keeping = format!(
        "cannot keep the content in a temporary file in {}",
        scratch.display()
    );
    let advice = "unpack it, and pack again what is to be kept";
    let mut collecting = Collecting::new(&tar.shown, advice, directory, remarks);
    let (mut digests, mut end) = (Vec::new(), 0);
    let mut content = io::BufWriter::new(content);
    let origin = each_member(context, tar, &mut |member, stream| {
        collecting.take(member, &mut || {
            let (digest, size) = hash(stream, &mut content, &keeping)?;
            digests.push(digest);
            let place = end;
            end += size;
            Ok(Kept {
                digest,
                size,
                place,
            })
        })
    })?;
    let content = content.into_inner().map_err(io::IntoInnerError::into_error);
    let content = content.with_context(|| keeping)?;
    Ok(TarContent {
        collected: collecting.finish("look at it with `tar -t`")?,
        origin,
        digests,
        content: Arc::new(content),
    })
}

/// Reads the tar once more. Fails if it is not what it was.
pub fn compare(context: &Context, tar: &TarFile, read: &TarContent) -> Result<()> {
    let mut expected = read.digests.iter();
    let changed = || {
        let message = format!("{} is not the same at a second reading", tar.shown);
        Failure::new(Kind::Failed, message).hint(
            "convert it when no process writes to it; if none does, test the disk and the memory",
        )
    };
    let origin = each_member(context, tar, &mut |member, stream| {
        if member.what != ForeignKind::File {
            return Ok(());
        }
        let digest = hash(stream, &mut io::sink(), "")?.0;
        match expected.next() == Some(&digest) {
            true => Ok(()),
            false => Err(changed().into()),
        }
    })?;
    match expected.next().is_none() && origin == read.origin {
        true => Ok(()),
        false => Err(changed().into()),
    }
}

type Stream<'a> = ForeignTar<&'a mut HashingReader<crate::work::cancel::Watched<FileRange>>>;

/// Passes each member of the tar to `take`, and returns the digest of the whole file.
fn each_member(
    context: &Context,
    tar: &TarFile,
    take: &mut dyn FnMut(ForeignMember, &mut Stream<'_>) -> Result<()>,
) -> Result<Digest> {
    let reading = || format!("cannot read {}", tar.shown);
    let first = tar.first().with_context(reading)?;
    let mut hashing = HashingReader::new(context.watch(tar.reader()));
    let mut stream = ForeignTar::open(&tar.shown, &first, &mut hashing, context.threads)?;
    while let Some(member) = stream.next_member()? {
        take(member, &mut stream)?;
    }
    drop(stream);
    io::copy(&mut hashing, &mut io::sink()).with_context(reading)?;
    Ok(hashing.finish().0)
}

/// Writes the content of the current member to `out`; returns its digest and size.
fn hash(stream: &mut Stream<'_>, out: &mut dyn io::Write, keeping: &str) -> Result<(Digest, u64)> {
    let mut hashing = Hashing::new(out);
    stream.content(&mut |bytes| {
        let kept = hashing.write_all(bytes);
        kept.with_context(|| keeping.to_owned())
    })?;
    Ok(hashing.finish())
}
