//! Destinations of archives, as the command line and the configuration name them: `@NAME`, a URL, or the path of a
//! folder.

mod slot;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use chrono::{DateTime, Utc};
use tracing::warn;

pub use self::slot::Slot;
use super::listing::{Listed, Listing, Manifests};
use crate::{
    archive::{reader::Discard, select::select},
    config::{Settings, destinations, elsewhere::tidy, retention::Retention, secret},
    disk::{folder_of, mounts::is_mounted},
    error::{Failure, Kind},
    model::{archive_name::SUFFIX, retention::is_future},
    store::{self, Address, Maker, Store, Word, address, is_cold},
};
use crate::{
    context::Context,
    model::written::{escaped, percent_encoded, rfc3339},
};

/// The word for the newest good archive.
pub const LATEST: &str = "latest";

/// The most folders that a message names.
const MOST_NAMED: usize = 10;

/// The rule that says if an archive is read back although the store tells a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBack {
    /// If the destination's `read_back` says so.
    AsConfigured,
    /// Always.
    Always,
}

/// A destination that keeps archives.
pub struct Destination {
    /// Its name in the configuration.
    pub name: Option<String>,
    /// Its address.
    pub address: Address,
    /// The store that holds its archives.
    pub store: Arc<dyn Store>,
    /// The rules that say which archives it keeps.
    pub retention: Retention,
    mounted: bool,
    exists: bool,
}

/// A word of the command line that names one archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveAt {
    place: Place,
    archive: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Named(String),
    Address(Address),
}

impl Destination {
    /// Opens the destination that `word` names; sends no request yet.
    pub fn open(
        context: &Context,
        settings: &Settings,
        word: impl AsRef<OsStr>,
    ) -> Result<Destination> {
        let word = word.as_ref();
        match word.to_str().and_then(|text| text.strip_prefix('@')) {
            Some(name) => Destination::open_place(
                context,
                settings,
                &Place::Named(name.to_owned()),
                ReadBack::AsConfigured,
            )
            .and_then(Destination::ready),
            None => {
                let address = Address::of_word(word).map_err(usage)?;
                Destination::open_place(
                    context,
                    settings,
                    &Place::Address(address),
                    ReadBack::AsConfigured,
                )
            }
        }
    }

    /// Opens the destination that an output names. Also returns the archive's name, if one is given: a URL that ends
    /// like an archive, or `@NAME/ARCHIVE`.
    pub fn open_output(
        context: &Context,
        settings: &Settings,
        text: &str,
        read_back: ReadBack,
    ) -> Result<(Destination, Option<String>)> {
        let named = match text.strip_prefix('@') {
            Some(named) => named
                .split_once('/')
                .map(|(name, archive)| (Place::Named(name.to_owned()), archive.to_owned())),
            None => Address::parse_archive(text)
                .map_err(usage)?
                .map(|(address, archive)| (Place::Address(address), archive)),
        };
        match named.filter(|(_, archive)| archive.ends_with(SUFFIX)) {
            Some((place, archive)) => Ok((
                Destination::open_place(context, settings, &place, read_back)?,
                Some(archive),
            )),
            None => {
                let text = text.trim_end_matches('/');
                let place = match text.strip_prefix('@') {
                    Some(name) => Place::Named(name.to_owned()),
                    None => Place::Address(Address::parse(text).map_err(usage)?),
                };
                Ok((
                    Destination::open_place(context, settings, &place, read_back)?,
                    None,
                ))
            }
        }
    }

    fn open_place(
        context: &Context,
        settings: &Settings,
        place: &Place,
        read_back: ReadBack,
    ) -> Result<Destination> {
        let (name, written) = match place {
            Place::Named(name) => {
                let found = settings.schema.destinations.get(name);
                let found = found.ok_or_else(|| unknown(settings, name))?;
                let mut found = found.clone();
                // A path in the configuration is relative to the configuration's folder.
                if let Address::Folder(folder) = &mut found.address {
                    *folder = tidy(&folder_of(&settings.config).join(&*folder));
                }
                (Some(name.clone()), found)
            }
            Place::Address(address) => (None, destinations::Destination::at(address.clone())),
        };
        context.signs.keep_in(&settings.folders());
        let mut options = written.options;
        options.read_back |= read_back == ReadBack::Always;
        let lookup = secret::Lookup {
            config: &settings.config,
            environment: &context.environment,
            step: &context.step(),
        };
        for (name, value) in &written.secrets {
            *options.secret_mut(*name) = Some(lookup.resolve(*name, value)?);
        }
        let stop = context.stop.clone();
        let store = store::open(
            &written.address,
            &options,
            &context.environment,
            Arc::new(move || Ok(stop.check()?)),
        )?;
        Ok(Destination {
            name,
            address: written.address,
            store: Arc::from(store),
            retention: written.retention.unwrap_or(settings.schema.retention),
            mounted: written.mounted,
            exists: written.exists,
        })
    }

