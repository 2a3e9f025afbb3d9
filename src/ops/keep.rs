//! `keep`: marks an archive, so that no policy removes it. The mark is an object of its own beside the archive.

use std::{ffi::OsStr, path::Path};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    catalog::{
        destination::{Destination, located},
        repository::Repository,
        target::{Target, folder_around},
    },
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, is_archive_file, mark_of},
        entry_name::printable,
        retention::Mark,
    },
    work::events::CatalogEvent,
};

/// The results of a change of a mark.
#[derive(Debug, Serialize)]
pub struct KeepReport {
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

/// Marks the archive that `word` names, in place of any earlier mark, or removes its mark.
///
/// Not promised: that a mark is replaced in one step. If the run ends between the two steps, there is none.
pub fn keep(
    context: &Context,
    settings: &Settings,
    word: &OsStr,
    mark: Option<Mark>,
) -> Result<KeepReport> {
    let (destination, name) = named_archive(context, settings, word)?;
    destination.require_removable()?;
    let archive = format!("{}/{name}", destination.shown());
    if !is_archive_file(&name) {
        let message = format!("{} is not the name of an archive", printable(&name));
        return Err(Failure::new(Kind::Usage, message)
            .hint("a name ends with .tar.gz; `hookshot list --all-hosts` shows what is there")
            .into());
    }
    if let Some(mark) = mark.filter(|mark| !mark.holds(context.now)) {
        let message = format!("a mark {mark} would have ended already");
        return Err(Failure::new(Kind::Usage, message)
            .hint("name a later date, or use --remove")
            .into());
    }
    let repository = &*destination.repository;
    // A mark without its archive can still be taken away.
    if mark.is_some() && repository.find(&name)?.is_none() {
        return Err(Failure::new(
            Kind::NotFound,
            format!("the archive {archive} does not exist"),
        )
        .hint("`hookshot list --all-hosts` shows what is there")
        .into());
    }
    if mark.is_some() && ArchiveName::of_file(&name).is_none() {
        let archive = archive.clone();
        context.tell(CatalogEvent::NeedsNoMark { archive });
    }
    let before = repository.mark(&name)?;
    if before != mark {
        replace(context, repository, &name, before, mark)?;
    }
    Ok(KeepReport {
        archive,
        archive_escaped: located(destination.shown_escaped().as_deref(), &name),
        name,
        mark: mark.map(Mark::text),
        before: before.map(Mark::text),
    })
}

/// Returns the destination and the name of the archive that a word names.
pub(super) fn named_archive(
    context: &Context,
    settings: &Settings,
    word: &OsStr,
) -> Result<(Destination, String)> {
    if let Some(found) = Target::read(word)?.archive(context, settings)? {
        return Ok(found);
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
    Ok((folder_around(context, settings, path)?, name.to_owned()))
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
