//! The report of a copy.

use serde::Serialize;

use crate::{
    context::Context,
    error::{Failure, Kind},
    store::Proof,
    work::remarks::Remarks,
};

/// The results of a copy.
#[derive(Debug, Serialize)]
pub struct CopyReport {
    /// The archives that were copied to the destination.
    pub copied: Vec<CopiedArchive>,
    /// The archives that the destination held already.
    pub skipped: Vec<SkippedArchive>,
    /// The archives that the destination does not hold.
    pub failed: Vec<FailedCopy>,
    /// The summary of the failures, if an archive failed.
    #[serde(skip)]
    pub failure: Option<Failure>,
    /// The parts of a snapshot that no archive can have.
    #[serde(flatten)]
    pub remarks: Remarks,
}

impl CopyReport {
    /// Returns the report of a copy that has not begun.
    pub(super) fn new(context: &Context) -> CopyReport {
        CopyReport {
            copied: Vec::new(),
            skipped: Vec::new(),
            failed: Vec::new(),
            failure: None,
            remarks: context.remarks(),
        }
    }

    /// Returns the name of the only archive there, if it was copied, or is the same state for certain.
    pub fn name_there(&self) -> Option<&str> {
        let copied = self.copied.first().map(|copied| &*copied.name);
        copied.or_else(|| {
            let mut skipped = self.skipped.iter();
            let same = skipped.find(|skipped| skipped.known_by == KnownBy::Manifest);
            same.map(|skipped| &*skipped.name)
        })
    }
}

/// An archive that was copied.
#[derive(Debug, Serialize)]
pub struct CopiedArchive {
    /// Its name.
    pub name: String,
    /// The location that it was read from.
    pub from: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_escaped: Option<String>,
    /// The location of the copy.
    pub to: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_escaped: Option<String>,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of the whole file.
    pub sha256: String,
    /// The proof that the destination holds it.
    pub proof: Proof,
    /// `outside` if no key opens it: it arrived as it was, and what it holds is not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<&'static str>,
}

/// The sign by which an archive is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// Its name and size.
    NameAndSize,
    /// The SHA-256 of its manifest: it is the same state, whatever its name.
    Manifest,
}

/// An archive that the destination held already.
#[derive(Debug, Serialize)]
pub struct SkippedArchive {
    /// Its name there.
    pub name: String,
    /// The location of the archive.
    pub to: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_escaped: Option<String>,
    /// Its size.
    pub size_bytes: u64,
    /// The sign by which it is known.
    pub known_by: KnownBy,
}

/// An archive that was not copied.
#[derive(Debug, Serialize)]
pub struct FailedCopy {
    /// Its name.
    pub name: String,
    /// The kind of the failure.
    pub kind: &'static str,
    /// The message of the failure.
    pub message: String,
}

/// Returns the failure if some archives were copied that no key opens; it says what that means.
pub(super) fn unopened(copied: &[CopiedArchive]) -> Option<Failure> {
    let unopened = copied.iter().filter(|copied| copied.proven.is_some());
    let faults: Vec<String> = unopened
        .map(|copied| {
            format!(
                "{} arrived as it was, and what it holds is not seen",
                copied.to
            )
        })
        .collect();
    if faults.is_empty() {
        return None;
    }
    let message = format!(
        "{} of {} copied archives are sealed, and no given key opens them",
        faults.len(),
        copied.len()
    );
    let hint = "they are proven to have arrived; `hookshot verify` with a key (--identity FILE) proves what they hold";
    Some(
        Failure::new(Kind::Partial, message)
            .hint(hint)
            .faults(faults),
    )
}

/// Returns the summary of the failures of some of `all` archives.
pub(super) fn summary(failures: &[Failure], all: usize) -> Option<Failure> {
    let (first, others) = failures.split_first()?;
    if others.is_empty() && all == 1 {
        return Some(first.clone());
    }
    let count = failures.len();
    let kind = if count == all {
        first.kind
    } else {
        Kind::Partial
    };
    let message = format!("{count} of {all} archives were not copied");
    // The advice for one archive alone may say that nothing was changed.
    let hint = match (first.hint.as_deref(), first.kind) {
        (_, Kind::Refused) if kind == Kind::Partial => {
            "the others are there; a damaged archive needs another copy in its place, or `hookshot delete`"
        }
        (Some(hint), _) => hint,
        (None, _) => "the copied archives are proven; copy again for the others",
    };
    Some(
        Failure::new(kind, message).hint(hint).faults(
            failures
                .iter()
                .map(|failure| failure.message.clone())
                .collect(),
        ),
    )
}
