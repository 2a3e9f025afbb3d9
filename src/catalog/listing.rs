//! A listing of a destination: its archives with their prefixes and times, the marks beside them, and the other files.
//!
//! A name `PREFIX-YYYYMMDD-HHMMSS[.N].tar.gz` tells prefix and time. For another name, hookshot reads the manifest,
//! which costs requests: in a store at most [`MAX_LOOKS`] manifests, the newest first.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    io::{self, Read as _},
};

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    archive::{
        head::{Head, lacks_manifest, look, opening},
        reader::Discard,
        select::select,
    },
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, Precision, SUFFIX},
        limits::{HEAD_BYTES, MAX_LOOKS, MIN_ARCHIVE_BYTES},
        retention::{self, Mark, Standing},
    },
    store::{Store, Stored},
};

/// The ending of the name of a mark, after the name of its archive.
pub const MARK_SUFFIX: &str = ".keep";

/// The archives whose manifests are read for details that their names do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manifests {
    /// All of them.
    OfAll,
    /// Those that tell a prefix and a day. Archives of other names are left in [`Listing::other_names`].
    OfDays,
}

/// The content of a destination when it was listed.
#[derive(Default)]
pub struct Listing {
    /// The selected archives, the newest first; those of the same time by number, the highest first, then by name.
    pub archives: Vec<Listed>,
    /// The names of archives that have a mark, even of archives that do not exist.
    pub marks: BTreeSet<String>,
    /// The number of archives with other prefixes.
    pub others: usize,
    /// Files whose names end like an archive's, and that proved not to be archives.
    pub other_files: Vec<OtherFile>,
    /// Files whose names tell no time, and that were not read.
    pub other_names: Vec<Stored>,
}

/// An archive. A listing may hold many, so the prefix is stored as a length if the name begins with it.
pub struct Listed {
    /// Its name, size and time, as the store lists them.
    pub stored: Stored,
    /// The mark with which the user keeps it.
    pub mark: Option<Mark>,
    /// The time of its snapshot, from its name or else from its manifest.
    pub time: DateTime<Utc>,
    /// The parts of prefix and time that the name tells.
    pub naming: Naming,
    prefix: Prefix,
    number: u32,
    /// The time in its manifest, if that was read.
    created: Option<DateTime<Utc>>,
}

/// The parts of prefix and time that the name of an archive's file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Both.
    Full,
    /// The prefix and the day.
    Day,
    /// Neither: its manifest was read. No policy removes such an archive.
    Other,
}

enum Prefix {
    /// This many bytes of the name.
    Of(usize),
    Told(Box<str>),
}

/// A file that is not known to be an archive, although its name ends like one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherFile {
    /// Its name.
    pub name: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_escaped: Option<String>,
    /// The reason why it does not count as an archive.
    pub reason: String,
    /// True if it certainly is not one.
    #[serde(skip)]
    pub is_foreign: bool,
    /// True if it could not be read, so that its content is unknown.
    #[serde(skip)]
    pub is_unread: bool,
}

/// The prefix and the time that an archive's content tells.
struct Told {
    prefix: String,
    created: DateTime<Utc>,
}

/// The result of reading a file.
enum Found {
    Archive(Told),
    Other {
        reason: String,
        is_foreign: bool,
    },
    /// The reason why it could not be read.
    Unread(String),
    Gone,
}

impl Listed {
    fn new(name: &ArchiveName, stored: Stored) -> Listed {
        Listed {
            stored,
            mark: None,
            time: name.time(),
            naming: match name.precision() {
                Precision::Second => Naming::Full,
                Precision::Day => Naming::Day,
            },
            prefix: Prefix::Of(name.prefix().len()),
            number: name.number(),
            created: None,
        }
    }

    fn told(told: Told, stored: Stored) -> Listed {
        Listed {
            stored,
            mark: None,
            time: told.created,
            naming: Naming::Other,
            prefix: Prefix::Told(told.prefix.into()),
            number: 0,
            created: Some(told.created),
        }
    }

    /// Returns the host or the service that the archive is a backup of.
    pub fn prefix(&self) -> &str {
        match &self.prefix {
            Prefix::Of(bytes) => &self.stored.name[..*bytes],
            Prefix::Told(prefix) => prefix,
        }
    }

    /// Returns the time in its manifest, if that was read.
    pub fn created(&self) -> Option<DateTime<Utc>> {
        self.created
    }

    /// Returns its position among archives: by time, and by number within the same time.
    pub fn age(&self) -> (DateTime<Utc>, u32) {
        (self.time, self.number)
    }

    /// Returns the archive as retention sees it before its content is read.
    pub fn archive(&self) -> retention::Archive {
        retention::Archive {
            name: self.stored.name.clone(),
            time: self.time,
            standing: if self.stored.size_bytes < MIN_ARCHIVE_BYTES {
                Standing::Incomplete
            } else {
                Standing::Unproven
            },
            mark: self.mark,
        }
    }
}

/// An entry whose name does not tell everything.
enum Unclear {
    /// An archive whose name tells a day, by its index in the listing.
    Day(usize),
    /// A file whose name ends like an archive's.
    File(Stored),
}

