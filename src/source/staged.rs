//! Sources that are ready for the archive.

use std::{
    fs::File,
    io::{Read, Seek as _},
};

use anyhow::Result;

use super::tree::{Reopened, Spooled};
use crate::model::{entry_name::EntryName, manifest::FileRecord};

/// The content of a source that stays as it was when its digest was taken.
pub enum StagedContent {
    /// In memory.
    Bytes(Vec<u8>),
    /// In a file of our own, or in one that is too large for memory: the archive's writer compares its digest.
    File(File),
    /// In its own file in a directory, which is opened again.
    Reopened(Reopened),
    /// In the copy of files of a directory that a process may be writing.
    Spooled(Spooled),
}

impl StagedContent {
    /// Returns the content from its beginning.
    pub fn open(&self) -> Result<Box<dyn Read + '_>> {
        match self {
            StagedContent::Bytes(bytes) => Ok(Box::new(bytes.as_slice())),
            StagedContent::File(file) => {
                let mut file = file;
                file.rewind()?;
                Ok(Box::new(file))
            }
            StagedContent::Reopened(content) => Ok(Box::new(content.open()?)),
            StagedContent::Spooled(content) => Ok(Box::new(content.open())),
        }
    }
}

/// A source that is ready for the archive. Only the functions of `source` make one.
pub struct Staged {
    /// The entry's name.
    pub name: EntryName,
    /// The file's record in the manifest.
    pub record: FileRecord,
    /// The content for the archive.
    pub content: StagedContent,
}
