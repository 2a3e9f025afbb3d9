//! The snapshots of a repository, whichever program made them.

use std::io::Read;

use anyhow::Result;
use chrono::{DateTime, Utc};

use crate::archive::foreign_tar::ForeignMember;

/// The fewest hexadecimal digits by which a word names a snapshot.
const LEAST_DIGITS: usize = 4;
/// The digits of a whole identifier.
const DIGITS: usize = 64;

/// A snapshot of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its identifier, in hexadecimal digits.
    pub id: String,
    /// Its time.
    pub time: Option<DateTime<Utc>>,
    /// The machine that it is of.
    pub hostname: String,
    /// The files and folders that were backed up.
    pub paths: Vec<String>,
    /// The name of its archive; `None` if another program made it.
    pub archive: Option<String>,
}

impl Snapshot {
    /// Returns the first digits of its identifier, as restic shows it.
    pub fn short_id(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }
}

/// The files of a snapshot that another program made, and everything else in it.
pub trait SnapshotTree {
    /// Passes on each node, a folder before the nodes in it, with the content of a file. Its path is below the folder that
    /// was asked for. All that is read is compared with the digests by which the snapshot names it.
    fn walk(
        &mut self,
        take: &mut dyn FnMut(ForeignMember, &mut dyn Read) -> Result<()>,
    ) -> Result<()>;

    /// Opens the content of the file at a path that the walk passed on.
    fn open(&mut self, path: &[u8]) -> Result<Box<dyn Read>>;
}

/// Returns true if a word may be the identifier of a snapshot, or the beginning of one.
pub fn is_snapshot_id(word: &str) -> bool {
    let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    (LEAST_DIGITS..=DIGITS).contains(&word.len()) && word.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_told_from_names() {
        for id in ["0123", "deadbeef", &"a".repeat(64)] {
            assert!(is_snapshot_id(id), "{id}");
        }
        for name in ["", "abc", "latest", "DEADBEEF", "x.tar.gz", &"a".repeat(65)] {
            assert!(!is_snapshot_id(name), "{name}");
        }
    }
}
