//! The report of an export.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::{
    error::{Failure, Kind},
    model::{change_counts::Changes, entry_name::printable},
    source::sqlite::verdict::CheckDepth,
    store::Proof,
    work::remarks::Remarks,
};

/// The results of an export.
#[derive(Debug, Serialize)]
pub struct ExportReport {
    /// The archive, `-` for standard output; with several outputs the first that holds it.
    pub archive: String,
    /// Its path, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_escaped: Option<String>,
    /// The result of each output.
    pub outputs: Vec<OutputReport>,
    /// The number of its entries.
    pub files: usize,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of the whole file.
    pub sha256: String,
    /// Its root folder.
    pub root: String,
    /// Bytes of content that were not compressed again, because an earlier archive had them.
    pub reused_bytes: u64,
    /// The method that copied the database.
    pub snapshot: Value,
    /// Entries of directories that are databases, and were copied as such.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
    /// The check that SQLite made of each of its databases: `integrity` or `quick`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, CheckDepth>,
    /// Entries that changed each time they were read: the archive has them as they were read last, which may be no
    /// state that they ever had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub torn: Vec<String>,
    /// Remarks about what was left undone, and what is worth knowing.
    #[serde(flatten)]
    pub remarks: Remarks,
    /// The bytes of all entries together.
    pub content_bytes: u64,
    /// The difference from the archive before, if that could be read and tells it.
    #[serde(skip)]
    pub changes: Option<Changes>,
    /// True if every output is proven to hold the archive. The archive itself is good: one that is not is an error.
    pub verified: bool,
    /// The mark of the archive: `forever`, or until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// The duration of the export in seconds.
    pub duration_seconds: f64,
}

/// The result of one output.
#[derive(Debug, Serialize)]
pub struct OutputReport {
    /// The archive there.
    pub archive: String,
    /// Its path, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_escaped: Option<String>,
    /// True if the archive is proven to be there.
    pub good: bool,
    /// The proof.
    pub proof: Option<Proof>,
    /// SHA-256 of the file there, if it is proven to be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The size of the file there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// True if it is sealed.
    pub sealed: bool,
    /// The message of the failure.
    pub error: Option<String>,
    /// The advice to the user.
    #[serde(skip)]
    pub hint: Option<String>,
    /// True if another archive of the same second got its name first.
    #[serde(skip)]
    pub outrun: bool,
    /// The kind of the failure.
    #[serde(skip)]
    pub kind: Option<Kind>,
}

impl ExportReport {
    /// Returns the failure that the export ends in, if an output does not hold the archive or something is not in it.
    pub fn failure(&self) -> Option<Failure> {
        let missing = self.outputs.iter().filter_map(|one| one.error.as_ref());
        let mut faults: Vec<String> = missing.cloned().collect();
        let undone = self.remarks.failure();
        let torn = self.torn.iter().map(|entry| {
            let entry = printable(entry);
            format!("{entry} is torn: it changed each time it was read")
        });
        if let Some(first) = faults.first() {
            let (count, all) = (faults.len(), self.outputs.len());
            let message =
                format!("{count} of {all} outputs are not proven to hold the archive: {first}");
            faults.extend(torn);
            faults.extend(undone.into_iter().flat_map(|undone| undone.faults));
            return Some(
                Failure::new(Kind::Unproven, message)
                    .hint(format!(
                        "the archive is good, and the other outputs hold it; {}",
                        advice(&self.outputs)
                    ))
                    .faults(faults),
            );
        }
        let faults: Vec<String> = torn.collect();
        match (undone, faults.first()) {
            (Some(mut undone), _) => {
                undone.faults.extend(faults);
                Some(undone)
            }
            (None, Some(first)) => {
                let message = format!("finished, with parts left undone: {first}");
                Some(Failure::new(Kind::Partial, message).faults(faults))
            }
            (None, None) => None,
        }
    }
}

/// Returns what can be done about the first output that does not hold the archive.
fn advice(outputs: &[OutputReport]) -> &str {
    let missing = outputs.iter().find(|output| output.error.is_some());
    let hint = missing.and_then(|output| output.hint.as_deref());
    hint.unwrap_or("`hookshot check` tells what the destination can do")
}

/// The failure of an archive that no destination holds.
pub fn nowhere(outputs: &[OutputReport]) -> Failure {
    let faults = outputs.iter().filter_map(|arrival| arrival.error.clone());
    let faults: Vec<String> = faults.collect();
    let first = faults.first().cloned().unwrap_or_default();
    // A reason that all of them share has an exit code of its own.
    let told = [Kind::Space, Kind::Blocked, Kind::Key];
    let shared = |kind: &Kind| outputs.iter().all(|one| one.kind == Some(*kind));
    let kind = told.into_iter().find(shared).unwrap_or(Kind::Unproven);
    let hint = match kind {
        Kind::Space => "no archive was stored; free some space there, or prune".to_owned(),
        _ => format!("no archive was stored; {}", advice(outputs)),
    };
    Failure::new(kind, first).hint(hint).faults(faults)
}

/// Returns the outcome at a place that does not have the archive because of `error`.
pub fn failed_by(archive: String, error: &anyhow::Error) -> OutputReport {
    OutputReport {
        hint: Failure::of(error).hint,
        kind: Some(Failure::of(error).kind),
        ..failed(archive, format!("{error:#}"))
    }
}

/// Returns the report for a destination that does not have the archive.
pub fn failed(archive: String, message: String) -> OutputReport {
    let error = Some(format!("{archive}: {message}"));
    OutputReport {
        archive,
        archive_escaped: None,
        good: false,
        proof: None,
        sha256: None,
        size_bytes: None,
        sealed: false,
        error,
        hint: None,
        outrun: false,
        kind: None,
    }
}
