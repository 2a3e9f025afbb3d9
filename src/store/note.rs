//! Notes: small objects beside the archives that a later run replaces. Their names satisfy [`is_note`](super::is_note).
//!
//! Promised: a reader finds a whole note or none, and a folder keeps a finished one through a power cut, 0600. Not
//! promised: that a note is replaced in one step, because not every store can do that. A run that ends between the two
//! steps leaves none. Nor which of two notes stays that are written at the same moment.

use anyhow::{Context as _, Result};

use super::{
    contract::Store,
    failures::{is_cold, is_taken},
    marker::Maker,
};
use crate::{
    error::{Failure, Kind},
    model::{digest::Digest, limits::MAX_NOTE_BYTES},
};

/// The attempts to write a note while other runs write the same one.
const ATTEMPTS: u32 = 3;

/// Returns the bytes of a note; `None` if it does not exist, cannot be read before it is thawed, or is larger than
/// [`MAX_NOTE_BYTES`].
pub fn read(store: &dyn Store, name: &str) -> Result<Option<Vec<u8>>> {
    let read = || -> Result<Option<Vec<u8>>> {
        let source = store.open(name)?;
        let length = source.length()?;
        if length > MAX_NOTE_BYTES {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(length)?];
        source.read_exact_at(&mut bytes, 0)?;
        Ok(Some(bytes))
    };
    match read() {
        Err(error) => match Failure::of(&error) {
            failure if failure.kind == Kind::NotFound || is_cold(&failure) => Ok(None),
            _ => Err(error).with_context(|| {
                format!(
                    "cannot read {name}, a note beside the archives, in {}",
                    store.shown()
                )
            }),
        },
        read => read,
    }
}

/// Writes a note in place of an earlier one.
pub fn replace(store: &dyn Store, name: &str, bytes: &[u8], maker: &Maker) -> Result<()> {
    let put = || -> Result<()> {
        store.remove(name)?;
        let mut upload = store.create(name, bytes.len() as u64, maker)?;
        upload.write_all(bytes)?;
        upload.finish(&Digest::of(bytes))?;
        Ok(())
    };
    let mut attempts = 1;
    loop {
        match put() {
            // Another run wrote one between the two steps.
            Err(error) if attempts < ATTEMPTS && is_taken(&Failure::of(&error)) => attempts += 1,
            written => {
                return written
                    .with_context(|| format!("cannot write the note {name} in {}", store.shown()));
            }
        }
    }
}