    /// Checks all that is known of a configured destination before the first request: its options, its secrets and the
    /// environment. Returns the faults that may exist in this process alone.
    pub fn look_over(
        context: &Context,
        settings: &Settings,
        written: &destinations::Destination,
    ) -> Result<Vec<String>> {
        let mut options = written.options.clone();
        let (mut is_complete, mut unseen) = (true, Vec::new());
        let lookup = secret::Lookup {
            config: &settings.config,
            environment: &context.environment,
            step: &context.step(),
        };
        for (name, value) in &written.secrets {
            if !secret::is_at_hand(value) {
                is_complete = false;
                continue;
            }
            match lookup.find(*name, value) {
                Ok(value) => *options.secret_mut(*name) = secret::read(*name, &value)?,
                Err(error) => {
                    is_complete = false;
                    unseen.push(format!("{error:#}"));
                }
            }
        }
        let environment = &context.environment;
        store::look_over(&written.address, &options, environment)?;
        if is_complete {
            let stop = context.stop.clone();
            let check = Arc::new(move || Ok(stop.check()?));
            let opened = store::open(&written.address, &options, environment, check);
            // The secret may exist in another environment, such as that of a systemd unit.
            unseen.extend(opened.err().map(|error| format!("{error:#}")));
        }
        Ok(unseen)
    }

    /// Returns itself, unless the configuration expects its folder to be mounted (`mounted`) or to exist (`create`),
    /// and it is not. Files written into an empty mount point are on the wrong disk.
    pub fn ready(self) -> Result<Destination> {
        let Address::Folder(folder) = &self.address else {
            return Ok(self);
        };
        let (shown, path) = (self.shown(), folder.display());
        let message = if self.mounted && !is_mounted(folder) {
            format!(
                "nothing is mounted at {path}, nor at a folder above it: the disk of {shown} is not there"
            )
        } else if self.exists && !folder.is_dir() {
            format!("there is no folder {path}, and {shown} says that it is not made")
        } else {
            return Ok(self);
        };
        Err(Failure::new(Kind::NotFound, message)
            .hint("mount it first; `mounted` and `create` of the destination ask for this")
            .into())
    }

    /// Returns `@NAME`, or the address, for messages.
    pub fn shown(&self) -> String {
        match &self.name {
            Some(name) => format!("@{name}"),
            None => self.store.shown(),
        }
    }

    /// Returns the text of [`Destination::shown`], percent-encoded, if it is the path of a folder that is not UTF-8.
    pub fn shown_escaped(&self) -> Option<String> {
        match self.name {
            Some(_) => None,
            None => self.path_escaped(),
        }
    }

    /// Returns the path of the folder, percent-encoded, if it is not UTF-8.
    pub fn path_escaped(&self) -> Option<String> {
        match &self.address {
            Address::Folder(folder) => escaped(folder),
            _ => None,
        }
    }

    /// Returns the folder, with a slash at its end, if it is on this machine.
    pub fn folder(&self) -> Option<PathBuf> {
        match &self.address {
            Address::Folder(folder) => Some(folder.join("")),
            _ => None,
        }
    }

    /// Lists the archives of `prefix`, or of every prefix, and the other files of the destination.
    pub fn listing(&self, prefix: Option<&str>, manifests: Manifests) -> Result<Listing> {
        Listing::read(&*self.store, self.folder().is_some(), prefix, manifests)
    }

