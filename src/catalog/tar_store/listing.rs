//! The listing of a store of archives: the archives with their prefixes and times, the marks beside them, and the other
//! files.
//!
//! A name `PREFIX-YYYYMMDD-HHMMSS[.N].tar.gz`, or with `.age` behind it, tells prefix and time. For another name, hookshot reads the manifest,
//! which costs requests: in a store at most [`MAX_LOOKS`] manifests, the newest first.

use std::{cmp::Reverse, sync::Arc};

use anyhow::Result;
use chrono::{DateTime, Utc};

use crate::{
    archive::{
        head::{Head, kind_of, opening},
        select::select_manifest,
    },
    catalog::{
        opening::opened_at,
        repository::{ArchiveListing, ListedArchive, Manifests, OtherFile},
    },
    crypt::Keys,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, Ending, Precision, is_archive_file, marked_by},
        limits::{HEAD_BYTES, MAX_LOOKS},
    },
    store::{Store, Stored},
    work::ReadAt,
};

/// Prefix and time of an archive, from its content.
struct Dated {
    prefix: String,
    created: DateTime<Utc>,
}

/// The result of reading a file.
enum Found {
    Archive(Dated),
    Other {
        reason: String,
        is_foreign: bool,
    },
    /// The reason why it could not be read.
    Unread(String),
    Gone,
}

/// An entry whose name does not tell everything.
enum Unclear {
    /// An archive whose name tells a day, by its index in the listing.
    Day(usize),
    /// A file whose name ends like an archive's.
    File(Stored),
}

/// Lists the archives of `prefix`, or all, in a store. A store on this machine (`is_here`) costs no requests.
pub fn list(
    store: &dyn Store,
    keys: &Keys,
    is_here: bool,
    prefix: Option<&str>,
    manifests: Manifests,
) -> Result<ArchiveListing> {
    let is_meant = |other: &str| prefix.is_none_or(|prefix| prefix == other);
    let mut listing = ArchiveListing::default();
    let mut unclear = Vec::new();
    store.list(&mut |stored| {
        match ArchiveName::of_file(&stored.name) {
            Some(name) if is_meant(name.prefix()) => {
                if name.precision() == Precision::Day && manifests != Manifests::OfNone {
                    unclear.push((stored.modified, Unclear::Day(listing.archives.len())));
                }
                listing.archives.push(ListedArchive::named(&name, stored));
            }
            Some(_) => listing.others += 1,
            None if is_archive_file(&stored.name) => match manifests {
                Manifests::OfAll => unclear.push((stored.modified, Unclear::File(stored))),
                Manifests::OfDays | Manifests::OfNone => listing.other_names.push(stored),
            },
            None => {
                let marked = marked_by(&stored.name);
                listing.marks.extend(marked.map(str::to_owned));
            }
        }
        Ok(())
    })?;
    unclear.sort_by_key(|(modified, _)| Reverse(*modified));
    let most = if is_here { usize::MAX } else { MAX_LOOKS };
    for (count, (_, unclear)) in unclear.into_iter().enumerate() {
        read_details(
            &mut listing,
            (store, keys),
            unclear,
            count < most,
            &is_meant,
        )?;
    }
    listing.sort();
    Ok(listing)
}

