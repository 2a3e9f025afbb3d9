//! The words of the command line that name archives and destinations. Each is read once, then resolved for its role.
//!
//! ```text
//! word -> Target -+-> input       -> ArchiveInput   -> read, verified
//!                 +-> output      -> ArchiveOutput  -> Shipment -> Arrival
//!                 +-> archive     -> Destination and a name in it
//!                 +-> destination -> Destination
//! ```

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{
    destination::{Destination, ReadBack},
    folder_tree::{is_archive, require_destination},
    input::{ArchiveInput, Candidates},
    output::{ArchiveOutput, SealedFor, UploadSlot},
    vault::Vault,
};
use crate::{
    config::Settings,
    context::Context,
    disk::folder_of,
    error::{Failure, Kind},
    model::{archive_name::is_archive_file, entry_name::printable, written::unexpanded},
    store::{
        Address, Word,
        address::{self, text_of},
    },
};

/// The word for the newest good archive.
pub const LATEST: &str = "latest";

/// A word that names an archive or a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `-`: standard input or output. As a destination, it is a path.
    Standard,
    /// A path of this machine.
    Path(PathBuf),
    /// `@NAME`, or `@NAME/ARCHIVE`: what follows the `@`.
    Named(String),
    /// A URL of a store, as hookshot writes it.
    Url(String),
}

/// The part of a word that names a destination.
enum NameOrAddress<'a> {
    Name(&'a str),
    Address(Address),
}

impl Target {
    /// Reads a word. An existing file of this machine counts as a path, whatever its name.
    pub fn read(word: impl AsRef<OsStr>) -> Result<Target, Failure> {
        let word = word.as_ref();
        if word == "-" {
            return Ok(Target::Standard);
        }
        let Some(text) = text_of(word).map_err(usage)? else {
            return Ok(Target::Path(word.into()));
        };
        if let Some(named) = text.strip_prefix('@') {
            return Ok(Target::Named(named.to_owned()));
        }
        Ok(match address::word(text).map_err(usage)? {
            Word::Path => Target::Path(text.into()),
            Word::Url(url) => Target::Url(url.into_owned()),
        })
    }

    /// Opens the destination that the word names; sends no request yet.
    pub fn destination(&self, context: &Context, settings: &Settings) -> Result<Destination> {
        let address = match self {
            Target::Named(name) => return NameOrAddress::Name(name).open(context, settings),
            Target::Standard => Address::of_word("-".as_ref()),
            Target::Path(path) => Address::of_word(path.as_os_str()),
            Target::Url(url) => Address::parse(url),
        };
        NameOrAddress::Address(address.map_err(usage)?).open(context, settings)
    }

    /// Returns true if the configuration says that nothing is ever removed there (`append_only`).
    pub fn only_grows(&self, settings: &Settings) -> bool {
        let Target::Named(name) = self else {
            return false;
        };
        let written = settings.schema.destinations.get(name);
        written.is_some_and(|written| written.repository.append_only)
    }

    /// Returns the word, as messages name it.
    pub fn shown(&self) -> String {
        match self {
            Target::Standard => "-".to_owned(),
            Target::Path(path) => printable(&path.to_string_lossy()),
            Target::Named(named) => format!("@{named}"),
            Target::Url(url) => url.clone(),
        }
    }

    /// Opens the destination that the word names, with or without a slash at its end; `None` if it names an archive.
    pub fn place(&self, context: &Context, settings: &Settings) -> Result<Option<Destination>> {
        let is_place = match self {
            Target::Named(named) => match named.split_once('/') {
                Some((name, "")) => {
                    let target = Target::Named(name.to_owned());
                    return target.destination(context, settings).map(Some);
                }
                rest => rest.is_none(),
            },
            Target::Url(url) => match Address::parse(url).map_err(usage)? {
                Address::Folder(path) => path.is_dir(),
                _ => !is_archive_file(url) && !names_latest(url),
            },
            Target::Standard => Path::new("-").is_dir(),
            Target::Path(path) if is_archive(context, path)? => false,
            Target::Path(path) => path.is_dir() || path.as_os_str().as_bytes().ends_with(b"/"),
        };
        is_place
            .then(|| self.destination(context, settings))
            .transpose()
    }

