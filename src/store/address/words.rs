//! Words of the command line: tells a URL from a path of this machine.

use std::{ffi::OsStr, path::Path};

use super::{
    misread::{Word, read},
    schemes::url_parts,
};
use crate::{
    error::{Failure, Kind},
    model::entry_name::printable,
};

/// Tells a URL from a path of this machine, in a word of the command line that names an archive. An existing file
/// counts as a path, whatever its name.
pub fn word(text: &str) -> Result<Word<'_>, String> {
    if url_parts(text).is_none() && Path::new(text).is_file() {
        return Ok(Word::Path);
    }
    read(text)
}

/// Returns the text of a word of the command line; `None` for a path of this machine that is not UTF-8. A destination
/// and a remote address have names in UTF-8. The fault never repeats a password.
pub fn text_of(word: &OsStr) -> Result<Option<&str>, String> {
    if let Some(text) = word.to_str() {
        return Ok(Some(text));
    }
    let lossy = word.to_string_lossy();
    if lossy.starts_with('@') {
        return Err(format!(
            "{} is not UTF-8, as names of destinations are; a path of such a name is written with ./ before it",
            printable(&lossy)
        ));
    }
    if url_parts(&lossy).is_none() && Path::new(word).is_file() {
        return Ok(None);
    }
    match read(&lossy)? {
        Word::Path => Ok(None),
        Word::Url(url) => {
            let (scheme, _) = url_parts(&url).unwrap_or_default();
            Err(format!(
                "a URL of {scheme} is UTF-8, and this one has other bytes; a path of such a name is written with ./ before it"
            ))
        }
    }
}

/// Refuses a path that looks like a remote address, unless it exists.
pub fn require_path(path: &Path) -> Result<(), Failure> {
    let text = path.symlink_metadata().is_err();
    let text = text.then(|| path.to_string_lossy());
    match text.as_deref().map(read) {
        None | Some(Ok(Word::Path)) => Ok(()),
        Some(Ok(Word::Url(url))) => {
            // It may hold a password.
            let (scheme, _) = url_parts(&url).unwrap_or_default();
            let message = format!("a URL of {scheme} is not a path of this machine");
            Err(Failure::new(Kind::Usage, message)
                .hint("a folder of such a name is written with ./ before it"))
        }
        Some(Err(fault)) => Err(Failure::new(Kind::Usage, fault)),
    }
}
