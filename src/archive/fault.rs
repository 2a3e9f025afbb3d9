//! The faults of an archive: every reason for which the reader refuses one.

use std::{error, fmt, io};

use crate::{
    error::{Failure, Kind},
    model::{
        digest::Digest,
        entry_name::{EntryName, printable},
        limits::MAX_FAULTS,
    },
};

/// A reason to refuse an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are what the messages below say of them"
)]
pub enum Fault {
    /// The file ends before the archive does.
    Truncated { offset: u64 },
    /// A gzip member is damaged.
    Gzip {
        member: u64,
        offset: u64,
        reason: String,
    },
    /// The last member is followed by something that is not a gzip member.
    TrailingBytes { offset: u64 },
    /// It is not an archive at all.
    NotAnArchive(String),
    /// The tar inside is damaged, or uses a feature that no archive may use.
    Tar(String),
    /// A member of the tar has a path that no entry may have.
    Path { path: String, reason: String },
    /// A member of the tar is not a regular file.
    Special { path: String, what: &'static str },
    /// There is more than one root folder.
    SecondRoot { path: String, root: String },
    /// The manifest is missing.
    NoManifest,
    /// The manifest lies at the top of the tar, outside of any root folder.
    NoRoot,
    /// The manifest has content that no manifest may have.
    Manifest(String),
    /// The manifest is of another major version.
    Version(String),
    /// A listing has content that no listing may have.
    Listing(String),
    /// The manifest does not list the file.
    Unlisted(String),
    /// The listing of the directory does not have the file.
    NotInListing { path: String, listing: EntryName },
    /// The file does not come where the listing of its directory has it.
    Misplaced { path: String, listing: EntryName },
    /// A file that the tar of a Mac puts beside another file (AppleDouble).
    Apple(String),
    /// The manifest lists the entry, but the archive does not contain it.
    Missing(EntryName),
    /// A listing has further files that the archive does not contain.
    MissingFiles { directory: EntryName, count: u64 },
    /// The file is in the archive twice.
    Twice(String),
    /// The entry has another size than the manifest says.
    Size {
        name: EntryName,
        expected: u64,
        found: u64,
    },
    /// The entry has another digest than the manifest says.
    Checksum {
        name: EntryName,
        expected: Digest,
        found: Digest,
    },
    /// The archive inflates to more than its manifest promises.
    TooMuch { promised: u64 },
    /// The index at the end is missing.
    NoIndex,
    /// Entries after another fault that could not be checked.
    NotReached(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Truncated { offset } => write!(
                f,
                "truncated: the file ends at byte {offset}, in the middle of the archive"
            ),
            Fault::Gzip {
                member,
                offset,
                reason,
            } => {
                write!(
                    f,
                    "damaged: gzip member {member} at byte {offset}: {reason}"
                )
            }
            Fault::TrailingBytes { offset } => write!(
                f,
                "bytes after the end: at byte {offset} follows something that is not a gzip member"
            ),
            Fault::NotAnArchive(reason) => write!(f, "not a hookshot archive: {reason}"),
            Fault::Tar(reason) => write!(f, "damaged tar: {reason}"),
            Fault::Path { path, reason } => {
                write!(f, "forbidden path {}: it {reason}", printable(path))
            }
            Fault::Special { path, what } => {
                write!(
                    f,
                    "forbidden kind of file: {} is {what}, and an archive holds regular files only",
                    printable(path)
                )
            }
            Fault::SecondRoot { path, root } => {
                write!(
                    f,
                    "second root folder: {} lies outside {}",
                    printable(path),
                    printable(root)
                )
            }
            Fault::NoManifest => f.write_str("no manifest.json in its root folder"),
            Fault::NoRoot => f.write_str(
                "no root folder: manifest.json lies outside a root folder, because the tar was packed from inside; \
                pack the folder itself (tar -czf NEW.tar.gz FOLDER)",
            ),
            Fault::Manifest(reason) => write!(f, "manifest.json {reason}"),
            Fault::Version(reason) => f.write_str(reason),
            Fault::Unlisted(path) => write!(
                f,
                "unlisted: the manifest does not list {}",
                printable(path)
            ),
            Fault::Listing(reason) => f.write_str(reason),
            Fault::NotInListing { path, listing } => write!(
                f,
                "unlisted: {listing} does not list {}",
                printable(path)
            ),
            Fault::Misplaced { path, listing } => write!(
                f,
                "out of order: {} does not stand where {listing} lists it",
                printable(path)
            ),
            Fault::Apple(path) => write!(
                f,
                "{} is not of the export: the tar of a Mac adds such files; pack the folder without them \
                (COPYFILE_DISABLE=1 tar -czf NEW.tar.gz FOLDER)",
                printable(path)
            ),
            Fault::Missing(name) => write!(
                f,
                "missing: the manifest lists {name}, and the archive does not hold it"
            ),
            Fault::MissingFiles { directory, count } => write!(
                f,
                "missing: {count} more files that the listing of {directory} has are not in the archive"
            ),
            Fault::Twice(path) => write!(
                f,
                "duplicate: {} stands in the archive twice",
                printable(path)
            ),
            Fault::Size {
                name,
                expected,
                found,
            } => {
                write!(
                    f,
                    "size mismatch for file {name}: expected {expected} bytes, got {found}"
                )
            }
            Fault::Checksum {
                name,
                expected,
                found,
            } => {
                write!(
                    f,
                    "checksum mismatch for file {name}: expected {expected}, got {found}"
                )
            }
            Fault::TooMuch { promised } => {
                write!(
                    f,
                    "the archive inflates to more than the {promised} bytes that its manifest promises"
                )
            }
            Fault::NoIndex => {
                f.write_str("truncated: the index at the end of the archive is missing")
            }
            Fault::NotReached(count) => {
                write!(f, "{count} entries behind the fault could not be checked")
            }
        }
    }
}

impl error::Error for Fault {}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, fault)
    }
}

/// Returns the fault that `error` carries, if it carries one.
pub(super) fn fault_of(error: &io::Error) -> Option<Fault> {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Fault>())
        .cloned()
}

/// Returns the failure that names every fault of the archive called `shown`.
pub fn refusal(shown: &str, faults: &[Fault]) -> Failure {
    let mut named: Vec<String> = faults
        .iter()
        .take(MAX_FAULTS)
        .map(Fault::to_string)
        .collect();
    if faults.len() > MAX_FAULTS {
        named.push(format!("and {} more", faults.len() - MAX_FAULTS));
    }
    let first = named.first().cloned().unwrap_or_default();
    if faults
        .iter()
        .any(|fault| matches!(fault, Fault::Version(_)))
    {
        return Failure::new(Kind::Version, first)
            .hint("use a hookshot of the archive's version; `hookshot version` shows this one's")
            .faults(named);
    }
    let is_foreign = |fault: &Fault| {
        matches!(
            fault,
            Fault::NotAnArchive(_) | Fault::NoRoot | Fault::Apple(_)
        )
    };
    if faults.iter().any(is_foreign) {
        return Failure::new(Kind::Refused, format!("archive {shown} refused: {first}"))
            .hint("this is not the file that an export made: do what the message says, fetch it again from where it is \
                kept, or use another one; nothing was changed")
            .faults(named);
    }
    Failure::new(Kind::Refused, format!("archive {shown} refused: {first}"))
        .hint("the archive cannot be trusted: fetch it again from where it is kept, or use another one; nothing was changed")
        .faults(named)
}