    /// Opens the destination, and returns the archive's name in it; `None` for a path. If the word names no archive, or
    /// `latest`, this is the newest good one.
    pub fn archive(
        &self,
        context: &Context,
        settings: &Settings,
    ) -> Result<Option<(Destination, String)>> {
        let Some((place, archive)) = self.destination_and_archive()? else {
            return Ok(None);
        };
        let destination = place.open(context, settings)?;
        let archive = match archive {
            Some(archive) => self.named(&destination, context, settings, archive)?,
            None => {
                let prefix = &settings.schema.prefix;
                destination.repository.newest_good(context, prefix)?
            }
        };
        Ok(Some((destination, archive)))
    }

    /// Resolves the word as an archive to read. `settings` are read only for a destination. For `latest` this lists the
    /// destination; the reader verifies the archive.
    pub fn input<'a>(
        &self,
        context: &Context,
        settings: impl FnOnce() -> Result<&'a Settings>,
    ) -> Result<ArchiveInput> {
        let Some((place, archive)) = self.destination_and_archive()? else {
            return match self {
                Target::Path(path) => input_file(context, path),
                _ => Ok(ArchiveInput::Stdin),
            };
        };
        let settings = settings()?;
        let destination = place.open(context, settings)?;
        let names = match archive {
            Some(archive) => vec![self.named(&destination, context, settings, archive)?],
            None => {
                let prefix = &settings.schema.prefix;
                destination
                    .repository
                    .candidates(prefix, context.now, &context.events)?
            }
        };
        let candidates = Candidates::new(destination.repository, names);
        Ok(ArchiveInput::Stored(candidates))
    }

    /// Resolves the word as an output of an export. `settings` are read only for a destination. One that exists but
    /// cannot be used, because its secret is missing, for example, does not stop the others.
    pub fn output<'a>(
        &self,
        context: &Context,
        settings: impl FnOnce() -> Result<&'a Settings>,
        read_back: ReadBack,
    ) -> Result<ArchiveOutput> {
        let word = match self {
            Target::Standard => return Ok(ArchiveOutput::Stdout),
            Target::Path(path) => {
                match path.is_dir() {
                    true => require_destination(context, path)?,
                    false => require_destination(context, &folder_of(path))?,
                }
                return Ok(ArchiveOutput::Path(path.clone(), SealedFor::Shared));
            }
            Target::Named(name) => format!("@{name}"),
            Target::Url(url) => url.clone(),
        };
        let settings = settings()?;
        let opened = || -> Result<_> {
            let (place, archive) = self.output_and_archive()?;
            let destination = place.open_with(context, settings, read_back)?;
            Ok((destination, archive))
        };
        let opened = opened();
        if let Ok((destination, _)) = &opened {
            destination.require_enabled()?;
        }
        match opened {
            Ok((destination, name)) => Ok(match usable(context, destination) {
                // The disk is not there: the others still have their turn.
                Err(error) => ArchiveOutput::Unusable(word, Failure::of(&error)),
                Ok(destination) => match destination.folder() {
                    Some(folder) => {
                        let path = folder.join(name.unwrap_or_default());
                        ArchiveOutput::Path(path, SealedFor::By(destination.encryption))
                    }
                    None => {
                        // A wrong password is better known before anything is read.
                        let vault = destination.repository.vault();
                        if let Err(error) = vault.map_or(Ok(()), Vault::open) {
                            return match Failure::of(&error) {
                                failure if matches!(failure.kind, Kind::Interrupted(_)) => {
                                    Err(error)
                                }
                                failure => Ok(ArchiveOutput::Unusable(word, failure)),
                            };
                        }
                        let slot = UploadSlot {
                            repository: destination.repository,
                            name,
                            seal: None,
                        };
                        ArchiveOutput::Stored(slot, destination.encryption)
                    }
                },
            }),
            Err(error) => match Failure::of(&error) {
                Failure {
                    kind: Kind::NotFound | Kind::Key | Kind::Interrupted(_),
                    ..
                } => Err(error),
                failure => Ok(ArchiveOutput::Unusable(word, failure)),
            },
        }
    }

    /// Returns the name of an archive: of the newest one with a label for `@DESTINATION/KEY=VALUE`, else the name itself.
    fn named(
        &self,
        destination: &Destination,
        context: &Context,
        settings: &Settings,
        archive: String,
    ) -> Result<String> {
        match (self, archive.split_once('=')) {
            (Target::Named(_), Some((key, value)))
                if !key.is_empty() && !is_archive_file(&archive) =>
            {
                let prefix = &settings.schema.prefix;
                let repository = &destination.repository;
                repository.newest_with_tag(prefix, (key, value), context)
            }
            _ => Ok(archive),
        }
    }

    /// Splits the word before its last part; `None` if it has one part.
    fn split(&self) -> Result<Option<(NameOrAddress<'_>, String)>, Failure> {
        match self {
            Target::Standard | Target::Path(_) => Ok(None),
            Target::Named(named) => Ok(named
                .split_once('/')
                .map(|(name, archive)| (NameOrAddress::Name(name), archive.to_owned()))),
            Target::Url(url) => Ok(Address::parse_archive(url)
                .map_err(usage)?
                .map(|(address, archive)| (NameOrAddress::Address(address), archive))),
        }
    }

    /// Returns the destination and the name of an archive there, without a name if the newest one is requested; `None` for a
    /// path.
    fn destination_and_archive(
        &self,
    ) -> Result<Option<(NameOrAddress<'_>, Option<String>)>, Failure> {
        let (place, archive) = match (self.split()?, self) {
            (Some((place, archive)), _) => (place, Some(archive)),
            (None, Target::Standard | Target::Path(_)) => return Ok(None),
            (None, Target::Named(name)) => (NameOrAddress::Name(name), None),
            (None, Target::Url(url)) => {
                return Err(usage(format!(
                    "{url} names no archive; `hookshot list {url}` shows what is there"
                )));
            }
        };
        let archive = archive.filter(|archive| !archive.is_empty() && archive != LATEST);
        Ok(Some((place, archive)))
    }

    /// Returns the destination of an output, and the archive's name if the word ends with one.
    fn output_and_archive(&self) -> Result<(NameOrAddress<'_>, Option<String>), Failure> {
        let named = self.split()?;
        if let Some((place, archive)) = named.filter(|(_, archive)| is_archive_file(archive)) {
            return Ok((place, Some(archive)));
        }
        let place = match self {
            Target::Named(name) => NameOrAddress::Name(name.trim_end_matches('/')),
            Target::Url(url) => {
                NameOrAddress::Address(Address::parse(url.trim_end_matches('/')).map_err(usage)?)
            }
            Target::Path(path) => NameOrAddress::Address(Address::Folder(path.clone())),
            Target::Standard => NameOrAddress::Address(Address::Folder("-".into())),
        };
        Ok((place, None))
    }
}

