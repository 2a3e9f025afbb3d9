//! `keep`: marks an archive, so that no policy removes it. The mark is an object of its own beside the archive.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tracing::info;

use crate::{
    catalog::{
        destination::{ArchiveAt, Destination, as_path, located},
        repository::Repository,
    },
    context::Context,
};
use crate::{
    config::Settings,
    disk::folder_of,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, is_archive_file, mark_of},
        entry_name::printable,
        retention::Mark,
    },
    store::address::text_of,
};

/// The results of a change of a mark.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The archive, as messages name it.
    pub archive: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_escaped: Option<String>,
    /// Its name.
    pub name: String,
    /// Its mark now: `forever`, or until when.
    pub mark: Option<String>,
    /// Its mark before.
    pub before: Option<String>,
}

/// Gives the archive that `word` names a mark in place of any that it has, or takes it away.
///
/// Not promised: that a mark is replaced in one step. If the run ends between the two steps, there is none.
pub fn keep(
    context: &Context,
    settings: &Settings,
    word: &OsStr,
    mark: Option<Mark>,
) -> Result<Report> {
    let (destination, name) = open(context, settings, word)?;
    let archive = format!("{}/{name}", destination.shown());
    if !is_archive_file(&name) {
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
    let repository = &*destination.repository;
    // A mark without its archive can still be taken away.
    if mark.is_some() && repository.find(&name)?.is_none() {
        return Err(
            Failure::new(Kind::NotFound, format!("there is no archive {archive}"))
                .hint("`hookshot list --all-hosts` shows what is there")
                .into(),
        );
    }
    if mark.is_some() && ArchiveName::of_file(&name).is_none() {
        info!(archive = %archive, "No policy removes an archive of such a name, marked or not");
    }
    let before = repository.mark(&name)?;
    if before != mark {
        replace(context, repository, &name, before, mark)?;
    }
    Ok(Report {
        archive,
        archive_escaped: located(destination.shown_escaped().as_deref(), &name),
        name,
        mark: mark.map(Mark::text),
        before: before.map(Mark::text),
    })
}

fn open(context: &Context, settings: &Settings, word: &OsStr) -> Result<(Destination, String)> {
    let at = text_of(word).and_then(|text| text.map_or(Ok(None), ArchiveAt::parse));
    let at = at.map_err(|fault| Failure::new(Kind::Usage, fault))?;
    if let Some(at) = at {
        return at.open(context, settings);
    }
    let path = Path::new(word);
    let Some(name) = path.file_name() else {
        return Err(Failure::new(Kind::Usage, format!("{word:?} names no archive")).into());
    };
    let Some(name) = name.to_str() else {
        let message = format!(
            "the name of {} is not UTF-8",
            printable(&path.to_string_lossy())
        );
        return Err(Failure::new(Kind::Usage, message)
            .hint("no policy removes a file of such a name: it needs no mark")
            .into());
    };
    let mut folder = folder_of(path);
    if folder.as_os_str().is_empty() {
        folder = PathBuf::from(".");
    }
    let folder = Destination::open(context, settings, as_path(&folder))?;
    Ok((folder, name.to_owned()))
}

fn replace(
    context: &Context,
    repository: &dyn Repository,
    archive: &str,
    before: Option<Mark>,
    mark: Option<Mark>,
) -> Result<()> {
    if before.is_some() {
        repository.remove_mark(archive)?;
    }
    let Some(mark) = mark else {
        return Ok(());
    };
    let name = mark_of(archive);
    let written = repository.put_mark(archive, mark, &context.maker());
    written.with_context(|| match before {
        None => format!("cannot write {name}"),
        Some(_) => format!(
            "{archive} has no mark now: the old one was removed, and {name} cannot be written"
        ),
    })
}
