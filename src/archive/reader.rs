//! The one reader of whole archives: everything that it returns passed every check here. ([`super::select`] takes
//! single entries of a large archive, with its own checks.)

use std::{
    fmt,
    io::{self, Cursor, Read, Seek, SeekFrom},
    path::Path,
};

use anyhow::{Context as _, Result};

pub use super::sink::Discard;
use super::{
    check::ArchiveCheck,
    head::{Head, may_be_repacked, read_head, refuse_other},
    incoming::ListingStore,
    scratch::ScratchFolders,
    sink::Sink,
    survey::survey,
    verified::Verified,
};
use crate::work::workers::Threads;

/// The source of an archive, and the folders in which listings are kept while the archive is read.
pub enum Input {
    /// A source that can be read again from its beginning.
    Seekable(Box<dyn ReadSeek>, ScratchFolders),
    /// A source that can be read only once. A copy of it goes to the scratch folder if it has to be read twice.
    Stream(Box<dyn Read>, ScratchFolders),
    /// The same, of which no copy may lie on a disk: [`ReadTwice`] if it has to be read twice.
    Secret(Box<dyn Read>, ScratchFolders),
}

/// The error of a secret stream that has to be read twice: another program packed it, and its manifest comes late.
#[derive(Debug)]
pub struct ReadTwice;

impl fmt::Display for ReadTwice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it has to be read twice")
    }
}

impl std::error::Error for ReadTwice {}

/// A seekable reader.
pub trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// Reads the archive called `shown` to its very end, passes its entries to `sink`, and names every fault.
pub fn read(shown: &str, input: Input, threads: Threads, sink: &mut dyn Sink) -> Result<Verified> {
    let (mut stream, scratch, is_secret) = match input {
        Input::Stream(stream, scratch) => (stream, scratch, false),
        Input::Secret(stream, scratch) => (stream, scratch, true),
        Input::Seekable(mut file, scratch) => {
            let reading = || format!("cannot read {shown}");
            let (head, bytes) = read_head(&mut file).with_context(reading)?;
            let mut store = ListingStore::new(scratch);
            let mut known = None;
            if needs_survey(shown, head, &bytes)? {
                known = survey(shown, &mut file, threads, &mut store)?;
            }
            let length = file.seek(SeekFrom::End(0)).with_context(reading)?;
            file.rewind().with_context(reading)?;
            return ArchiveCheck::new(sink, known, store)
                .of_length(length)
                .run(shown, file, threads);
        }
    };
    let read_head = read_head(&mut stream);
    let (head, bytes) = read_head.with_context(|| format!("cannot read {shown}"))?;
    let is_odd = needs_survey(shown, head, &bytes)?;
    let whole = Cursor::new(bytes).chain(stream);
    if is_odd && is_secret {
        return Err(ReadTwice.into());
    }
    if is_odd {
        let whole = Box::new(spool(whole, scratch.first())?);
        return read(shown, Input::Seekable(whole, scratch), threads, sink);
    }
    ArchiveCheck::new(sink, None, ListingStore::new(scratch)).run(shown, whole, threads)
}

/// Returns true if the archive has to be read twice, because its members may come in any order. Refuses a file of
/// another format.
fn needs_survey(shown: &str, head: Head, bytes: &[u8]) -> Result<bool> {
    match head {
        Head::ManifestFirst => Ok(may_be_repacked(bytes)),
        Head::ManifestLater => Ok(true),
        Head::Unknown => refuse_other(shown, bytes).map(|()| false),
    }
}

/// Copies a stream to a file without a name: the manifest must be known before the entries are read.
fn spool(mut stream: impl Read, scratch: &Path) -> Result<std::fs::File> {
    let mut file = tempfile::tempfile_in(scratch)
        .with_context(|| format!("cannot make a temporary file in {}", scratch.display()))?;
    io::copy(&mut stream, &mut file).with_context(|| {
        let scratch = scratch.display();
        format!("cannot keep the stream in a temporary file in {scratch}")
    })?;
    file.rewind()?;
    Ok(file)
}
