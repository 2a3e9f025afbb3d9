//! Attributes that an import does not restore.

use std::collections::BTreeSet;

use crate::model::{limits::MAX_OWNERS, named::Named};

/// Attributes that are not restored, in words.
#[derive(Default)]
pub struct LostAttributes {
    /// All that the archive has.
    pub in_the_archive: Named,
    /// Those that this machine's directory does not have either.
    pub everywhere: Named,
    /// The owners that the file system refuses.
    pub owners: BTreeSet<String>,
}

impl LostAttributes {
    /// Adds the refusal of an owner, if there is one.
    pub fn add_owner(&mut self, refused: Option<String>) {
        if self.owners.len() < MAX_OWNERS {
            self.owners.extend(refused);
        }
    }

    /// Adds one; `is_here` if this machine's directory has it.
    pub fn add(&mut self, is_here: bool, say: impl Fn() -> String) {
        self.in_the_archive.add(&say);
        if !is_here {
            self.everywhere.add(&say);
        }
    }
}
