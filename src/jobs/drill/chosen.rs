//! The archives whose restore is rehearsed, as words of the command line name them.

use std::{cmp::Reverse, ffi::OsString, path::Path};

use anyhow::Result;

use super::request::WhichArchives;
use crate::{
    catalog::{
        destination::{Destination, unknown},
        input::{ArchiveInput, Candidates},
        repository::Manifests,
        target::{LATEST, Target},
    },
    config::{Settings, elsewhere::tidy},
    context::Context,
    disk::{dangling, folder_of, real},
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, ArchiveOrder, is_archive_file},
        entry_name::printable,
    },
    store::Address,
};

/// An archive whose restore is rehearsed, or the reason why it cannot be.
pub struct ChosenArchive {
    /// The name of its destination in the configuration, or its address; `None` for standard input.
    pub destination: Option<String>,
    /// Its name; `None` if the destination did not tell it.
    pub archive: Option<String>,
    /// Its size, if the destination has told it.
    pub bytes: Option<u64>,
    /// The way to read it.
    pub input: Result<ArchiveInput, Failure>,
}

/// Returns the words of a request: those of every destination if it names none. Refuses wrong ones.
pub fn words(settings: &Settings, said: &[OsString]) -> Result<Vec<OsString>> {
    let words = match said {
        [] => Target::every(settings)?,
        said => said.to_vec(),
    };
    if words.is_empty() {
        return Err(Target::none_named(settings).into());
    }
    for word in &words {
        if let Target::Named(named) = Target::read(word)? {
            let name = named.split('/').next().unwrap_or_default();
            if !settings.schema.destinations.contains_key(name) {
                return Err(unknown(settings, name).into());
            }
        }
    }
    Ok(words)
}

/// Returns the archives that a word names. A destination that cannot be read is one archive without a name.
pub fn choose(
    context: &Context,
    settings: &Settings,
    word: &OsString,
    which: WhichArchives,
) -> Result<Vec<ChosenArchive>> {
    let target = Target::read(word)?;
    let place = match target.place(context, settings) {
        Ok(place) => place,
        Err(error) => return Ok(vec![failed(settings, &target, error)?]),
    };
    match place {
        Some(destination) => match within(settings, &destination, which) {
            Ok(chosen) => Ok(chosen),
            Err(error) => Ok(vec![failed(settings, &target, error)?]),
        },
        None => match named(context, settings, &target) {
            Ok(chosen) => Ok(vec![chosen]),
            Err(error) => Ok(vec![failed(settings, &target, error)?]),
        },
    }
}

/// Returns archives of a destination, the newest first; at least one.
fn within(
    settings: &Settings,
    destination: &Destination,
    which: WhichArchives,
) -> Result<Vec<ChosenArchive>> {
    let repository = &destination.repository;
    let prefix = &settings.schema.prefix;
    let listing = repository.list(Some(prefix), Manifests::OfNone)?;
    let count = match which {
        WhichArchives::Newest => 1,
        WhichArchives::All => usize::MAX,
    };
    let name = match &destination.name {
        Some(name) => name.clone(),
        None => repository.address(),
    };
    let odd = destination
        .folder()
        .map(|folder| unreadable(&folder, prefix));
    let odd = odd.unwrap_or_default();
    let archives = listing.archives.into_iter();
    let mut chosen: Vec<(ArchiveOrder, ChosenArchive)> = archives
        .map(|listed| {
            let order = listed.order();
            let archive = listed.stored.name;
            let candidates = Candidates::new(repository.clone(), vec![archive.clone()]);
            let chosen = ChosenArchive {
                destination: Some(name.clone()),
                archive: Some(archive),
                bytes: Some(listed.stored.size_bytes),
                input: Ok(ArchiveInput::Stored(candidates)),
            };
            (order, chosen)
        })
        .collect();
    chosen.extend(odd.into_iter().map(|odd| {
        let chosen = ChosenArchive {
            destination: Some(name.clone()),
            archive: Some(odd.name),
            bytes: None,
            input: Err(odd.failure),
        };
        (odd.order, chosen)
    }));
    chosen.sort_by_key(|(order, _)| Reverse(*order));
    let chosen = chosen.into_iter().map(|(_, chosen)| chosen).take(count);
    let chosen: Vec<ChosenArchive> = chosen.collect();
    if chosen.is_empty() {
        let message = format!("{} has no archive of {prefix}", repository.shown());
        return Err(Failure::new(Kind::NotFound, message)
            .hint("`hookshot list --all-hosts` shows what is there")
            .into());
    }
    Ok(chosen)
}

