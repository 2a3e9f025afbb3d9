//! A reader that ends with an error if a header is longer than any header is.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::header::MAX_HEADER_BYTES;

/// The number of bytes that may still be read.
#[derive(Clone)]
pub struct Allowance(Arc<AtomicU64>);

impl Allowance {
    /// Ends the limit.
    pub fn lift(&self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }
}

/// A reader with a limit that can be lifted.
pub struct Bounded<R> {
    inner: R,
    left: Arc<AtomicU64>,
}

impl<R> Bounded<R> {
    /// Limits `inner` to the bytes of a header, and returns the way to lift the limit.
    pub fn new(inner: R) -> (Bounded<R>, Allowance) {
        let left = Arc::new(AtomicU64::new(MAX_HEADER_BYTES));
        let allowance = Allowance(left.clone());
        (Bounded { inner, left }, allowance)
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == u64::MAX {
            return self.inner.read(buffer);
        }
        if left == 0 && !buffer.is_empty() {
            let message = format!("its header is longer than {MAX_HEADER_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let most = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.inner.read(&mut buffer[..most])?;
        self.left.fetch_sub(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: Seek> Seek for Bounded<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
