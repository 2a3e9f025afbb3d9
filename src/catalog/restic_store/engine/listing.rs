//! The files in the folders of a repository, as its store lists them.

use anyhow::Result;

use crate::{
    error::{Failure, Kind},
    store::{Store, Stored},
};

/// The folder of the files that hold the content of states.
pub const DATA: &str = "data";

/// Returns the size of a file in bytes, as the engine counts it.
pub fn size(stored: &Stored) -> u32 {
    u32::try_from(stored.size_bytes).unwrap_or(u32::MAX)
}

/// Passes on the files of a folder; one that does not exist has none.
pub fn files(folder: &dyn Store, take: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()> {
    match folder.list(take) {
        Err(error) if Failure::of(&error).kind == Kind::NotFound => Ok(()),
        result => result,
    }
}

/// Passes on the files in all folders below a folder, if its store does that at once.
pub fn below(folder: &dyn Store, take: &mut dyn FnMut(Stored) -> Result<()>) -> Result<bool> {
    match folder.list_below(take) {
        Err(error) if Failure::of(&error).kind == Kind::NotFound => Ok(true),
        result => result,
    }
}
