//! A set of archives: the trait that every kind of destination implements, and the values of its listing.

use std::{collections::BTreeSet, ops::RangeInclusive, sync::Arc};

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{known::KnownHere, vault::Vault};
use crate::{
    archive::{Sink, Verified, select::Selected},
    context::Context,
    model::{
        archive_name::{ArchiveName, ArchiveOrder, Precision},
        digest::Digest,
        entry_name::EntryName,
        limits::MIN_ARCHIVE_BYTES,
        manifest::Manifest,
        retention::{Archive, Arrival, Mark, Standing, Timing, is_future},
    },
    store::{Maker, Stored, Upload},
    work::ReadAt,
};

/// A set of archives, each known by its name. [`newest`](super::newest) finds the newest of them.
///
/// Errors: [`Kind::NotFound`](crate::error::Kind::NotFound) for a missing archive; else the error that the
/// destination reports.
pub trait Repository: Send + Sync {
    /// Returns `@NAME`, or the address, for messages.
    fn shown(&self) -> String;

    /// Returns the address, for messages; nothing in it is secret.
    fn address(&self) -> String;

    /// Lists the archives of `prefix`, or of every prefix, and the files beside them.
    fn list(&self, prefix: Option<&str>, manifests: Manifests) -> Result<ArchiveListing>;

    /// Returns the names of folders that the last listing skipped.
    fn folders(&self) -> Vec<String>;

    /// Returns name, size and time of the archive, if it exists.
    fn find(&self, name: &str) -> Result<Option<Stored>>;

    /// Reads and verifies the archive; its entries go to `sink`. `what` names the work for the progress.
    fn read(
        &self,
        context: &Context,
        what: &'static str,
        name: &str,
        sink: &mut dyn Sink,
    ) -> Result<Verified>;

    /// Gives single entries, or only the manifest, of a large archive to `sink` without reading all of it. Returns `None`
    /// if that is impossible: then the archive must be read completely.
    fn select(
        &self,
        context: &Context,
        what: &'static str,
        name: &str,
        entries: &[EntryName],
        sink: &mut dyn Sink,
    ) -> Result<Option<Selected>>;

    /// Opens the bytes of the archive, to copy them.
    fn open(&self, name: &str) -> Result<Arc<dyn ReadAt + Send + Sync>>;

    /// Returns the manifest of the archive; `None` if it cannot be read without reading all of the archive.
    fn manifest(&self, name: &str) -> Result<Option<Manifest>>;

    /// Returns the time in the manifest of the archive, if the beginning of the archive can be read.
    fn created(&self, name: &str) -> Result<Option<DateTime<Utc>>>;

    /// Reads the end and the manifest of the archive; all of it if they do not suffice. If no key opens it, goes by the
    /// record of this machine, else by the form of the file. Returns `None` if it does not exist.
    fn standing(&self, context: &Context, name: &str) -> Result<Option<Standing>>;

    /// Returns the records of this machine about the archives there, if it keeps any.
    fn records(&self) -> Option<&KnownHere>;

    /// Removes the leftovers of uploads whose makers are gone, and returns their names.
    fn sweep(&self, maker: &Maker) -> Result<Vec<String>>;

    /// Fails if the destination reports that it has no room for `bytes` more.
    ///
    /// Not promised: that the room still exists a moment later.
    fn require_room(&self, bytes: u64) -> Result<()>;

    /// Begins an upload of an archive of a size in `bytes`. It has no name before it is finished; the name must be free.
    fn put(&self, name: &str, bytes: RangeInclusive<u64>, maker: &Maker)
    -> Result<Box<dyn Upload>>;

    /// Removes the archive; a missing one is not an error. Its mark stays.
    fn remove(&self, name: &str) -> Result<()>;

    /// Returns the mark of the archive. An unreadable mark holds for ever: the user wanted to keep the archive.
    fn mark(&self, name: &str) -> Result<Option<Mark>>;

    /// Gives the archive a mark; it must not have one.
    fn put_mark(&self, name: &str, mark: Mark, maker: &Maker) -> Result<()>;

    /// Removes the mark of the archive; a missing one is not an error.
    fn remove_mark(&self, name: &str) -> Result<()>;

    /// Returns the care of its shared content, if its archives share any.
    fn vault(&self) -> Option<&dyn Vault> {
        None
    }
}

/// The archives whose manifests a listing reads for details that their names do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manifests {
    /// All of them.
    OfAll,
    /// Those that tell a prefix and a day. Archives of other names are left in [`ArchiveListing::other_names`].
    OfDays,
    /// None: a day counts from its beginning. Archives of other names are left in [`ArchiveListing::other_names`].
    OfNone,
}

