//! A range of a file that is read with a position of its own: many readers share one open file.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    sync::Arc,
};

/// A range of a file.
#[derive(Debug)]
pub struct FileRange {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl FileRange {
    /// Returns `bytes` of `file` from `start` on.
    pub fn new(file: Arc<File>, start: u64, bytes: u64) -> FileRange {
        FileRange {
            file,
            at: start,
            end: start.saturating_add(bytes),
        }
    }
}

impl Read for FileRange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.at);
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
