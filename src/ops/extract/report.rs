//! The request for an extraction, and its report.

use std::path::PathBuf;

use serde::Serialize;

use crate::work::remarks::Remarks;

/// The destination of the entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtractOutput {
    /// One after the other to standard output.
    Stdout,
    /// Under their names into a folder.
    Folder(PathBuf),
}

/// The results of an extraction.
#[derive(Debug, Serialize)]
pub struct ExtractReport {
    /// The archive.
    pub archive: String,
    /// Its path, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_escaped: Option<String>,
    /// The entries.
    pub entries: Vec<Extracted>,
    /// The parts of directories that were left out.
    #[serde(flatten)]
    pub remarks: Remarks,
}

/// One entry, or a directory.
#[derive(Debug, Serialize)]
pub struct Extracted {
    /// Its name.
    pub entry: String,
    /// The file or the folder that it became; absent for standard output.
    pub path: Option<String>,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_escaped: Option<String>,
    /// Its size; of a directory, that of its files.
    pub size_bytes: u64,
}
