//! A source of bytes that counts what is read of it.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::work::ReadAt;

/// A source that counts what is read of it.
pub struct Bytes {
    pub bytes: Vec<u8>,
    pub count: AtomicU64,
    pub requests: AtomicU64,
}

impl Bytes {
    pub fn of(bytes: Vec<u8>) -> Bytes {
        Bytes {
            bytes,
            count: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        }
    }
}

impl ReadAt for Bytes {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = offset as usize;
        let part = self.bytes.get(from..from + buffer.len());
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        self.count.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }
}
