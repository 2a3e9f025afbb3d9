//! Small files of a directory on their way into the tar: threads open, read and close them in batches, which come out in
//! order.

use std::{io::Read, sync::Arc};

use anyhow::{Context as _, Result};

use super::tar::layout::{self, BLOCK};
use crate::{
    error::{Failure, Kind},
    model::{entry_name::EntryName, limits::SMALL_FILE_BYTES, manifest::FileRecord},
    work::workers::{Threads, Workers},
};

/// The most files and bytes of a batch: enough that handing it over costs nothing beside the work.
const BATCH_FILES: usize = 128;
const BATCH_BYTES: u64 = 512 << 10;

/// The most threads: each holds some batches.
const MOST_THREADS: usize = 8;

/// The content of one file of a directory that has a listing.
pub trait FileContent: Send {
    /// Returns it from its beginning.
    fn open(&self) -> Result<Box<dyn Read + '_>>;

    /// Appends all of it, which has `size` bytes, to `bytes`.
    fn append(&self, size: usize, bytes: &mut Vec<u8>) -> Result<()>;
}

/// A file of a directory that has a listing: its record and its content.
pub type ListedFile = (FileRecord, Box<dyn FileContent>);

/// Files that were read ahead, as they stand in the tar.
pub struct Batch {
    /// Their headers and padded contents.
    pub tar: Vec<u8>,
    /// Their number.
    pub files: u64,
    /// The bytes of their contents.
    pub bytes: u64,
}

/// Small files that are read ahead.
pub struct Ahead {
    workers: Workers<Vec<ListedFile>, Result<Batch>>,
    next: Vec<ListedFile>,
    next_bytes: u64,
}

impl Ahead {
    /// Starts threads that read files for the root folder `root`.
    pub fn start(threads: Threads, root: &str) -> Ahead {
        let root: Arc<str> = root.into();
        let threads = Threads::new(threads.count().get().min(MOST_THREADS)).unwrap_or(threads);
        Ahead {
            workers: Workers::start(threads, || {
                let root = root.clone();
                Box::new(move |files| pack(&root, files))
            }),
            next: Vec::new(),
            next_bytes: 0,
        }
    }

    /// Returns true if a file is small enough to be read ahead.
    pub fn is_small(record: &FileRecord) -> bool {
        record.size <= SMALL_FILE_BYTES
    }

    /// Adds the next file.
    pub fn add(&mut self, file: ListedFile) {
        self.next_bytes += file.0.size;
        self.next.push(file);
        if self.next.len() >= BATCH_FILES || self.next_bytes >= BATCH_BYTES {
            self.give();
        }
    }

    /// Returns the next batch if no more may be given before it is taken.
    pub fn take_full(&mut self) -> Result<Option<Batch>> {
        match self.workers.is_full() {
            true => self.take(),
            false => Ok(None),
        }
    }

    /// Returns the next batch of those that were added; `None` if there is none left.
    pub fn take(&mut self) -> Result<Option<Batch>> {
        self.workers
            .take()
            .map(|batch| batch.map_err(std::io::Error::from)?)
            .transpose()
    }

    /// Gives the files that were added last to the threads.
    pub fn give(&mut self) {
        if !self.next.is_empty() {
            self.next_bytes = 0;
            self.workers.give(std::mem::take(&mut self.next));
        }
    }
}

fn pack(root: &str, files: Vec<ListedFile>) -> Result<Batch> {
    let mut batch = Batch {
        tar: Vec::new(),
        files: 0,
        bytes: 0,
    };
    for (record, content) in files {
        let archiving = || format!("cannot archive {}", record.path);
        let size = usize::try_from(record.size).with_context(archiving)?;
        batch
            .tar
            .extend_from_slice(&layout::entry_header(root, &record)?);
        let start = batch.tar.len();
        content
            .append(size, &mut batch.tar)
            .with_context(archiving)?;
        if batch.tar.len() != start + size {
            return Err(changed(&record.path)).with_context(archiving);
        }
        let padded = size.next_multiple_of(BLOCK as usize);
        batch.tar.resize(start + padded, 0);
        batch.files += 1;
        batch.bytes += record.size;
    }
    Ok(batch)
}

/// Returns the failure of a source whose size is not what it was.
pub(super) fn changed(name: &EntryName) -> anyhow::Error {
    Failure::new(
        Kind::Failed,
        format!("{name} changed while it was exported"),
    )
    .hint("export again when no process writes to the file")
    .into()
}
