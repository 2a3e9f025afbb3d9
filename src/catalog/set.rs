//! The contents of destinations: archives by one listing each, with the marks beside them.

use std::{ffi::OsString, path::Path};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tracing::warn;

use super::{
    destination::Destination,
    listing::{Listed, MARK_SUFFIX, Manifests, OtherFile},
};
use crate::context::Context;
use crate::{
    config::Settings,
    error::{Failure, Kind},
    model::{archive_name::ArchiveName, limits::MAX_MARK_BYTES, retention::Mark, written::escaped},
    store::{Store, Stored},
};

/// The selection of archives by host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// Those whose names begin with `[backup] prefix`.
    Ours,
    /// Those of all hosts.
    All,
}

/// The content of a destination.
pub struct Catalog {
    /// Its archives, the newest first; those of the same time by name.
    pub archives: Vec<Listed>,
    /// Names of missing archives that have a mark.
    pub strays: Vec<String>,
    /// The number of archives of other hosts.
    pub others: usize,
    /// Files that proved not to be archives.
    pub other_files: Vec<OtherFile>,
    /// Files whose names differ from those of archives, if they were not read.
    pub other_names: Vec<Stored>,
}

impl Catalog {
    /// Lists a destination, and reads the marks of the selected archives.
    pub fn read(
        destination: &Destination,
        prefix: &str,
        hosts: Hosts,
        manifests: Manifests,
    ) -> Result<Catalog> {
        let prefix = Some(prefix).filter(|_| hosts == Hosts::Ours);
        let mut listing = destination.listing(prefix, manifests)?;
        for listed in &mut listing.archives {
            if listing.marks.remove(&listed.stored.name) {
                listed.mark = read_mark(&*destination.store, &listed.stored.name)?;
            }
        }
        // Archives under other names tell no host.
        let is_ours = |archive: &String| {
            let name = ArchiveName::of_file(archive);
            name.is_some_and(|name| prefix.is_none_or(|prefix| name.prefix() == prefix))
        };
        Ok(Catalog {
            archives: listing.archives,
            strays: listing.marks.into_iter().filter(is_ours).collect(),
            others: listing.others,
            other_files: listing.other_files,
            other_names: listing.other_names,
        })
    }
}

/// Returns the name of the object that marks an archive.
pub fn mark_name(archive: &str) -> String {
    format!("{archive}{MARK_SUFFIX}")
}

/// Reads the mark of an archive. An unreadable mark holds for ever: the user wanted to keep the archive.
pub fn read_mark(store: &dyn Store, archive: &str) -> Result<Option<Mark>> {
    let name = mark_name(archive);
    let source = match store.open(&name) {
        Err(error) if Failure::of(&error).kind == Kind::NotFound => return Ok(None),
        source => source?,
    };
    let reading = || format!("cannot read {name} in {}", store.shown());
    let length = source.length().with_context(reading)?;
    let mut text = vec![0; length.min(MAX_MARK_BYTES) as usize];
    source.read_exact_at(&mut text, 0).with_context(reading)?;
    let text = String::from_utf8_lossy(&text);
    Ok(Some(text.trim().parse().unwrap_or_else(|_| {
        warn!(mark = %name, place = %store.shown(), "A mark is neither `forever` nor a date; its archive stays");
        Mark::Forever
    })))
}

/// A destination at which the work failed.
#[derive(Debug, Serialize)]
pub struct Failed {
    /// The destination, as the user named it.
    pub destination: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_escaped: Option<String>,
    /// The message of the failure.
    pub message: String,
    /// The failure, with its kind.
    #[serde(skip)]
    pub failure: Failure,
}

/// Does some work at each destination that `words` name, or else at `[backup] to`. If it fails at one, the others still
/// follow. If it fails at the only one, that failure is returned. An interruption ends everything.
pub fn at_each<T>(
    context: &Context,
    settings: &Settings,
    words: &[OsString],
    mut act: impl FnMut(Destination) -> Result<T>,
) -> Result<(Vec<T>, Vec<Failed>)> {
    let configured: Vec<OsString>;
    let words = if words.is_empty() {
        configured = settings
            .schema
            .to
            .iter()
            .map(|to| format!("@{to}").into())
            .collect();
        &configured
    } else {
        words
    };
    if words.is_empty() {
        let (message, hint) = if settings.config.exists() {
            (
                "no destination is named, and none configured".to_owned(),
                "name a folder, a URL or an @destination, or set `to` under [backup]",
            )
        } else {
            (
                format!(
                    "no destination is named, and there is no {}",
                    settings.config.display()
                ),
                "name a folder or a URL, or the right --config",
            )
        };
        return Err(Failure::new(Kind::Usage, message).hint(hint).into());
    }
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for word in words {
        context.stop.check()?;
        match Destination::open(context, settings, word).and_then(&mut act) {
            Ok(value) => done.push(value),
            Err(error) => {
                let failure = Failure::of(&error);
                if words.len() == 1 || matches!(failure.kind, Kind::Interrupted(_)) {
                    return Err(error);
                }
                failed.push(Failed {
                    destination: word.to_string_lossy().into_owned(),
                    destination_escaped: escaped(Path::new(word)),
                    message: failure.message.clone(),
                    failure,
                });
            }
        }
    }
    Ok((done, failed))
}

/// Returns the failure of a run over `places` destinations, `None` if none failed. If all failed, it has the kind of
/// the first; else [`Kind::Partial`].
pub fn failure_of(failed: &[Failed], places: usize) -> Option<Failure> {
    let first = &failed.first()?.failure;
    let kind = if failed.len() < places {
        Kind::Partial
    } else {
        first.kind
    };
    let message = format!(
        "{} of {places} destinations failed: {}: {}",
        failed.len(),
        failed[0].destination,
        first.message
    );
    let named = |failed: &Failed| format!("{}: {}", failed.destination, failed.message);
    Some(Failure {
        kind,
        message,
        hint: first.hint.clone(),
        faults: failed.iter().map(named).collect(),
    })
}