    /// Returns the names of the archives of `prefix`, the newest first, without those dated in the future; at least
    /// one.
    fn newest_first(&self, prefix: &str, now: DateTime<Utc>) -> Result<Vec<String>> {
        let listing = self.listing(Some(prefix), Manifests::OfAll)?;
        let is_ahead = |listed: &Listed| is_future(listed.time, now);
        let (ahead, archives): (Vec<Listed>, Vec<Listed>) =
            listing.archives.into_iter().partition(is_ahead);
        for other in listing.other_files.iter().filter(|file| !file.is_foreign) {
            warn!(file = %other.name, place = %self.shown(), "A file is passed over: {}", other.reason);
        }
        let Some(latest) = ahead.first() else {
            if archives.is_empty() {
                return Err(self.has_none("archive", prefix).into());
            }
            return Ok(archives.into_iter().map(|one| one.stored.name).collect());
        };
        let (count, clock) = (ahead.len(), rfc3339(now));
        if archives.is_empty() {
            let message = format!(
                "every archive of {prefix} in {} is dated in the future, the newest {}; this machine's clock says {clock}",
                self.shown(),
                latest.stored.name
            );
            return Err(Failure::new(Kind::NotFound, message)
                .hint("set this machine's clock; if it is right, name the archive instead of the newest one")
                .into());
        }
        warn!(archive = %latest.stored.name, place = %self.shown(), "Dated in the future and passed over: {count} of the archives; this machine's clock says {clock}");
        Ok(archives.into_iter().map(|one| one.stored.name).collect())
    }

    /// Returns the newest archive of `prefix` whose end and manifest are good. It prefers one without a torn database.
    /// The caller verifies the rest. An archive that must be thawed is the last choice.
    fn latest(&self, prefix: &str, now: DateTime<Utc>) -> Result<String> {
        let (mut torn, mut cold) = (None, None);
        for name in self.newest_first(prefix, now)? {
            let source = self.store.open(&name)?;
            let selected = match select(&*source, &[], &mut Discard) {
                Err(error) if is_cold(&Failure::of(&error)) => {
                    warn!(archive = %name, "An archive lies in cold storage, the next older one is looked at");
                    cold.get_or_insert(name);
                    continue;
                }
                selected => selected?,
            };
            if let Some(selected) = selected {
                if !selected.manifest.has_torn_database() {
                    return Ok(name);
                }
                warn!(archive = %name, "A database in an archive is torn, the next older one is looked at");
                torn.get_or_insert(name);
                continue;
            }
            warn!(archive = %name, "An archive is not whole, or not by this hookshot; the next older one is looked at");
        }
        torn.or(cold)
            .ok_or_else(|| self.has_none("good archive", prefix).into())
    }

    /// Moves archives with a torn database, and those in cold storage, behind all others. Inspects `names`, the newest
    /// first, until one is neither. An archive that cannot be inspected keeps its position: its reader will report the
    /// fault.
    fn put_torn_last(&self, names: &mut [String]) {
        let weakness = |name: &String| {
            let source = self.store.open(name).ok()?;
            match select(&*source, &[], &mut Discard) {
                Ok(selected) => (selected?.manifest)
                    .has_torn_database()
                    .then_some("A database in an archive is torn"),
                Err(error) => {
                    is_cold(&Failure::of(&error)).then_some("An archive lies in cold storage")
                }
            }
        };
        let weak: Vec<&str> = names.iter().map_while(weakness).collect();
        let count = weak.len();
        for (name, weakness) in names.iter().zip(weak) {
            match count < names.len() {
                true => {
                    warn!(archive = %name, "{weakness}, the next older one is looked at");
                }
                false => warn!(archive = %name, "{weakness}, and there is no older one without"),
            }
        }
        names.rotate_left(count);
    }

    fn has_none(&self, what: &str, prefix: &str) -> Failure {
        let message = format!("there is no {what} of {prefix} in {}", self.shown());
        let failure = Failure::new(Kind::NotFound, message);
        match self.folders() {
            Some(folders) => failure.hint(format!(
                "`hookshot list --all-hosts` shows what is there; its folders are places of their own: {folders}"
            )),
            None => failure.hint("`hookshot list --all-hosts` shows what is there"),
        }
    }

    /// Returns the number of folders that the last listing skipped, and the first of their names.
    pub fn folders(&self) -> Option<String> {
        let folders = self.store.folders();
        let named = folders.iter().take(MOST_NAMED).cloned();
        let named = named.collect::<Vec<_>>().join(", ");
        match folders.len() {
            0 => None,
            count if count > MOST_NAMED => Some(format!("{named} and {} more", count - MOST_NAMED)),
            _ => Some(named),
        }
    }
}