/// Reads the details that a name does not tell, if the manifest may be read.
fn read_details(
    listing: &mut ArchiveListing,
    (store, keys): (&dyn Store, &Keys),
    unclear: Unclear,
    may_read: bool,
    is_meant: &dyn Fn(&str) -> bool,
) -> Result<()> {
    match unclear {
        Unclear::Day(place) => {
            let Some(listed) = listing.archives.get_mut(place).filter(|_| may_read) else {
                return Ok(());
            };
            let Found::Archive(dated) = inspect(store, keys, &listed.stored.name)? else {
                return Ok(());
            };
            listed.created = Some(dated.created);
            let name = ArchiveName::of_file(&listed.stored.name);
            if name.is_some_and(|name| name.fits(dated.created)) {
                listed.time = dated.created;
            }
        }
        Unclear::File(stored) => {
            let found = match may_read {
                true => inspect(store, keys, &stored.name)?,
                false => Found::Other {
                    reason: format!(
                        "not read: its name tells no time, and {MAX_LOOKS} newer ones were read"
                    ),
                    is_foreign: false,
                },
            };
            match found {
                Found::Archive(dated) if is_meant(&dated.prefix) => {
                    listing
                        .archives
                        .push(ListedArchive::told(dated.prefix, dated.created, stored));
                }
                Found::Archive(_) => listing.others += 1,
                Found::Other { reason, is_foreign } => listing.other_files.push(OtherFile {
                    name: stored.name,
                    name_escaped: None,
                    reason,
                    is_foreign,
                    is_unread: false,
                }),
                Found::Unread(reason) => listing.other_files.push(OtherFile {
                    name: stored.name,
                    name_escaped: None,
                    reason,
                    is_foreign: false,
                    is_unread: true,
                }),
                Found::Gone => {}
            }
        }
    }
    Ok(())
}

/// Returns the time in the manifest of an archive, if the beginning of the archive can be read.
pub fn created(store: &dyn Store, keys: &Keys, name: &str) -> Result<Option<DateTime<Utc>>> {
    match inspect(store, keys, name)? {
        Found::Archive(dated) => Ok(Some(dated.created)),
        Found::Other { .. } | Found::Unread(_) | Found::Gone => Ok(None),
    }
}

/// Reads prefix and time from a file: through its index, or else from its beginning.
fn inspect(store: &dyn Store, keys: &Keys, name: &str) -> Result<Found> {
    let other = |reason: String, is_foreign| Ok(Found::Other { reason, is_foreign });
    let read = || -> Result<Found> {
        let mut source: Arc<dyn ReadAt + Send + Sync> = Arc::from(store.open(name)?);
        if Ending::of_file(name) == Some(Ending::Sealed) {
            match opened_at(keys, name, source)? {
                Some(opened) => source = opened,
                None => return other("sealed, and its name tells no time".to_owned(), false),
            }
        }
        if let Some(selected) = select_manifest(&*source)? {
            let root = selected.manifest.root.unwrap_or(selected.root);
            return Ok(by_manifest(&root, selected.manifest.created_at));
        }
        let length = source.length()?;
        let mut head = vec![
            0;
            usize::try_from(length)
                .unwrap_or(HEAD_BYTES)
                .min(HEAD_BYTES)
        ];
        source.read_exact_at(&mut head, 0)?;
        Ok(match kind_of(&head) {
            Head::ManifestFirst => match opening(&head) {
                Some((root, created)) => by_manifest(&root, created),
                None => return other("its manifest cannot be read".to_owned(), false),
            },
            Head::ManifestLater => {
                let reason = "not an archive of hookshot, or one that another program repacked";
                return other(reason.to_owned(), true);
            }
            Head::Unknown => return other("not an archive, or a damaged one".to_owned(), false),
        })
    };
    match read() {
        Err(error) => {
            let failure = Failure::of(&error);
            match failure.kind {
                Kind::Interrupted(_) => Err(error),
                Kind::NotFound => Ok(Found::Gone),
                // Its name tells no time, and without a key nothing does.
                Kind::Key => other("sealed, and no given key opens it".to_owned(), false),
                kind if kind.is_failed() => Ok(Found::Unread(failure.message)),
                _ => other(failure.message, false),
            }
        }
        found => found,
    }
}

/// Returns prefix and time of an archive, from the name of its root folder and the time in its manifest.
fn by_manifest(root: &str, created: i64) -> Found {
    let Some(created) = DateTime::from_timestamp(created, 0) else {
        let reason = "the time in its manifest is out of range".to_owned();
        let is_foreign = false;
        return Found::Other { reason, is_foreign };
    };
    let name = ArchiveName::parse(root);
    Found::Archive(Dated {
        prefix: name.map_or_else(|| root.to_owned(), |name| name.prefix().to_owned()),
        created,
    })
}
