//! The source and the destination that the words of a copy name.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

use anyhow::Result;

use crate::{
    catalog::destination::{ArchiveAt, Destination, LATEST, as_path},
    config::Settings,
    context::Context,
    disk::folder_of,
    error::{Failure, Kind},
    model::{archive_name::is_archive_file, entry_name::printable},
    store::{
        Address, Word,
        address::{self, text_of},
    },
};

/// The place that is read, and the name of the one archive there that is meant, if it is one.
pub fn source(
    context: &Context,
    settings: &Settings,
    word: &OsStr,
) -> Result<(Destination, Option<String>)> {
    let place = || Ok((Destination::open(context, settings, word)?, None));
    let Some(text) = text_of(word).map_err(usage)? else {
        return on_this_machine(context, settings, word);
    };
    if let Some(named) = text.strip_prefix('@') {
        return match named.split_once('/') {
            None => place(),
            Some((name, "")) => Ok((
                Destination::open(context, settings, format!("@{name}"))?,
                None,
            )),
            Some(_) => archive(context, settings, text),
        };
    }
    if let Word::Url(text) = address::word(text).map_err(usage)? {
        let is_place = match Address::parse(&text).map_err(usage)? {
            Address::Folder(path) => path.is_dir(),
            _ => !is_archive_file(&*text) && !names_latest(&text),
        };
        return if is_place {
            Ok((Destination::open(context, settings, &*text)?, None))
        } else {
            archive(context, settings, &text)
        };
    }
    on_this_machine(context, settings, word)
}

/// The folder or the archive at a path of this machine.
fn on_this_machine(
    context: &Context,
    settings: &Settings,
    word: &OsStr,
) -> Result<(Destination, Option<String>)> {
    let path = Path::new(word);
    if path.is_dir() || word.as_bytes().ends_with(b"/") {
        return Ok((Destination::open(context, settings, word)?, None));
    }
    let name = path.file_name();
    let name = name.ok_or_else(|| usage(format!("{word:?} names no archive")))?;
    let Some(name) = name.to_str() else {
        let path = printable(&path.to_string_lossy());
        return Err(usage(format!("the name of {path} is not UTF-8"))
            .hint("the copy would have the same name, and not every place can hold it: rename the archive first")
            .into());
    };
    let folder = Destination::open(context, settings, as_path(&folder_of(path)))?;
    Ok((folder, Some(name.to_owned())))
}

/// Returns true if a URL ends in the word for the newest archive, below a bucket or a host.
fn names_latest(url: &str) -> bool {
    matches!(Address::parse_archive(url), Ok(Some((_, name))) if name == LATEST)
}

fn archive(
    context: &Context,
    settings: &Settings,
    text: &str,
) -> Result<(Destination, Option<String>)> {
    let at = ArchiveAt::parse(text).map_err(usage)?;
    let at = at.ok_or_else(|| usage(format!("{text} names no archive")))?;
    let (place, name) = at.open(context, settings)?;
    Ok((place, Some(name)))
}

/// The place that is written to.
pub fn target(context: &Context, settings: &Settings, word: &OsStr) -> Result<Destination> {
    let Some(text) = text_of(word).map_err(usage)? else {
        let names_archive = is_archive_file(word.as_bytes());
        if names_archive && !Path::new(word).is_dir() {
            return Err(names_an_archive(&printable(&word.to_string_lossy())).into());
        }
        return Destination::open(context, settings, word);
    };
    let text = match text.strip_prefix('@') {
        Some(_) => text.strip_suffix('/').unwrap_or(text),
        None => text,
    };
    let names_archive = text.starts_with('@') && text.contains('/') || is_archive_file(text);
    if names_archive && !Path::new(text).is_dir() {
        return Err(names_an_archive(text).into());
    }
    Destination::open(context, settings, text)
}

fn names_an_archive(text: &str) -> Failure {
    usage(format!(
        "{text} names an archive, and an archive is copied to a place"
    ))
    .hint(
        "name the destination, the bucket with its prefix, or the folder; the archive keeps its name",
    )
}

fn usage(fault: impl Into<String>) -> Failure {
    Failure::new(Kind::Usage, fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_may_be_called_latest() {
        for url in ["s3://latest", "s3://bucket/latest/", "s3://bucket/x-latest"] {
            assert!(!names_latest(url), "{url}");
        }
        assert!(names_latest("s3://bucket/latest"));
    }
}
