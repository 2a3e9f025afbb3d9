//! The amount of a source, compared with the expectation of the configuration and with the newest archive.
//!
//! A disk that is not mounted leaves an empty folder, and an export of it is good in every other way: archives of it
//! would push out the ones that hold something.

use crate::{
    config::sources::Source,
    disk::mounts::is_mounted,
    error::{Failure, Kind},
    machine::contents,
    model::{
        known_archive::ArchivedSources,
        manifest::{FileRecord, ListedDirectory},
    },
};

/// The number of files and bytes of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    files: u64,
    bytes: u64,
}

impl Amount {
    /// The amount of some files.
    pub fn of<'a>(records: impl Iterator<Item = &'a FileRecord>) -> Amount {
        let add = |sum: Amount, record: &FileRecord| Amount {
            files: sum.files + 1,
            bytes: sum.bytes.saturating_add(record.size),
        };
        records.fold(Amount::default(), add)
    }

    /// The amount of a directory that has a listing.
    pub fn listed(directory: &ListedDirectory) -> Amount {
        Amount {
            files: directory.files,
            bytes: directory.bytes,
        }
    }

    /// Returns what an archive has of a source; nothing if it does not know the source.
    pub fn archived(source: &Source, sources: &ArchivedSources) -> Option<Amount> {
        let archived = sources.get(source.name.as_str())?;
        (archived.is_directory == source.is_directory()).then_some(Amount {
            files: archived.files,
            bytes: archived.bytes,
        })
    }

    /// Fails if the source has less than the configuration expects of it.
    pub fn suffices(self, source: &Source) -> Result<(), Failure> {
        let expected = &source.expected;
        // The files of a pattern are counted together.
        let (kind, least, found) = if source.is_directory() && self.files < expected.min_files {
            ("min_files", expected.min_files, self.files)
        } else if self.bytes < expected.min_bytes {
            ("min_bytes", expected.min_bytes, self.bytes)
        } else {
            return Ok(());
        };
        let unit = match kind {
            "min_files" => "files",
            _ => "bytes",
        };
        let message = format!(
            "{} has {found} {unit}, and `{kind}` asks for {least}: {}",
            source.name,
            source.kind.shown_place()
        );
        Err(missing(message))
    }

    /// Returns true if there is not a single file.
    pub fn has_no_files(self) -> bool {
        self.files == 0
    }

    /// Says what is odd about the amount of a source, if the newest archive had `before`.
    pub fn is_odd(self, source: &Source, before: Option<Amount>) -> Option<String> {
        let name = &source.name;
        let is_text = contents::is_checked(source);
        let had = before.map_or_else(String::new, |before| {
            format!(", and the newest archive has {} of it", before.shown())
        });
        if self.files == 0 || self.bytes == 0 && !source.is_directory() {
            let what = match self.files {
                0 => "no file",
                _ => "nothing",
            };
            return Some(format!(
                "{name} is empty: found {what} at {}{had}",
                source.kind.shown_place()
            ));
        }
        let before = before.filter(|_| !is_text)?;
        let is_less = |now: u64, before: u64| now.saturating_mul(2) < before;
        let has_lost = is_less(self.files, before.files) || is_less(self.bytes, before.bytes);
        has_lost.then(|| {
            format!(
                "{name} has lost more than half: there are {} at {}{had}",
                self.shown(),
                source.kind.shown_place()
            )
        })
    }

    fn shown(self) -> String {
        let files = match self.files {
            1 => "1 file".to_owned(),
            files => format!("{files} files"),
        };
        format!("{files} with {} bytes", self.bytes)
    }
}

/// Fails if the configuration expects that a source lies on another mount than `/`, and it does not.
pub fn require_mount(source: &Source) -> Result<(), Failure> {
    match source.path() {
        Some(path) if source.expected.mounted && !is_mounted(path) => {
            let message = format!(
                "nothing is mounted at {}, nor at a folder above it: {} is not there",
                path.display(),
                source.name
            );
            Err(missing(message))
        }
        _ => Ok(()),
    }
}

fn missing(message: String) -> Failure {
    Failure::new(Kind::NotFound, message)
        .hint("is everything mounted, and does the configuration name the right place? nothing was written")
}
