//! An output of an export, and the upload to one that is not on this machine.

use std::{ops::RangeInclusive, path::PathBuf, sync::Arc};

use anyhow::Result;

use super::repository::Repository;
use crate::{
    context::Context,
    error::{Failure, Kind},
    model::archive_name::{ArchiveName, MOST_NUMBER},
    store::{Upload, is_taken},
    work::events::CatalogEvent,
};

/// An output of an export.
pub enum ArchiveOutput {
    /// Standard output.
    Stdout,
    /// A file, or a folder in which it gets its default name.
    Path(PathBuf),
    /// A repository, under this name or its default one.
    Stored(UploadSlot),
    /// A destination that cannot be used, and the reason.
    Unusable(String, Failure),
}

/// A destination and a name in it, for an archive that is to be uploaded.
#[derive(Clone)]
pub struct UploadSlot {
    /// The archives of the destination.
    pub repository: Arc<dyn Repository>,
    /// The name in it. Without one, the upload gets the first of the default names that is free.
    pub name: Option<String>,
}

impl UploadSlot {
    /// Returns destination and name, for messages and reports. `default` is the archive's default name.
    pub fn shown(&self, default: &ArchiveName) -> String {
        self.shown_as(self.name.as_deref().unwrap_or(&default.file_name(0)))
    }

    fn shown_as(&self, name: &str) -> String {
        format!("{}/{name}", self.repository.shown())
    }

    /// Removes the leftovers of dead uploads, then begins an upload of a size in `bytes`. Returns the full name for
    /// messages and the upload.
    pub fn begin(
        &self,
        context: &Context,
        default: &ArchiveName,
        bytes: RangeInclusive<u64>,
    ) -> (String, Result<Box<dyn Upload>>) {
        let maker = context.maker();
        match self.repository.sweep(&maker) {
            Ok(swept) => {
                for archive in swept {
                    let destination = self.repository.address();
                    context.tell(CatalogEvent::LeftoversRemoved {
                        archive,
                        destination,
                    });
                }
            }
            Err(error) => match Failure::of(&error).kind {
                Kind::Interrupted(_) | Kind::Unproven => return (self.shown(default), Err(error)),
                // If the destination refuses writes, the upload reports it at once.
                _ => context.tell(CatalogEvent::LeftoversStay {
                    destination: self.repository.address(),
                    reason: format!("{error:#}"),
                }),
            },
        }
        // The upload itself reports any other error.
        if let Err(error) = self.repository.require_room(*bytes.start())
            && matches!(Failure::of(&error).kind, Kind::Space | Kind::Interrupted(_))
        {
            return (self.shown(default), Err(error));
        }
        let mut number = 0;
        loop {
            let name = self.name.clone();
            let name = name.unwrap_or_else(|| default.file_name(number));
            let begun = self.repository.put(&name, bytes.clone(), &maker);
            // Two archives of the same second get two names.
            let is_taken = |error| {
                is_taken(&Failure::of(error)) || matches!(self.repository.find(&name), Ok(Some(_)))
            };
            let may_rise = self.name.is_none() && number < MOST_NUMBER;
            if may_rise && begun.as_ref().err().is_some_and(is_taken) {
                number += 1;
                continue;
            }
            return (self.shown_as(&name), begun);
        }
    }
}
