//! The source and the destination that the words of a copy name.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

use anyhow::Result;

use crate::{
    catalog::{
        destination::Destination,
        target::{LATEST, Target, folder_around},
    },
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::{archive_name::is_archive_file, entry_name::printable},
    store::Address,
};

/// Returns the destination that is read, and the name of the archive there if the word names one.
pub fn source(
    context: &Context,
    settings: &Settings,
    word: &OsStr,
) -> Result<(Destination, Option<String>)> {
    let target = Target::read(word)?;
    let is_place = match &target {
        Target::Named(named) => match named.split_once('/') {
            // A configured destination, with a slash at its end.
            Some((name, "")) => {
                let target = Target::Named(name.to_owned());
                return Ok((target.destination(context, settings)?, None));
            }
            rest => rest.is_none(),
        },
        Target::Url(url) => match Address::parse(url).map_err(usage)? {
            Address::Folder(path) => path.is_dir(),
            _ => !is_archive_file(url) && !names_latest(url),
        },
        Target::Standard | Target::Path(_) => {
            Path::new(word).is_dir() || word.as_bytes().ends_with(b"/")
        }
    };
    if is_place {
        return Ok((target.destination(context, settings)?, None));
    }
    if let Some((place, name)) = target.archive(context, settings)? {
        return Ok((place, Some(name)));
    }
    let path = Path::new(word);
    let name = path.file_name();
    let name = name.ok_or_else(|| usage(format!("{word:?} names no archive")))?;
    let Some(name) = name.to_str() else {
        let path = printable(&path.to_string_lossy());
        return Err(usage(format!("the name of {path} is not UTF-8"))
            .hint("the copy would have the same name, and not every destination can hold it: rename the archive first")
            .into());
    };
    let folder = folder_around(context, settings, path)?;
    Ok((folder, Some(name.to_owned())))
}

/// Returns true if a URL ends in the word for the newest archive, below a bucket or a host.
fn names_latest(url: &str) -> bool {
    matches!(Address::parse_archive(url), Ok(Some((_, name))) if name == LATEST)
}

/// Returns the destination that is written to.
pub fn target(context: &Context, settings: &Settings, word: &OsStr) -> Result<Destination> {
    let target = match Target::read(word)? {
        Target::Named(name) => Target::Named(name.strip_suffix('/').unwrap_or(&name).to_owned()),
        target => target,
    };
    let names_archive = match &target {
        Target::Named(name) => name.contains('/') || is_archive_file(name),
        _ => is_archive_file(word.as_bytes()),
    };
    if names_archive && !Path::new(word).is_dir() {
        return Err(names_an_archive(&printable(&word.to_string_lossy())).into());
    }
    target.destination(context, settings)
}

fn names_an_archive(text: &str) -> Failure {
    usage(format!(
        "{text} names an archive, and an archive is copied to a destination"
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
