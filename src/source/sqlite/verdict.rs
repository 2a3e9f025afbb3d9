//! The result of a check: its thoroughness, the parts it left out, its findings.

use serde::{Deserialize, Serialize};

use super::finding::IndexFault;
use crate::model::{
    entry_name::printable, limits::MAX_INTEGRITY_CHECK_BYTES, manifest::FileRecord,
};

/// The thoroughness of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckDepth {
    /// All pages (`PRAGMA quick_check`).
    Quick,
    /// All pages, and the agreement of indexes with their tables (`PRAGMA integrity_check`).
    Integrity,
}

impl CheckDepth {
    /// Returns the check of a database of this size.
    pub fn of_size(bytes: u64) -> CheckDepth {
        match bytes {
            0..=MAX_INTEGRITY_CHECK_BYTES => CheckDepth::Integrity,
            _ => CheckDepth::Quick,
        }
    }

    /// Returns its name in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            CheckDepth::Quick => "quick",
            CheckDepth::Integrity => "integrity",
        }
    }

    /// Returns SQLite's name for it.
    pub fn pragma(self) -> &'static str {
        match self {
            CheckDepth::Quick => "quick_check",
            CheckDepth::Integrity => "integrity_check",
        }
    }
}

/// A part of a table that a check left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The consistency of a virtual table with itself. Its rows lie in other tables, which were checked.
    Virtual,
    /// The agreement of the indexes with the table.
    Indexes,
    /// The whole table.
    Content,
}

/// A table that was not checked, or not as thoroughly as the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchecked {
    /// Its name.
    pub table: String,
    /// The part that was left out.
    pub part: Part,
    /// The reason.
    pub reason: String,
}

/// The extent of the check of a database that is not damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckExtent {
    /// The check that was made.
    pub check: CheckDepth,
    /// The parts that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<Unchecked>,
    /// Values that break the rules of their columns (`NOT NULL`, types), the first ones. They are not damage: the
    /// service wrote them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub odd_values: Vec<String>,
}

impl CheckExtent {
    /// Reads the manifest's description of a database; returns `None` if it does not name the check.
    pub fn of(record: &FileRecord) -> Option<CheckExtent> {
        serde_json::from_value(record.snapshot.clone()?).ok()
    }

    /// Returns the tables that were not checked at all, a sentence for each.
    pub fn left_out(&self, name: &str) -> Vec<String> {
        let of_content = |unchecked: &&Unchecked| unchecked.part == Part::Content;
        let sentence = |unchecked: &Unchecked| {
            format!(
                "table {} of {name} was not checked, because it needs what only its service has: {}",
                printable(&unchecked.table),
                printable(&unchecked.reason)
            )
        };
        let unchecked = self.unchecked.iter();
        unchecked.filter(of_content).map(sentence).collect()
    }

    /// Returns notes for the user, a sentence each.
    pub fn notes(&self, name: &str) -> Vec<String> {
        let mut notes = Vec::new();
        if self.check == CheckDepth::Quick {
            notes.push(format!(
                "{name} is larger than {} GiB: its pages were checked, and not whether its indexes hold what its \
                tables hold (quick_check, not integrity_check)",
                MAX_INTEGRITY_CHECK_BYTES >> 30
            ));
        }
        for unchecked in &self.unchecked {
            let (table, reason) = (printable(&unchecked.table), printable(&unchecked.reason));
            match unchecked.part {
                Part::Virtual => notes.push(format!(
                    "the virtual table {table} of {name} was not checked, only the tables in which its rows lie: {reason}"
                )),
                Part::Indexes => notes.push(format!(
                    "the indexes of table {table} of {name} were not compared with its rows: {reason}"
                )),
                Part::Content => {}
            }
        }
        if !self.odd_values.is_empty() {
            notes.push(format!(
                "{name} holds values that break the rules of their columns, and holds them as they are: {}",
                self.odd_values.join(", ")
            ));
        }
        notes
    }
}

/// The verdict of SQLite.
#[derive(Debug)]
pub enum SqliteVerdict {
    /// It is good.
    Good(CheckExtent),
    /// Its rows are good, but an index is not: the fault of the index.
    Index(IndexFault, CheckExtent),
    /// It is damaged, or is not a database.
    Damaged(String),
}

impl SqliteVerdict {
    /// Returns the same verdict with the extent that was `known` before: a quick check does not see the parts that
    /// another left out.
    pub fn with_known(mut self, known: &CheckExtent) -> SqliteVerdict {
        if let SqliteVerdict::Good(checked) | SqliteVerdict::Index(_, checked) = &mut self {
            checked.clone_from(known);
        }
        self
    }
}
