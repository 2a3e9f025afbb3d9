//! The destinations of a run, each with the words that name it.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    catalog::{
        destination::{Destination, ReadBack, disabled, unknown},
        output::ArchiveOutput,
        target::Target,
    },
    config::{Settings, elsewhere::tidy},
    context::Context,
    disk::folder_of,
    error::{Failure, Kind},
    model::{archive_name::is_archive_file, entry_name::printable, run_record::DestinationRecord},
    ops::export::{FailedAt, OutputReport},
    store::Address,
};

/// A destination of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The word that names it: `@NAME`, a URL, or a path with a slash at its end.
    pub word: OsString,
    /// Its name in the configuration, or its address.
    pub name: String,
    /// Its address.
    address: Address,
}

impl Place {
    /// Returns the places that `words` name, or else those of `[backup] to`; at least one, each once.
    pub fn find(settings: &Settings, words: &[OsString]) -> Result<Vec<Place>> {
        let words = match words {
            [] => Target::configured(settings)?,
            words => words.to_vec(),
        };
        if words.is_empty() {
            return Err(Target::none_named(settings).into());
        }
        let mut places: Vec<Place> = Vec::new();
        for word in &words {
            let place = Place::of(settings, word)?;
            if let Some(other) = places.iter().find(|other| other.address == place.address) {
                let message = match other.name == place.name {
                    true => format!("{} is named twice", place.name),
                    false => format!("{} and {} are the same destination", other.name, place.name),
                };
                let failure = Failure::new(Kind::Usage, message);
                return Err(failure.hint("name each destination once").into());
            }
            places.push(place);
        }
        Ok(places)
    }

    /// Returns `places` and the configured ones beside them: each may hold what another one lacks.
    pub fn holders(settings: &Settings, places: &[Place]) -> Vec<Place> {
        let mut holders = places.to_vec();
        for word in Target::configured(settings).unwrap_or_default() {
            if let Ok(place) = Place::of(settings, &word)
                && !holders.iter().any(|known| known.address == place.address)
            {
                holders.push(place);
            }
        }
        holders
    }

    fn of(settings: &Settings, word: &OsStr) -> Result<Place> {
        let names_an_archive = || {
            let message = format!(
                "{} names an archive, not a destination",
                word.to_string_lossy()
            );
            Failure::new(Kind::Usage, message).hint("name a folder, a URL or an @destination")
        };
        if word.to_str().is_some_and(is_archive_file) {
            return Err(names_an_archive().into());
        }
        match Target::read(word)? {
            Target::Standard => {
                let failure = Failure::new(Kind::Usage, "a backup does not go to standard output");
                Err(failure.hint("`hookshot export -` does that").into())
            }
            Target::Named(named) => {
                let name = named.trim_end_matches('/');
                if name.contains('/') {
                    return Err(names_an_archive().into());
                }
                let found = settings.schema.destinations.get(name);
                let found = found.ok_or_else(|| unknown(settings, name))?;
                if !found.enabled {
                    return Err(disabled(&format!("@{name}")).into());
                }
                let address = match &found.address {
                    Address::Folder(path) => Address::Folder(folder(settings, path)),
                    other => other.clone(),
                };
                Ok(Place {
                    word: format!("@{name}").into(),
                    name: name.to_owned(),
                    address,
                })
            }
            Target::Url(url) => {
                let address =
                    Address::parse(&url).map_err(|fault| Failure::new(Kind::Usage, fault))?;
                Ok(Place {
                    word: word.to_owned(),
                    name: address.to_string(),
                    address,
                })
            }
            Target::Path(path) => {
                // With the slash it is a folder even if it does not exist yet.
                let mut word = path.clone().into_os_string();
                if !word.as_encoded_bytes().ends_with(b"/") {
                    word.push("/");
                }
                let address = Address::Folder(tidy(&std::path::absolute(&path)?));
                Ok(Place {
                    word,
                    name: printable(&path.to_string_lossy()),
                    address,
                })
            }
        }
    }

    /// Opens the destination; sends no request yet.
    pub fn open(&self, context: &Context, settings: &Settings) -> Result<Destination> {
        Target::read(&self.word)?.destination(context, settings)
    }

    /// Returns true if the configuration names it: then it may seal archives for others than `[backup.encryption]` says.
    pub fn is_named(&self) -> bool {
        self.word.as_encoded_bytes().starts_with(b"@")
    }

    /// Returns true if its archives share their content.
    pub fn is_repository(&self) -> bool {
        self.address.is_repository()
    }

    /// Returns true if it is a folder.
    pub fn is_here(&self) -> bool {
        matches!(self.address.place(), Address::Folder(_))
    }