/// Something that has the name of an archive and is not a file.
struct Unreadable {
    name: String,
    order: ArchiveOrder,
    failure: Failure,
}

/// Returns what has the name of an archive of `prefix` in a folder, and is not a file: listings leave it out, and no
/// older archive takes its place.
fn unreadable(folder: &Path, prefix: &str) -> Vec<Unreadable> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let parsed = ArchiveName::of_file(&name).filter(|name| name.prefix() == prefix)?;
        let path = entry.path();
        let shown = path.display();
        let message = match path.metadata() {
            Ok(metadata) if metadata.is_file() => return None,
            Ok(metadata) if metadata.is_dir() => format!("{shown} is a folder, not an archive"),
            Ok(_) => format!("{shown} is not a file, and not an archive"),
            Err(error) => match dangling(&path) {
                Some(failure) => failure.message,
                None => format!("cannot read {shown}: {error}"),
            },
        };
        Some(Unreadable {
            name,
            order: parsed.order(),
            failure: Failure::new(Kind::Refused, message)
                .hint("it has the name of an archive: remove it, or bring the archive back"),
        })
    });
    found.collect()
}

/// Returns the archive that a word names.
fn named(context: &Context, settings: &Settings, target: &Target) -> Result<ChosenArchive> {
    let input = target.input(context, || Ok(settings))?;
    let bytes = match &input {
        ArchiveInput::File(path) => path.metadata().ok().map(|metadata| metadata.len()),
        input => input.stored_bytes()?,
    };
    Ok(ChosenArchive {
        destination: match &input {
            // The folder is the archive, and lies in its destination.
            ArchiveInput::Folder(path) => Some(name_of(settings, &folder_of(path))),
            _ => destination(settings, target),
        },
        archive: Some(match input.file_name() {
            Some(name) => name.to_owned(),
            None => input.shown(),
        }),
        bytes,
        input: Ok(input),
    })
}

/// Returns what cannot be read. An interruption is an error.
fn failed(settings: &Settings, target: &Target, error: anyhow::Error) -> Result<ChosenArchive> {
    let failure = Failure::of(&error);
    if matches!(failure.kind, Kind::Interrupted(_)) {
        return Err(error);
    }
    Ok(ChosenArchive {
        destination: destination(settings, target),
        archive: None,
        bytes: None,
        input: Err(failure),
    })
}

/// Returns the name of the destination that a word names or in which the named archive lies.
fn destination(settings: &Settings, target: &Target) -> Option<String> {
    match target {
        Target::Standard => None,
        Target::Named(named) => named.split('/').next().map(str::to_owned),
        Target::Url(url) => match Address::parse_archive(url) {
            Ok(Some((address, name))) if is_archive_file(&name) || name == LATEST => {
                Some(address.to_string())
            }
            _ => Some(url.clone()),
        },
        Target::Path(path) => {
            let folder = match path.is_dir() {
                true => path.clone(),
                false => folder_of(path),
            };
            Some(name_of(settings, &folder))
        }
    }
}

/// Returns the name of a folder as a destination: the one in the configuration, else its path.
fn name_of(settings: &Settings, folder: &Path) -> String {
    let configured = of_folder(settings, folder);
    configured.unwrap_or_else(|| printable(&folder.to_string_lossy()))
}

/// Returns the name of the destination that is this folder.
fn of_folder(settings: &Settings, folder: &Path) -> Option<String> {
    let top = folder_of(&settings.config);
    let mut all = settings.schema.destinations.iter();
    let found = all.find(|(_, destination)| match &destination.address {
        Address::Folder(path) => real(&tidy(&top.join(path))) == real(folder),
        _ => false,
    });
    found.map(|(name, _)| name.clone())
}
