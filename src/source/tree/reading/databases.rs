//! Databases among the files that are read: copied as such, with the companion files of their engines.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt as _, path::Path};

use anyhow::Result;

use super::{
    super::{
        database::{DatabaseHandling, Found},
        folders::FoundFile,
        found::{Place, ReadFile, marks},
        hash::Outcome,
        hashed::Hashed,
        seen::Seen,
        spool::FileKinds,
    },
    Reading,
};
use crate::{
    disk::tree::beneath::Folders,
    error::{Failure, Kind},
    model::{entry_name::EntryName, manifest::FileRecord, relative::RelativeName},
};

/// The size above which a copy of a database keeps a file of its own.
const SMALL_COPY_BYTES: u64 = 16 << 20;
/// The most copies with files of their own: each is an open file until the archive is made.
const MOST_COPIES: usize = 64;

impl Reading<'_> {
    pub(super) fn copy(
        &mut self,
        folders: &mut Folders<'_>,
        relative: &RelativeName,
    ) -> Result<Outcome> {
        let kinds = match self.caller.databases {
            DatabaseHandling::AsFiles => FileKinds::Any,
            DatabaseHandling::Copied(_) => FileKinds::Plain,
        };
        self.spool.copy(folders, relative, kinds, self.caller.step)
    }

    /// Copies a database as one, or else as a plain file, and returns the finding; the inner error is one of reading
    /// it.
    pub(super) fn database(
        &mut self,
        folders: &mut Folders<'_>,
        file: &FoundFile,
        found: Found,
    ) -> Result<io::Result<Option<Vec<u8>>>> {
        let relative = &file.name;
        let entry = relative.entry(&self.origin.name).0;
        let reason = match self.consistent(relative, &entry, &found)? {
            Ok((staged, place)) => {
                for ending in found.engine.companions() {
                    let companion = [relative.as_bytes(), ending.as_bytes()].concat();
                    self.companions.insert(companion);
                }
                let seen = Seen::of(&found.look);
                let size = staged.size;
                let hashed = Hashed {
                    look: found.look,
                    xattrs: found.xattrs,
                    digest: staged.checksum,
                    size,
                };
                let mut record = self.describer.record(relative, hashed);
                (record.kind, record.snapshot) = (staged.kind, staged.snapshot);
                let text = self.describer.file(relative, record);
                let file = ReadFile {
                    seen,
                    place,
                    size,
                    marks: marks::DATABASE,
                    since: 0,
                    text: &text,
                };
                return Ok(Ok(Some(self.file(relative, file))));
            }
            Err(reason) => reason,
        };
        let step = self.caller.step;
        let (hashed, content) = match self.spool.copy(folders, relative, FileKinds::Any, step)? {
            Outcome::Copied(hashed, content) | Outcome::Torn(hashed, content) => (hashed, content),
            Outcome::Failed(error) => return Ok(Err(error)),
            Outcome::Gone => return Ok(Ok(Some(self.missed(file)))),
            _ => return Ok(Ok(None)),
        };
        let size = hashed.size;
        let mut record = self.describer.record(relative, hashed);
        record.kind = Some(found.engine.kind().into());
        record.torn = true;
        self.unproven.insert(relative.as_bytes().to_vec(), reason);
        let text = self.describer.file(relative, record);
        let file = ReadFile {
            seen: *content.seen(),
            place: Place::Spooled(content.start()),
            size,
            marks: marks::DATABASE | marks::UNPROVEN,
            since: 0,
            text: &text,
        };
        Ok(Ok(Some(self.file(relative, file))))
    }

    /// Returns one consistent copy, or the reason why there is none. Fails only if the work ends.
    fn consistent(
        &mut self,
        relative: &RelativeName,
        entry: &EntryName,
        found: &Found,
    ) -> Result<Result<(FileRecord, Place), String>> {
        let DatabaseHandling::Copied(take) = self.caller.databases else {
            return Ok(Err("it is read as a file".to_owned()));
        };
        let below = Path::new(OsStr::from_bytes(relative.as_bytes()));
        let path = self.top.join(below);
        // A link that was put in the way would lead to a database of another user.
        let is_in_place = || {
            let expected = self.real.as_ref().map(|real| real.join(below));
            expected.is_some() && path.canonicalize().ok() == expected
        };
        if !is_in_place() {
            return Ok(Err("it is replaced while it is read".to_owned()));
        }
        let staged = match take(&path, entry, found.engine) {
            Ok(staged) if is_in_place() => staged,
            Ok(_) => return Ok(Err("it is replaced while it is read".to_owned())),
            Err(error) => {
                let failure = Failure::of(&error);
                return match failure.kind {
                    Kind::Interrupted(_) => Err(error),
                    _ => Ok(Err(with_remedy(&failure))),
                };
            }
        };
        let size = staged.record.size;
        let place = match self.kept.len() < MOST_COPIES && size > SMALL_COPY_BYTES {
            true => {
                self.kept.push(Some(staged.content));
                Place::Kept(self.kept.len() as u64 - 1)
            }
            false => {
                let mut content = staged.content.open()?;
                let step = self.caller.step;
                let copy = self.spool.keep(&mut *content, &found.look, step)?;
                Place::Spooled(copy.start())
            }
        };
        Ok(Ok((staged.record, place)))
    }
}

/// Returns the fault of a database and its remedy, without the part of the hint that says that no archive was made: one
/// is.
fn with_remedy(failure: &Failure) -> String {
    let hint = failure.hint.as_deref().unwrap_or_default();
    let is_remedy = |part: &&str| {
        !part.is_empty()
            && ![
                "no archive was written",
                "nothing was written",
                "nothing was changed",
            ]
            .contains(part)
    };
    let parts = hint.split("; ").filter(is_remedy);
    let parts = std::iter::once(failure.message.as_str()).chain(parts);
    parts.collect::<Vec<_>>().join("; ")
}
