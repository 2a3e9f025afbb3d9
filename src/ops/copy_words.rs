//! The source and the destination that the words of a copy name.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    catalog::{
        destination::{Destination, ReadBack},
        folder_tree::is_archive,
        snapshots::is_snapshot_id,
        target::{Target, folder_around},
    },
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::{archive_name::is_archive_file, entry_name::printable},
    store::Address,
};

/// Returns the folder in which an archive was unpacked, if the word names one.
pub fn unpacked(context: &Context, word: &OsStr) -> Result<Option<PathBuf>> {
    Ok(match Target::read(word)? {
        Target::Path(path) if is_archive(context, &path)? => Some(path),
        _ => None,
    })
}

/// Returns the destination that is read, and the name of the archive there if the word names one.
pub fn source(
    context: &Context,
    settings: &Settings,
    word: &OsStr,
) -> Result<(Destination, Option<String>)> {
    let target = Target::read(word)?;
    if let Some((repository, id)) = snapshot(context, settings, &target)? {
        return Ok((repository, Some(id)));
    }
    if let Some(destination) = target.place(context, settings)? {
        return Ok((destination, None));
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

/// Returns the repository and the identifier if a URL ends with that of a snapshot. A repository of that name comes first.
fn snapshot(
    context: &Context,
    settings: &Settings,
    target: &Target,
) -> Result<Option<(Destination, String)>> {
    let Target::Url(url) = target else {
        return Ok(None);
    };
    let parsed = Address::parse_archive(url).map_err(usage)?;
    let Some((address @ Address::Restic(_), id)) = parsed.filter(|(_, id)| is_snapshot_id(id))
    else {
        return Ok(None);
    };
    let whole = target.destination(context, settings)?;
    match whole.repository.vault().map(|vault| vault.open()) {
        Some(Err(error)) if Failure::of(&error).kind == Kind::NotFound => {
            let place = Destination::at(context, settings, address, ReadBack::AsConfigured)?;
            Ok(Some((place.ready()?, id)))
        }
        _ => Ok(None),
    }
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

/// Returns the full location of an archive.
pub fn location(place: &Destination, name: &str) -> String {
    format!(
        "{}/{name}",
        place.repository.address().trim_end_matches('/')
    )
}

/// Returns the failure of a name for the copy that says something else than what is copied.
pub fn odd_name(copy: &str) -> Failure {
    let message = format!(
        "{copy} is not a name for this copy: its ending says something else than what is copied"
    );
    Failure::new(Kind::Usage, message)
        .hint("a sealed archive ends with .tar.gz.age, and only a sealed one does")
}