/// Returns the path of a folder in a form that no command reads as a URL or as `@NAME`.
pub fn as_path(folder: &Path) -> PathBuf {
    let is_path = match address::text_of(folder.as_os_str()) {
        Ok(Some(text)) => !text.starts_with('@') && matches!(address::read(text), Ok(Word::Path)),
        Ok(None) => true,
        Err(_) => false,
    };
    match is_path {
        true => folder.to_owned(),
        false => Path::new("./").join(folder),
    }
}

/// Returns the location of an archive in a folder, with the name percent-encoded as the folder is.
pub fn located(folder_escaped: Option<&str>, name: &str) -> Option<String> {
    let folder = folder_escaped?.trim_end_matches('/');
    Some(format!("{folder}/{}", percent_encoded(name.as_bytes())))
}

impl ArchiveAt {
    /// Reads a word; `None` if it is a path.
    pub fn parse(text: &str) -> Result<Option<ArchiveAt>, String> {
        if let Some(named) = text.strip_prefix('@') {
            let (name, archive) = match named.split_once('/') {
                Some((name, archive)) => {
                    (name, Some(archive).filter(|archive| !archive.is_empty()))
                }
                None => (named, None),
            };
            return Ok(Some(ArchiveAt {
                place: Place::Named(name.to_owned()),
                archive: archive.map(str::to_owned),
            }));
        }
        let Word::Url(text) = address::word(text)? else {
            return Ok(None);
        };
        match Address::parse_archive(&text)? {
            Some((address, archive)) => Ok(Some(ArchiveAt {
                place: Place::Address(address),
                archive: Some(archive),
            })),
            None => Err(format!(
                "{text} names no archive; `hookshot list {text}` shows what is there"
            )),
        }
    }

    /// Opens the destination, and returns the archive's name in it. If the word names no archive, or `latest`, this is
    /// the newest good one.
    pub fn open(&self, context: &Context, settings: &Settings) -> Result<(Destination, String)> {
        let destination =
            Destination::open_place(context, settings, &self.place, ReadBack::AsConfigured)?
                .ready()?;
        let archive = match &self.archive {
            Some(archive) if archive != LATEST => archive.clone(),
            _ => destination.latest(&settings.schema.prefix, context.now)?,
        };
        Ok((destination, archive))
    }

    /// Opens the destination for a caller that verifies the archives itself. If the word names no archive, or `latest`,
    /// returns the names of all, the newest first; at least one.
    pub fn candidates(
        &self,
        context: &Context,
        settings: &Settings,
    ) -> Result<(Destination, Vec<String>)> {
        let destination =
            Destination::open_place(context, settings, &self.place, ReadBack::AsConfigured)?
                .ready()?;
        if let Some(archive) = self.archive.as_ref().filter(|archive| *archive != LATEST) {
            return Ok((destination, vec![archive.clone()]));
        }
        let prefix = &settings.schema.prefix;
        let mut names = destination.newest_first(prefix, context.now)?;
        destination.put_torn_last(&mut names);
        Ok((destination, names))
    }
}

impl Context {
    /// Returns the identity of this run, for the uploads and markers that it writes to stores.
    pub fn maker(&self) -> Maker {
        let (life, folders) = self.signs.life();
        Maker {
            host: self.hostname.clone().unwrap_or_default(),
            pid: std::process::id(),
            begun: self.now,
            run: self.unique.clone(),
            life,
            folders,
        }
    }
}

fn usage(fault: String) -> Failure {
    Failure::new(Kind::Usage, fault)
}

fn unknown(settings: &Settings, name: &str) -> Failure {
    let known: Vec<String> = settings
        .schema
        .destinations
        .keys()
        .map(|name| format!("@{name}"))
        .collect();
    let message = format!("there is no destination @{name}");
    Failure::new(Kind::NotFound, message).hint(if known.is_empty() {
        format!(
            "{} names none; they stand under [backup.destinations.NAME]",
            settings.config.display()
        )
    } else {
        format!("there are {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_archives_are_told_from_paths() {
        for path in ["a.tar.gz", "/x/a.tar.gz", "./@x"] {
            assert_eq!(ArchiveAt::parse(path), Ok(None), "{path}");
        }
        let named = |text: &str| ArchiveAt::parse(text).expect(text).expect("no path");
        assert_eq!(named("@a"), named("@a/"));
        assert_eq!(named("@a/latest").archive.as_deref(), Some(LATEST));
        assert_eq!(
            named("s3://b/c/x.tar.gz").archive.as_deref(),
            Some("x.tar.gz")
        );
        assert!(ArchiveAt::parse("s3://b").is_err());
    }
}
