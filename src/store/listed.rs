//! Limits of what a server lists, so that an endless listing ends.

use anyhow::Result;

use crate::{
    error::{Failure, Kind},
    model::limits::MAX_STORED_NAMES,
};

/// The most folders of a destination that are remembered.
pub const MOST_FOLDERS: usize = 1_000;

/// Fails if a listing returned more names than a destination of archives may have. The error advises the user to check
/// `look_at`.
pub fn require_end(names: usize, doing: &str, look_at: &str) -> Result<()> {
    if names <= MAX_STORED_NAMES {
        return Ok(());
    }
    let message =
        format!("{doing}: it has more than {MAX_STORED_NAMES} names, or its listing has no end");
    let hint = format!("look at {look_at}; archives need a folder or prefix of their own");
    Err(Failure::new(Kind::Unproven, message).hint(hint).into())
}
