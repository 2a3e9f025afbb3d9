//! The report of a comparison.

use serde::Serialize;

use super::spool::DiffEntries;
use crate::{
    error::{Failure, Kind},
    work::remarks::Remarks,
};

/// The differences.
#[derive(Debug, Serialize)]
pub struct DiffReport {
    /// Entry by entry, sorted by name; those of a directory of many files are in the order of its listing.
    pub entries: DiffEntries,
    /// Remarks about what was not compared.
    #[serde(flatten)]
    pub remarks: Remarks,
}

impl DiffReport {
    /// Returns true if anything differs.
    pub fn differs(&self) -> bool {
        self.entries.differing() > 0
    }

    /// Returns the failure with which `diff` ends: a part was not compared, or something differs.
    pub fn failure(&self) -> Option<Failure> {
        let count = self.entries.differing();
        let differs = || Failure::new(Kind::Differs, format!("{count} entries differ"));
        let failure = self.remarks.failure();
        failure.or_else(|| self.differs().then(differs))
    }
}
