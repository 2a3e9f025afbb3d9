//! Entries that an archive does not have.

use crate::{
    error::{Failure, Kind},
    model::entry_name::EntryName,
};

/// The failure for an entry that an archive does not have.
pub fn no_such_entry(name: &EntryName) -> Failure {
    Failure::new(Kind::NotFound, format!("the archive has no entry {name}"))
        .hint("`hookshot inspect` lists its entries")
}
