//! The names of objects: hookshot's own, those that an archive may get, and those that may already be there.

use crate::error::{Failure, Kind};

/// The beginning of the names that hookshot makes for itself beside the archives.
pub const OWN: &str = ".hookshot-";

/// The kinds of notes, as their names begin after [`OWN`].
const NOTES: [&str; 2] = ["unchanged-", "accepted-"];

/// Returns true if a name is that of a note: one of hookshot's own objects that stay, a kind and what the note is
/// about. Listings hide notes, and no run sweeps them away.
pub fn is_note(name: &str) -> bool {
    let kind = name.strip_prefix(OWN);
    let about = kind.and_then(|kind| NOTES.iter().find_map(|note| kind.strip_prefix(note)));
    about.is_some_and(is_name) && name.len() <= 255
}

/// Returns true if a name may be that of an object: one part of a path, in characters that every store takes as they
/// are.
pub fn is_name(name: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'=');
    (1..=255).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('.')
}

/// Refuses a name that an archive cannot get in every store, unless it is that of a note.
pub(super) fn fit(name: &str) -> Result<(), Failure> {
    if is_name(name) || is_note(name) {
        return Ok(());
    }
    let message = format!("{name:?} cannot be the name of an archive in a store");
    Err(Failure::new(Kind::Usage, message)
        .hint("use letters, digits, `.`, `_` and `-`, and no dot first"))
}

/// Refuses a name that is empty, hookshot's own but not that of a note, or leads elsewhere. Other programs may have
/// stored objects under any other name.
pub(super) fn plain(name: &str) -> Result<(), Failure> {
    let is_part = !name.is_empty() && !name.contains('/') && !matches!(name, "." | "..");
    if is_part && !name.chars().any(char::is_control) && (!name.starts_with(OWN) || is_note(name)) {
        return Ok(());
    }
    let message = format!("{name:?} is not the name of an archive");
    Err(Failure::new(Kind::Usage, message).hint("`hookshot list` shows what is there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_notes_are_names_of_our_own_that_can_be_used() {
        for name in [
            ".hookshot-unchanged-hookshot-state",
            ".hookshot-accepted-a.b_c",
        ] {
            assert!(is_note(name), "{name}");
            assert!(fit(name).is_ok() && plain(name).is_ok(), "{name}");
        }
        let long = format!(".hookshot-unchanged-{}", "x".repeat(236));
        for name in [
            ".hookshot-unchanged-",
            ".hookshot-accepted-.x",
            ".hookshot-accepted-a/b",
            ".hookshot-upload-accepted-x",
            ".hookshot-x",
            "unchanged-x",
            &long,
        ] {
            assert!(!is_note(name), "{name}");
        }
        assert!(fit(".hookshot-upload-x").is_err() && plain(".hookshot-upload-x").is_err());
    }
}