impl NameOrAddress<'_> {
    fn open(self, context: &Context, settings: &Settings) -> Result<Destination> {
        let destination = self.open_with(context, settings, ReadBack::AsConfigured)?;
        usable(context, destination)
    }

    fn open_with(
        self,
        context: &Context,
        settings: &Settings,
        read_back: ReadBack,
    ) -> Result<Destination> {
        match self {
            NameOrAddress::Name(name) => Destination::named(context, settings, name, read_back),
            NameOrAddress::Address(address) => {
                Destination::at(context, settings, address, read_back)
            }
        }
    }
}

/// Returns a destination, unless its folder is away, or is an unpacked archive.
fn usable(context: &Context, destination: Destination) -> Result<Destination> {
    let destination = destination.ready()?;
    if let Some(folder) = destination.folder() {
        require_destination(context, &folder)?;
    }
    Ok(destination)
}

/// Returns true if a URL ends in the word for the newest archive, below a bucket or a host.
fn names_latest(url: &str) -> bool {
    matches!(Address::parse_archive(url), Ok(Some((_, name))) if name == LATEST)
}

fn input_file(context: &Context, path: &Path) -> Result<ArchiveInput> {
    let fault = unexpanded(&path.to_string_lossy(), "there");
    match fault.filter(|_| !path.exists()) {
        Some(fault) => Err(usage(fault)
            .hint("a shell expands it only where it stands without quotes")
            .into()),
        None if is_archive(context, path)? => Ok(ArchiveInput::Folder(path.to_owned())),
        None => Ok(ArchiveInput::File(path.to_owned())),
    }
}

