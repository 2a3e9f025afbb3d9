//! The report of a comparison.

use serde::Serialize;

/// The differences.
#[derive(Debug, Serialize)]
pub struct DiffReport {
    /// Entry by entry, sorted by name.
    pub entries: Vec<EntryDiff>,
}

/// The result of comparing one entry. The names in JSON are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffState {
    /// The same on both sides.
    Unchanged,
    /// Different.
    Changed,
    /// Only here.
    OnlyHere,
    /// Only there.
    OnlyThere,
}

impl DiffState {
    /// Returns a description for people.
    pub fn name(self) -> &'static str {
        match self {
            DiffState::Unchanged => "unchanged",
            DiffState::Changed => "changed",
            DiffState::OnlyHere => "only here",
            DiffState::OnlyThere => "only there",
        }
    }
}

/// The comparison of one entry. `here` is the machine, or the first of two archives; `there` is the other.
#[derive(Debug, Serialize)]
pub struct EntryDiff {
    /// Its name.
    pub entry: String,
    /// The result of the comparison.
    pub state: DiffState,
    /// Its size here.
    pub here_bytes: Option<u64>,
    /// Its size there.
    pub there_bytes: Option<u64>,
    /// The lines that differ, as a unified diff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl DiffReport {
    /// Returns true if anything differs.
    pub fn differs(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.state != DiffState::Unchanged)
    }
}
