//! The report of a comparison.

use serde::Serialize;

use super::spool::DiffEntries;

/// The differences.
#[derive(Debug, Serialize)]
pub struct DiffReport {
    /// Entry by entry, sorted by name; those of a directory of many files are in the order of its listing.
    pub entries: DiffEntries,
}

impl DiffReport {
    /// Returns true if anything differs.
    pub fn differs(&self) -> bool {
        self.entries.differing() > 0
    }
}
