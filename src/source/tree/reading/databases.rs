//! Databases among the files that are read: copied as such, with the companion files of their engines.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt as _, path::Path};

use anyhow::Result;

use super::{
    super::{
        content::Seen,
        database::{DatabaseHandling, Found},
        hash::Outcome,
        hashed::Hashed,
        listing::FoundFile,
        spool::FileKinds,
    },
    Reading,
};
use crate::{
    disk::tree::beneath::Folders,
    error::{Failure, Kind},
    model::{entry_name::EntryName, manifest::FileRecord, relative::RelativeName},
    source::staged::StagedContent,
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

    /// Copies a database as one, or else as a plain file; the inner error is one of reading it.
    pub(super) fn database(
        &mut self,
        folders: &mut Folders<'_>,
        file: &FoundFile,
        found: Found,
    ) -> Result<io::Result<()>> {
        let relative = &file.name;
        let entry = relative.entry(&self.origin.name).0;
        let reason = match self.consistent(relative, &entry, &found)? {
            Ok((staged, content)) => {
                for ending in found.engine.companions() {
                    let companion = [relative.as_bytes(), ending.as_bytes()].concat();
                    self.companions.insert(companion);
                }
                self.copies
                    .insert(self.records.len(), Seen::of(&found.look));
                let hashed = Hashed {
                    look: found.look,
                    xattrs: found.xattrs,
                    digest: staged.checksum,
                    size: staged.size,
                };
                let mut record = self.describe(relative, hashed);
                (record.kind, record.snapshot) = (staged.kind, staged.snapshot);
                self.push(record, content);
                return Ok(Ok(()));
            }
            Err(reason) => reason,
        };
        let step = self.caller.step;
        let (hashed, content) = match self.spool.copy(folders, relative, FileKinds::Any, step)? {
            Outcome::Copied(hashed, content) | Outcome::Torn(hashed, content) => (hashed, content),
            Outcome::Failed(error) => return Ok(Err(error)),
            Outcome::Gone => {
                self.missed.push((file.clone(), self.round));
                return Ok(Ok(()));
            }
            _ => return Ok(Ok(())),
        };
        let mut record = self.describe(relative, hashed);
        record.kind = Some(found.engine.kind().into());
        record.torn = true;
        self.unproven.insert(self.records.len(), reason);
        self.push(record, StagedContent::Spooled(content));
        Ok(Ok(()))
    }

    /// Returns one consistent copy, or the reason why there is none. Fails only if the work ends.
    fn consistent(
        &mut self,
        relative: &RelativeName,
        entry: &EntryName,
        found: &Found,
    ) -> Result<Result<(FileRecord, StagedContent), String>> {
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
        let content = match self.kept < MOST_COPIES && size > SMALL_COPY_BYTES {
            true => {
                self.kept += 1;
                staged.content
            }
            false => {
                let mut content = staged.content.open()?;
                let step = self.caller.step;
                StagedContent::Spooled(self.spool.keep(&mut *content, &found.look, step)?)
            }
        };
        Ok(Ok((staged.record, content)))
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
