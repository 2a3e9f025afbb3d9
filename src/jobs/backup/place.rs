//! The destinations of a run, each with the words that name it.

use std::{ffi::OsString, path::PathBuf};

use anyhow::Result;

use crate::{
    catalog::{
        destination::{Destination, disabled, unknown},
        target::Target,
    },
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::{entry_name::printable, run_record::DestinationRecord},
    ops::export::OutputReport,
};

/// A destination of a run.
#[derive(Debug, Clone)]
pub struct Place {
    /// The word that names it: `@NAME`, a URL or a path.
    pub word: OsString,
    /// Its name in the configuration, or its address.
    pub name: String,
}

impl Place {
    /// Returns the places that `words` name, or else those of `[backup] to`; at least one.
    pub fn find(settings: &Settings, words: &[OsString]) -> Result<Vec<Place>> {
        let configured: Vec<OsString>;
        let words = match words {
            [] => {
                configured = Target::configured(settings)?;
                &configured
            }
            words => words,
        };
        if words.is_empty() {
            let failure = Failure::new(Kind::Usage, "no destination is named, and none configured");
            return Err(failure
                .hint("name a folder, a URL or an @destination, or set `to` under [backup]")
                .into());
        }
        let place = |word: &OsString| {
            let target = Target::read(word)?;
            if matches!(target, Target::Standard) {
                let failure = Failure::new(Kind::Usage, "a backup does not go to standard output");
                return Err(failure.hint("`hookshot export -` does that").into());
            }
            if let Target::Named(name) = &target
                && !settings.schema.destinations.contains_key(name)
            {
                return Err(unknown(settings, name).into());
            }
            let shown = target.shown();
            if let Target::Named(name) = &target
                && let Some(found) = settings.schema.destinations.get(name)
                && !found.enabled
            {
                return Err(disabled(&shown).into());
            }
            Ok(Place {
                word: word.clone(),
                name: shown.strip_prefix('@').unwrap_or(&shown).to_owned(),
            })
        };
        words.iter().map(place).collect()
    }

    /// Opens the destination; sends no request yet.
    pub fn open(&self, context: &Context, settings: &Settings) -> Result<Destination> {
        Target::read(&self.word)?.destination(context, settings)
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
pub fn records(
    context: &Context,
    settings: &Settings,
    places: &[Place],
    outputs: &[OutputReport],
) -> Vec<DestinationRecord> {
    let mut outputs: Vec<&OutputReport> = outputs.iter().collect();
    let record = |place: &Place| {
        let mut names = vec![printable(&place.word.to_string_lossy())];
        if let Ok(destination) = place.open(context, settings) {
            names.push(destination.shown());
            names.extend(
                destination
                    .folder()
                    .map(|folder| folder.display().to_string()),
            );
        }
        let is_here =
            |output: &&OutputReport| names.iter().any(|name| lies_at(&output.archive, name));
        let Some(at) = outputs.iter().position(is_here) else {
            return place.failed("nothing is known of this destination");
        };
        let output = outputs.remove(at);
        DestinationRecord {
            good: output.good,
            proof: output.proof.map(|proof| proof.name().to_owned()),
            error: output.error.clone(),
            ..place.record()
        }
    };
    places.iter().map(record).collect()
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
