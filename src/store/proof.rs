//! The proof that a store holds an upload, and the failure without one.

use std::{io, sync::Arc};

use anyhow::Result;

use super::pages::Pages;
use crate::{
    error::{Failure, Kind},
    model::digest::Digest,
    work::ReadAt,
};

/// Returns the failure of a store that does not prove that it holds the upload.
pub fn unproven(place: &str, name: &str, why: &str) -> Failure {
    let message = format!("{place} did not prove that it holds {name}: {why}");
    Failure::new(Kind::Unproven, message)
        .hint("nothing was removed anywhere; look at the store, and export again")
}

/// Returns true if `digest` is that of all bytes of `source`.
pub fn is_same(source: Arc<dyn ReadAt + Send + Sync>, digest: &Digest) -> Result<bool> {
    let (found, _) = Digest::of_reader(Pages::new(source)?)?;
    Ok(found == *digest)
}

/// Turns the error that ended a proof into a failure. An interruption stays one; any other error means that the upload
/// is unproven.
pub fn not_proven(place: &str, name: &str, error: &anyhow::Error) -> anyhow::Error {
    let failure = Failure::of(error);
    match failure.kind {
        Kind::Interrupted(_) | Kind::Unproven => failure.into(),
        _ => unproven(place, name, &failure.message).into(),
    }
}

/// Turns an error into one of I/O, with its kind and its hint.
pub fn io_error(error: anyhow::Error) -> io::Error {
    Failure::of(&error).into()
}
