//! `keep`: marks an archive, so that no policy removes it. The mark is an object of its own beside the archive.

use std::{io::Write as _, path::Path};

use anyhow::{Context as _, Result};
use chrono::SecondsFormat;
use serde::Serialize;
use tracing::info;

use crate::{
    catalog::{
        destination::{ArchiveAt, Destination, as_path},
        set::{mark_name, read_mark},
    },
    context::Context,
};
use crate::{
    config::Settings,
    disk::folder_of,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, SUFFIX},
        digest::Digest,
        entry_name::printable,
        retention::Mark,
    },
    store::Store,
};

/// What was done.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The archive, as messages name it.
    pub archive: String,
    /// Its name.
    pub name: String,
    /// Its mark now: `forever`, or until when.
    pub mark: Option<String>,
    /// Its mark before.
    pub before: Option<String>,
}

/// Gives the archive that `word` names a mark in place of any that it has, or takes it away.
///
/// Not promised: that a mark is replaced in one step. Where the run is ended between the two, there is none.
pub fn keep(
    context: &Context,
    settings: &Settings,
    word: &str,
    mark: Option<Mark>,
) -> Result<Report> {
    let (destination, name) = open(context, settings, word)?;
    let archive = format!("{}/{name}", destination.shown());
    if !name.ends_with(SUFFIX) {
        let message = format!("{} is not the name of an archive", printable(&name));
        return Err(Failure::new(Kind::Usage, message)
            .hint("a name ends with .tar.gz; `hookshot list --all-hosts` shows what is there")
            .into());
    }
    if let Some(mark) = mark.filter(|mark| !mark.holds(context.now)) {
        let message = format!("a mark {mark} would be over already");
        return Err(Failure::new(Kind::Usage, message)
            .hint("name a date that is to come, or --remove")
            .into());
    }
    let store = &*destination.store;
    // A mark without its archive can still be taken away.
    if mark.is_some() && store.find(&name)?.is_none() {
        return Err(
            Failure::new(Kind::NotFound, format!("there is no archive {archive}"))
                .hint("`hookshot list --all-hosts` shows what is there")
                .into(),
        );
    }
    if mark.is_some() && ArchiveName::of_file(&name).is_none() {
        info!(archive = %archive, "No policy removes an archive of such a name, marked or not");
    }
    let before = read_mark(store, &name)?;
    if before != mark {
        replace(context, store, &name, before, mark)?;
    }
    Ok(Report {
        archive,
        name,
        mark: mark.map(text),
        before: before.map(text),
    })
}

fn open(context: &Context, settings: &Settings, word: &str) -> Result<(Destination, String)> {
    let at = ArchiveAt::parse(word).map_err(|fault| Failure::new(Kind::Usage, fault))?;
    if let Some(at) = at {
        return at.open(context, settings);
    }
    let path = Path::new(word);
    let name = path.file_name().and_then(|name| name.to_str());
    let folder = folder_of(path);
    match (name, folder.to_str()) {
        (Some(name), Some(folder)) => {
            let folder = if folder.is_empty() { "." } else { folder };
            Ok((
                Destination::open(context, settings, &as_path(folder))?,
                name.to_owned(),
            ))
        }
        _ => Err(Failure::new(Kind::Usage, format!("{word:?} names no archive")).into()),
    }
}

fn replace(
    context: &Context,
    store: &dyn Store,
    archive: &str,
    before: Option<Mark>,
    mark: Option<Mark>,
) -> Result<()> {
    let name = mark_name(archive);
    if before.is_some() {
        store.remove(&name)?;
    }
    let Some(mark) = mark else {
        return Ok(());
    };
    let written = || -> Result<()> {
        let bytes = format!("{}\n", text(mark)).into_bytes();
        let mut upload = store.create(&name, bytes.len() as u64, &context.maker())?;
        upload.write_all(&bytes)?;
        upload.finish(&Digest::of(&bytes))?;
        Ok(())
    };
    written().with_context(|| match before {
        None => format!("cannot write {name}"),
        Some(_) => format!(
            "{archive} has no mark now: the old one was removed, and {name} cannot be written"
        ),
    })
}

/// A mark as it is written down, and as reports have it: `forever`, or a time of RFC 3339.
pub(super) fn text(mark: Mark) -> String {
    match mark {
        Mark::Forever => "forever".to_owned(),
        Mark::Until(end) => end.to_rfc3339_opts(SecondsFormat::AutoSi, true),
    }
}
