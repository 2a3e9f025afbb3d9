//! An archive in memory that counts the bytes that are read of it.

use std::{cell::Cell, io};

use hookshot::work::ReadAt;

/// The archive.
pub struct Counting {
    pub bytes: Vec<u8>,
    pub read: Cell<u64>,
}

impl ReadAt for Counting {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read.set(self.read.get() + buffer.len() as u64);
        let from = usize::try_from(offset).expect("small");
        let bytes = self.bytes.get(from..from + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }
}
