//! The names of objects: hookshot's own, those that an archive may get, and those that may already be there.

use crate::error::{Failure, Kind};

/// The beginning of the names that hookshot makes for itself beside the archives.
pub const OWN: &str = ".hookshot-";

/// Returns true if a name may be that of an object: one part of a path, in characters that every store takes as they
/// are.
pub fn is_name(name: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'=');
    (1..=255).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('.')
}

/// Refuses a name that an archive cannot get in every store.
pub(super) fn fit(name: &str) -> Result<(), Failure> {
    if is_name(name) {
        return Ok(());
    }
    let message = format!("{name:?} cannot be the name of an archive in a store");
    Err(Failure::new(Kind::Usage, message)
        .hint("use letters, digits, `.`, `_` and `-`, and no dot first"))
}

/// Refuses a name that is empty, hookshot's own, or leads elsewhere. Other programs may have stored objects under any
/// other name.
pub(super) fn plain(name: &str) -> Result<(), Failure> {
    let is_part = !name.is_empty() && !name.contains('/') && !matches!(name, "." | "..");
    if is_part && !name.chars().any(char::is_control) && !name.starts_with(OWN) {
        return Ok(());
    }
    let message = format!("{name:?} is not the name of an archive");
    Err(Failure::new(Kind::Usage, message).hint("`hookshot list` shows what is there"))
}