    /// Returns true if it is a folder that does not exist yet, and that an export may make.
    pub fn is_new_folder(&self, context: &Context, settings: &Settings) -> bool {
        let folder = self
            .open(context, settings)
            .map(|destination| destination.folder());
        // A slash at the end would hide a file of that name.
        let folder = folder
            .ok()
            .flatten()
            .map(|folder| folder.components().collect::<PathBuf>());
        folder.is_some_and(|folder| folder.symlink_metadata().is_err())
    }

    /// Returns the step at which an export there fails if the destination does not answer because of a failure of `kind`,
    /// and the kind of that failure. An export opens a destination before it uses it.
    pub fn failing(
        &self,
        context: &Context,
        settings: &Settings,
        kind: Kind,
    ) -> Result<(FailedAt, Kind)> {
        let target = Target::read(&self.word)?;
        let opened = target.output(context, || Ok(settings), ReadBack::AsConfigured);
        Ok(match opened {
            Ok(ArchiveOutput::Unusable(_, failure)) => (FailedAt::Opening, failure.kind),
            Ok(ArchiveOutput::Path(path, _)) if path.is_dir() => (FailedAt::Writing, kind),
            // It cannot be made: something else is in its place.
            Ok(ArchiveOutput::Path(..)) => (FailedAt::Opening, Kind::Failed),
            Ok(ArchiveOutput::Stored(..) | ArchiveOutput::Stdout) => (FailedAt::Sending, kind),
            Err(error) => match Failure::of(&error).kind {
                Kind::Interrupted(_) => return Err(error),
                kind => (FailedAt::Opening, kind),
            },
        })
    }

    /// Returns the word for one of its archives.
    pub fn archive_word(&self, archive: &str) -> OsString {
        let mut word = self.word.clone();
        if !word.as_encoded_bytes().ends_with(b"/") {
            word.push("/");
        }
        word.push(archive);
        word
    }

    /// Returns the record of a destination that has not got anything yet.
    pub fn record(&self) -> DestinationRecord {
        DestinationRecord {
            name: self.name.clone(),
            ..DestinationRecord::default()
        }
    }

    /// Returns the same, after a failure.
    pub fn failed(&self, message: &str) -> DestinationRecord {
        DestinationRecord {
            error: Some(message.to_owned()),
            ..self.record()
        }
    }
}

/// Returns the record of each place, from the outputs of an export to all of them.
pub fn records(places: &[Place], outputs: &[OutputReport]) -> Vec<DestinationRecord> {
    let mut outputs: Vec<&OutputReport> = outputs.iter().collect();
    let record = |place: &Place| {
        let mut names = vec![
            place.word.to_string_lossy().into_owned(),
            place.address.to_string(),
        ];
        if let Address::Folder(folder) = &place.address {
            names.push(folder.display().to_string());
        }
        let is_here =
            |output: &&OutputReport| names.iter().any(|name| lies_at(&output.archive, name));
        let Some(at) = outputs.iter().position(is_here) else {
            return place.failed("nothing is known of this destination");
        };
        let output = outputs.remove(at);
        let name = output.archive.rsplit('/').next();
        DestinationRecord {
            archive: name.filter(|_| output.good).map(str::to_owned),
            good: output.good,
            proof: output.proof.map(|proof| proof.name().to_owned()),
            sha256: output.sha256.clone(),
            size_bytes: output.size_bytes,
            error: output.error.clone(),
            ..place.record()
        }
    };
    places.iter().map(record).collect()
}

/// Returns the path of a configured folder, which is relative to the folder of the configuration.
fn folder(settings: &Settings, path: &Path) -> PathBuf {
    tidy(&folder_of(&settings.config).join(path))
}

/// Returns true if an archive lies directly at a place, or is the place itself: so a failed output is named.
fn lies_at(archive: &str, place: &str) -> bool {
    let (archive, place) = (archive.trim_end_matches('/'), place.trim_end_matches('/'));
    let below = archive.strip_prefix(place);
    below.is_some_and(|below| match below.strip_prefix('/') {
        Some(name) => !name.contains('/'),
        None => below.is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_that_of_the_place_in_which_it_lies() {
        for (archive, place, lies) in [
            ("@a/x.tar.gz", "@a", true),
            ("@ab/x.tar.gz", "@a", false),
            ("/a/x.tar.gz", "/a/", true),
            ("/a/b/x.tar.gz", "/a", false),
            ("/a/", "/a", true),
            ("s3://b/p/x.tar.gz", "s3://b/p", true),
        ] {
            assert_eq!(lies_at(archive, place), lies, "{archive} {place}");
        }
    }
}
