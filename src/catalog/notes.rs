//! The notes of runs beside the archives of a destination, as JSON. What is promised of them stands in
//! [`note`](crate::store::note).
//!
//! The right to write to the destination suffices to forge a note, as an archive. A missing note is the careful
//! answer: the archive counts as old, and its size as fallen.

use anyhow::Result;
use serde::{Serialize, de::DeserializeOwned};

use super::destination::Destination;
pub use crate::model::note::{Accepted, Unchanged};
use crate::{
    context::Context,
    store::{OWN, note},
};

/// Returns the name of the note about the last run that found the archives of `prefix` unchanged.
pub fn unchanged_name(prefix: &str) -> String {
    format!("{OWN}unchanged-{prefix}")
}

/// Returns the name of the note about the acceptance of a small archive of `prefix`.
pub fn accepted_name(prefix: &str) -> String {
    format!("{OWN}accepted-{prefix}")
}

/// Returns the note about the last run that found the archives of `prefix` unchanged. A torn or foreign note counts as
/// none.
pub fn read_unchanged(destination: &Destination, prefix: &str) -> Result<Option<Unchanged>> {
    read(destination, &unchanged_name(prefix))
}

/// Replaces that note.
pub fn write_unchanged(
    context: &Context,
    destination: &Destination,
    prefix: &str,
    note: &Unchanged,
) -> Result<()> {
    write(context, destination, &unchanged_name(prefix), note)
}

/// Returns the note about the acceptance of a small archive of `prefix`. A torn or foreign note counts as none.
pub fn read_accepted(destination: &Destination, prefix: &str) -> Result<Option<Accepted>> {
    read(destination, &accepted_name(prefix))
}

/// Replaces that note.
pub fn write_accepted(
    context: &Context,
    destination: &Destination,
    prefix: &str,
    note: &Accepted,
) -> Result<()> {
    write(context, destination, &accepted_name(prefix), note)
}

fn read<T: DeserializeOwned>(destination: &Destination, name: &str) -> Result<Option<T>> {
    let bytes = note::read(&*destination.store, name)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn write(
    context: &Context,
    destination: &Destination,
    name: &str,
    content: &impl Serialize,
) -> Result<()> {
    let mut bytes = serde_json::to_vec(content)?;
    bytes.push(b'\n');
    note::replace(&*destination.store, name, &bytes, &context.maker())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_with_keys_of_later_versions_and_nothing_else_is() {
        let text = r#"{"time":"2026-11-21T03:00:00Z","run_id":"r","name":"a-20261120-030000.tar.gz","later":[1]}"#;
        let note: Unchanged = serde_json::from_str(text).expect("a note");
        assert_eq!((note.run_id.as_str(), &note.sha256), ("r", &None));
        let written = serde_json::to_string(&note).expect("JSON");
        assert_eq!(
            serde_json::from_str::<Unchanged>(&written).expect("read"),
            note
        );
        for foreign in ["", "{", "null", "[]", r#"{"time":"soon"}"#, &text[..70]] {
            assert!(
                serde_json::from_str::<Unchanged>(foreign).is_err(),
                "{foreign}"
            );
        }
        assert_eq!(unchanged_name("a"), ".hookshot-unchanged-a");
        assert_eq!(accepted_name("a"), ".hookshot-accepted-a");
        assert!(crate::store::is_note(&unchanged_name(&"x".repeat(100))));
    }
}
