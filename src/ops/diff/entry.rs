//! The comparison of one entry.

use serde::{Deserialize, Serialize};

/// The result of comparing one entry. The names in JSON are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
///
/// The fields are in the order of their names, which is the order of the keys in every JSON that hookshot prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryDiff {
    /// Its name.
    pub entry: String,
    /// Its size here.
    pub here_bytes: Option<u64>,
    /// The result of the comparison.
    pub state: DiffState,
    /// The lines that differ, as a unified diff.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// Its size there.
    pub there_bytes: Option<u64>,
}
