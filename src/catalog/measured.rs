//! SHA-256 and size of what a reader read, for a caller that gave the reader away.

use std::{
    cell::RefCell,
    io::{self, Read},
    rc::Rc,
};

use anyhow::{Context as _, Result};

use crate::model::digest::{Digest, HashingReader};

/// SHA-256 and size of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// The digest.
    pub digest: Digest,
    /// The size.
    pub size_bytes: u64,
}

impl Measured {
    /// Reads to the end.
    pub fn of(mut reader: impl Read) -> Result<Measured> {
        let (digest, size_bytes) = Digest::of_reader(&mut reader)?;
        Ok(Measured { digest, size_bytes })
    }
}

/// A reader that another part of the code reads, and whose bytes are measured at its end.
pub struct Shared<R>(Rc<RefCell<HashingReader<R>>>);

impl<R: Read> Shared<R> {
    /// Takes the reader.
    pub fn new(reader: R) -> Shared<R> {
        Shared(Rc::new(RefCell::new(HashingReader::new(reader))))
    }

    /// Reads what is left, and returns the measure of all bytes. The other part must have ended.
    pub fn measured(mut self) -> Result<Measured> {
        io::copy(&mut self, &mut io::sink())?;
        let reader = Rc::into_inner(self.0).context("the archive is still being read")?;
        let (digest, size_bytes) = reader.into_inner().finish();
        Ok(Measured { digest, size_bytes })
    }
}

impl<R> Clone for Shared<R> {
    fn clone(&self) -> Shared<R> {
        Shared(self.0.clone())
    }
}

impl<R: Read> Read for Shared<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}
