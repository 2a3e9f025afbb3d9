//! The verification of a sealed archive that no key opens: its bytes are compared with those that this machine proved.

use anyhow::{Context as _, Result};

use crate::{
    catalog::{
        input::ArchiveInput,
        known::KnownArchives,
        outside::{other_bytes, other_size},
    },
    context::Context,
    error::{Failure, Kind},
    model::{digest::Digest, known_archive::KnownContent},
    store::Pages,
};

/// Reads all of the archive, and returns what it holds by the record of this machine; `None` if it keeps none.
///
/// Errors: [`Kind::Refused`] if the bytes are others.
pub fn compare(
    context: &Context,
    known: Option<&KnownArchives>,
    location: &ArchiveInput,
) -> Result<Option<KnownContent>> {
    let Some(record) = location.record(known) else {
        return Ok(None);
    };
    let Some(source) = location.bytes()? else {
        return Ok(None);
    };
    let shown = location.shown();
    let reading = || format!("cannot read {shown}");
    let size_bytes = source.length().with_context(reading)?;
    if size_bytes != record.size_bytes {
        return Err(other_bytes(&shown, &other_size(size_bytes, &record)).into());
    }
    context.begin("verifying", Some(size_bytes));
    let pages = context.watch(Pages::new(source).with_context(reading)?);
    let (digest, _) = Digest::of_reader(pages).with_context(reading)?;
    match digest.to_string() == record.sha256 {
        true => Ok(Some(record.content)),
        false => {
            let why = format!("its SHA-256 is {digest}, and was {}", record.sha256);
            Err(other_bytes(&shown, &why).into())
        }
    }
}

/// Returns the failure of an archive whose bytes are those that were proven, and that was not opened.
pub fn unopened(shown: &str) -> Failure {
    let message =
        format!("{shown} has the bytes that this machine proved; no key is given that opens it");
    Failure::new(Kind::Partial, message)
        .hint("a key (--identity FILE) proves that it can be opened")
}
