//! Destinations of archives, as the command line and the configuration name them: `@NAME`, a URL, or the path of a
//! folder.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;

use super::{repository::Repository, tar_store::TarStore};
use crate::{
    config::{Settings, destinations, elsewhere::tidy, retention::Retention, secret},
    context::Context,
    disk::{folder_of, mounts::is_mounted},
    error::{Failure, Kind},
    model::{
        archive_name::is_archive_file,
        written::{escaped, percent_encoded},
    },
    store::{self, Address, Store, Word, address},
};

/// The word for the newest good archive.
pub const LATEST: &str = "latest";

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
    /// The store that holds the bytes of its archives.
    pub store: Arc<dyn Store>,
    /// Its archives.
    pub repository: Arc<dyn Repository>,
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
        match named.filter(|(_, archive)| is_archive_file(archive)) {
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
        let store: Arc<dyn Store> = Arc::from(store::open(
            &written.address,
            &options,
            &context.environment,
            Arc::new(move || Ok(stop.check()?)),
        )?);
        let shown = name.as_ref().map(|name| format!("@{name}"));
        let is_here = matches!(written.address, Address::Folder(_));
        Ok(Destination {
            name,
            repository: Arc::new(TarStore::new(store.clone(), shown, is_here)),
            address: written.address,
            store,
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
        self.repository.shown()
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
            _ => {
                let prefix = &settings.schema.prefix;
                destination.repository.newest_good(prefix, context.now)?
            }
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
        let names = destination.repository.candidates(prefix, context.now)?;
        Ok((destination, names))
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
