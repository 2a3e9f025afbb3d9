//! A bound on what an archive inflates to, so that a bomb is found while it inflates.

use std::io::{self, BufRead, Read};

use super::Fault;
use crate::model::{
    limits::{MAX_DEFLATE_RATIO, TAR_OVERHEAD_BYTES, TAR_SLACK_BYTES},
    manifest::Manifest,
};

/// Returns the most bytes that the tar of `manifest` may have beside `manifest_bytes` of its text.
pub fn promise(manifest: &Manifest, manifest_bytes: u64) -> u64 {
    let overhead = manifest.count().saturating_mul(TAR_OVERHEAD_BYTES);
    let tar = manifest.total_bytes().saturating_add(overhead);
    tar.saturating_add(TAR_SLACK_BYTES)
        .saturating_add(manifest_bytes)
}

/// Returns the fault of an archive that promises more than a file of `length` bytes can hold, however well it shrinks.
pub fn impossible(manifest: &Manifest, length: u64) -> Option<Fault> {
    let promised = manifest.total_bytes();
    let most = length.saturating_mul(MAX_DEFLATE_RATIO);
    let reason = format!("promises {promised} bytes, more than a file of {length} bytes can hold");
    (promised > most).then_some(Fault::Manifest(reason))
}

/// A reader that refuses to give more than it may.
pub struct Budget<R> {
    inner: R,
    left: u64,
    promised: u64,
}

impl<R> Budget<R> {
    /// Lets `bytes` of `inner` pass.
    pub fn new(inner: R, bytes: u64) -> Budget<R> {
        Budget {
            inner,
            left: bytes,
            promised: 0,
        }
    }

    /// Returns the reader below.
    pub fn inner(&self) -> &R {
        &self.inner
    }

    /// Lets `bytes` pass from here on; `promised` is what messages name.
    pub fn allow(&mut self, promised: u64, bytes: u64) {
        self.promised = promised;
        self.left = bytes;
    }
}

impl<R: BufRead> BufRead for Budget<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.inner.fill_buf()?;
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        if most == 0 && !bytes.is_empty() {
            let promised = self.promised;
            return Err(Fault::TooMuch { promised }.into());
        }
        Ok(&bytes[..bytes.len().min(most)])
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
        self.left = self.left.saturating_sub(amount as u64);
    }
}

impl<R: BufRead> Read for Budget<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