/// The content of a repository when it was listed.
#[derive(Default)]
pub struct ArchiveListing {
    /// The selected archives, the newest first; those of the same time and number by name.
    pub archives: Vec<ListedArchive>,
    /// The names of archives that have a mark, even of archives that do not exist.
    pub marks: BTreeSet<String>,
    /// The number of archives with other prefixes.
    pub others: usize,
    /// Files whose names end like an archive's, and that proved not to be archives.
    pub other_files: Vec<OtherFile>,
    /// Files whose names tell no time, and that were not read.
    pub other_names: Vec<Stored>,
}

impl ArchiveListing {
    /// Puts the newest archives first; those of the same time and number are ordered by name.
    pub fn sort(&mut self) {
        self.archives.sort_by(|one, other| {
            let newest_first = other.order().cmp(&one.order());
            newest_first.then_with(|| one.stored.name.cmp(&other.stored.name))
        });
    }

    /// Reads the marks of the listed archives, and returns the names of missing archives of `prefix` that have a mark.
    pub fn read_marks(
        &mut self,
        repository: &dyn Repository,
        prefix: Option<&str>,
    ) -> Result<Vec<String>> {
        let mut strays = std::mem::take(&mut self.marks);
        for listed in &mut self.archives {
            if strays.remove(&listed.stored.name) {
                listed.mark = repository.mark(&listed.stored.name)?;
            }
        }
        // Archives under other names tell no host.
        let is_ours = |archive: &String| {
            let name = ArchiveName::of_file(archive);
            name.is_some_and(|name| prefix.is_none_or(|prefix| name.prefix() == prefix))
        };
        Ok(strays.into_iter().filter(is_ours).collect())
    }
}

/// An archive in a listing. A listing may hold many, so the prefix is stored as a length if the name begins with it.
pub struct ListedArchive {
    /// Its name, size and time, as the store lists them.
    pub stored: Stored,
    /// The mark with which the user keeps it, if marks were read.
    pub mark: Option<Mark>,
    /// The time of its snapshot, from its name or else from its manifest.
    pub time: DateTime<Utc>,
    /// The parts of prefix and time that the name tells.
    pub naming: Naming,
    /// The time in its manifest, if that was read.
    pub created: Option<DateTime<Utc>>,
    /// SHA-256 of its manifest, if the listing tells it.
    pub manifest: Option<Digest>,
    /// Its arrival, for archives whose time is compared with it.
    pub arrival: Option<Arrival>,
    /// True for a state of a repository. Its size says nothing of its files: another program may have left it out.
    pub is_state: bool,
    prefix: Prefix,
    number: u32,
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

impl ListedArchive {
    /// Returns an archive whose name tells prefix and time.
    pub fn named(name: &ArchiveName, stored: Stored) -> ListedArchive {
        ListedArchive {
            stored,
            mark: None,
            time: name.time(),
            naming: match name.precision() {
                Precision::Second => Naming::Full,
                Precision::Day => Naming::Day,
            },
            created: None,
            manifest: None,
            arrival: None,
            is_state: false,
            prefix: Prefix::Of(name.prefix().len()),
            number: name.number(),
        }
    }

    /// Returns an archive of another name, whose manifest tells prefix and time.
    pub fn told(prefix: String, created: DateTime<Utc>, stored: Stored) -> ListedArchive {
        ListedArchive {
            stored,
            mark: None,
            time: created,
            naming: Naming::Other,
            created: Some(created),
            manifest: None,
            arrival: None,
            is_state: false,
            prefix: Prefix::Told(prefix.into()),
            number: 0,
        }
    }

    /// Returns the host or the service that the archive is a backup of.
    pub fn prefix(&self) -> &str {
        match &self.prefix {
            Prefix::Of(bytes) => &self.stored.name[..*bytes],
            Prefix::Told(prefix) => prefix,
        }
    }

    /// Returns its position among archives.
    pub fn order(&self) -> ArchiveOrder {
        ArchiveOrder {
            time: self.time,
            number: self.number,
        }
    }

    /// Returns the archive as retention sees it before its content is read.
    pub fn archive(&self) -> Archive {
        Archive {
            name: self.stored.name.clone(),
            time: self.time,
            number: self.number,
            standing: self.standing(),
            mark: self.mark,
            arrival: self.arrival,
        }
    }

    /// Returns its standing before its content is read.
    pub fn standing(&self) -> Standing {
        match !self.is_state && self.stored.size_bytes < MIN_ARCHIVE_BYTES {
            true => Standing::Incomplete,
            false => Standing::Unproven,
        }
    }

    /// Returns the relation of its arrival to its time.
    pub fn timing(&self) -> Timing {
        let timing = self.arrival.map(|arrival| arrival.timing(self.time));
        timing.unwrap_or(Timing::InTime)
    }

    /// Returns true if it is dated in the future, or more than a day after its arrival: it is not the newest one then.
    pub fn is_ahead(&self, now: DateTime<Utc>) -> bool {
        is_future(self.time, now) || self.timing() == Timing::Early
    }
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