/// Opens the folder of this machine that a file lies in.
pub fn folder_around(context: &Context, settings: &Settings, file: &Path) -> Result<Destination> {
    Target::Path(as_path(&folder_of(file))).destination(context, settings)
}

/// Returns the path of a folder in a form that no command reads as a URL or as `@NAME`.
fn as_path(folder: &Path) -> PathBuf {
    let is_path = match text_of(folder.as_os_str()) {
        Ok(Some(text)) => !text.starts_with('@') && matches!(address::read(text), Ok(Word::Path)),
        Ok(None) => true,
        Err(_) => false,
    };
    match is_path {
        true => folder.to_owned(),
        false => Path::new("./").join(folder),
    }
}

fn usage(fault: String) -> Failure {
    Failure::new(Kind::Usage, fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the destination that a word names, and the archive, as text.
    fn split(word: &str) -> Option<(String, Option<String>)> {
        let target = Target::read(word).expect(word);
        let (place, archive) = target.destination_and_archive().expect(word)?;
        let place = match place {
            NameOrAddress::Name(name) => format!("@{name}"),
            NameOrAddress::Address(address) => address.to_string(),
        };
        Some((place, archive))
    }

    #[test]
    fn words_that_name_archives_are_told_from_paths() {
        for path in ["-", "a.tar.gz", "/x/a.tar.gz", "./@x"] {
            assert_eq!(split(path), None, "{path}");
        }
        for newest in ["@a", "@a/", "@a/latest"] {
            assert_eq!(split(newest), Some(("@a".to_owned(), None)), "{newest}");
        }
        let (place, archive) = split("s3://b/c/x.tar.gz").expect("a URL");
        assert_eq!(
            (place.as_str(), archive.as_deref()),
            ("s3://b/c", Some("x.tar.gz"))
        );
        let place = Target::read("s3://b").expect("a URL");
        assert!(place.destination_and_archive().is_err());
    }

    #[test]
    fn a_bucket_may_be_called_latest() {
        for url in ["s3://latest", "s3://bucket/latest/", "s3://bucket/x-latest"] {
            assert!(!names_latest(url), "{url}");
        }
        assert!(names_latest("s3://bucket/latest"));
    }

    #[test]
    fn an_output_ends_with_an_archive_or_is_a_place() {
        let archive = |word: &str| {
            let target = Target::read(word).expect(word);
            let (_, archive) = target.output_and_archive().expect(word);
            archive
        };
        for place in ["@a", "@a/", "s3://b", "s3://b/c/", "s3://b/c"] {
            assert_eq!(archive(place), None, "{place}");
        }
        for named in ["@a/x.tar.gz", "s3://b/x.tar.gz"] {
            assert_eq!(archive(named).as_deref(), Some("x.tar.gz"), "{named}");
        }
    }
}