impl Listing {
    /// Lists the archives of `prefix`, or all, in a store. A store on this machine (`is_here`) costs no requests.
    pub fn read(
        store: &dyn Store,
        is_here: bool,
        prefix: Option<&str>,
        manifests: Manifests,
    ) -> Result<Listing> {
        let is_meant = |other: &str| prefix.is_none_or(|prefix| prefix == other);
        let mut listing = Listing::default();
        let mut unclear = Vec::new();
        store.list(&mut |stored| {
            match ArchiveName::of_file(&stored.name) {
                Some(name) if is_meant(name.prefix()) => {
                    if name.precision() == Precision::Day {
                        unclear.push((stored.modified, Unclear::Day(listing.archives.len())));
                    }
                    listing.archives.push(Listed::new(&name, stored));
                }
                Some(_) => listing.others += 1,
                None if stored.name.ends_with(SUFFIX) => match manifests {
                    Manifests::OfAll => unclear.push((stored.modified, Unclear::File(stored))),
                    Manifests::OfDays => listing.other_names.push(stored),
                },
                None => {
                    let marked = stored.name.strip_suffix(MARK_SUFFIX);
                    if let Some(archive) = marked.filter(|name| name.ends_with(SUFFIX)) {
                        listing.marks.insert(archive.to_owned());
                    }
                }
            }
            Ok(())
        })?;
        unclear.sort_by_key(|(modified, _)| Reverse(*modified));
        let most = if is_here { usize::MAX } else { MAX_LOOKS };
        for (count, (_, unclear)) in unclear.into_iter().enumerate() {
            listing.clear_up(store, unclear, count < most, &is_meant)?;
        }
        listing.archives.sort_by(|one, other| {
            let by_age = other.age().cmp(&one.age());
            by_age.then_with(|| one.stored.name.cmp(&other.stored.name))
        });
        Ok(listing)
    }

    /// Reads the details that a name does not tell, if the manifest may be read.
    fn clear_up(
        &mut self,
        store: &dyn Store,
        unclear: Unclear,
        may_read: bool,
        is_meant: &dyn Fn(&str) -> bool,
    ) -> Result<()> {
        match unclear {
            Unclear::Day(place) => {
                let Some(listed) = self.archives.get_mut(place).filter(|_| may_read) else {
                    return Ok(());
                };
                let Found::Archive(told) = found(store, &listed.stored.name)? else {
                    return Ok(());
                };
                listed.created = Some(told.created);
                let name = ArchiveName::of_file(&listed.stored.name);
                if name.is_some_and(|name| name.fits(told.created)) {
                    listed.time = told.created;
                }
            }
            Unclear::File(stored) => {
                let found = match may_read {
                    true => found(store, &stored.name)?,
                    false => Found::Other {
                        reason: format!(
                            "not read: its name tells no time, and {MAX_LOOKS} newer ones were read"
                        ),
                        is_foreign: false,
                    },
                };
                match found {
                    Found::Archive(told) if is_meant(&told.prefix) => {
                        self.archives.push(Listed::told(told, stored));
                    }
                    Found::Archive(_) => self.others += 1,
                    Found::Other { reason, is_foreign } => self.other_files.push(OtherFile {
                        name: stored.name,
                        name_escaped: None,
                        reason,
                        is_foreign,
                        is_unread: false,
                    }),
                    Found::Unread(reason) => self.other_files.push(OtherFile {
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
}

/// Returns the time in the manifest of an archive, if the beginning of the archive can be read.
pub fn created(store: &dyn Store, name: &str) -> Result<Option<DateTime<Utc>>> {
    match found(store, name)? {
        Found::Archive(told) => Ok(Some(told.created)),
        Found::Other { .. } | Found::Unread(_) | Found::Gone => Ok(None),
    }
}

/// Reads prefix and time from a file: through its index, or else from its beginning.
fn found(store: &dyn Store, name: &str) -> Result<Found> {
    let other = |reason: String, is_foreign| Ok(Found::Other { reason, is_foreign });
    let read = || -> Result<Found> {
        let source = store.open(name)?;
        if let Some(selected) = select(&*source, &[], &mut Discard)? {
            let root = selected.manifest.root.unwrap_or(selected.root);
            return Ok(told(&root, selected.manifest.created_at));
        }
        let length = source.length()?;
        let mut head = vec![
            0;
            usize::try_from(length)
                .unwrap_or(HEAD_BYTES)
                .min(HEAD_BYTES)
        ];
        source.read_exact_at(&mut head, 0)?;
        Ok(match look(&head) {
            Head::ManifestFirst => match opening(&head) {
                Some((root, created)) => told(&root, created),
                None => return other("its manifest cannot be read".to_owned(), false),
            },
            Head::ManifestLater => {
                let reason = "not an archive of hookshot, or one that another program packed anew";
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
                Kind::Failed => Ok(Found::Unread(failure.message)),
                _ => other(failure.message, false),
            }
        }
        found => found,
    }
}

fn told(root: &str, created: i64) -> Found {
    let Some(created) = DateTime::from_timestamp(created, 0) else {
        let reason = "its manifest tells no time that can be".to_owned();
        let is_foreign = false;
        return Found::Other { reason, is_foreign };
    };
    let name = ArchiveName::parse(root);
    Found::Archive(Told {
        prefix: name.map_or_else(|| root.to_owned(), |name| name.prefix().to_owned()),
        created,
    })
}

/// Returns true if a file of this machine certainly is not an archive: it is a tar without a manifest.
pub fn is_foreign(file: &mut (impl io::Read + io::Seek)) -> io::Result<bool> {
    let mut head = Vec::new();
    io::Read::by_ref(file)
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)?;
    if look(&head) != Head::ManifestLater {
        return Ok(false);
    }
    file.rewind()?;
    Ok(lacks_manifest(file))
}
