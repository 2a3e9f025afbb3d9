//! An output of an export, and the upload to one that is not on this machine.

use std::{ops::RangeInclusive, path::PathBuf, sync::Arc};

use anyhow::Result;

use super::{outgoing::Outgoing, repository::Repository};
use crate::{
    config::encryption::EncryptionSettings,
    context::Context,
    crypt::{Recipients, header::sealed_bytes},
    error::{Failure, Kind},
    model::archive_name::{ArchiveName, Ending, MOST_NUMBER},
    store::is_taken,
    work::events::CatalogEvent,
};

/// An output of an export.
pub enum ArchiveOutput {
    /// Standard output.
    Stdout,
    /// A file, or a folder in which it gets its default name.
    Path(PathBuf, SealedFor),
    /// A repository, under this name or its default one.
    Stored(UploadSlot, EncryptionSettings),
    /// A destination that cannot be used, and the reason.
    Unusable(String, Failure),
}

impl ArchiveOutput {
    /// Returns true if the archives there share their content: it is stored in blocks, each of them once.
    pub fn shares_content(&self) -> bool {
        match self {
            ArchiveOutput::Stored(slot, _) => slot.shares_content(),
            ArchiveOutput::Stdout | ArchiveOutput::Path(..) | ArchiveOutput::Unusable(..) => false,
        }
    }
}

/// For whom the archive at an output is sealed.
#[derive(Clone)]
pub enum SealedFor {
    /// For the recipients of `[backup.encryption]`.
    Shared,
    /// For those of a destination.
    By(EncryptionSettings),
}

/// A destination and a name in it, for an archive that is to be uploaded.
#[derive(Clone)]
pub struct UploadSlot {
    /// The archives of the destination.
    pub repository: Arc<dyn Repository>,
    /// The name in it. Without one, the upload gets the first of the default names that is free.
    pub name: Option<String>,
    /// The recipients for whom it is sealed; `None` if it is not.
    pub seal: Option<Recipients>,
}

impl UploadSlot {
    /// Returns true if the archives of the destination share their content.
    pub fn shares_content(&self) -> bool {
        self.repository.vault().is_some()
    }

    /// Returns destination and name, for messages and reports. `default` is the archive's default name.
    pub fn shown(&self, default: &ArchiveName) -> String {
        let default = default.file_name(0, ending(self.seal.as_ref()));
        self.shown_as(self.name.as_deref().unwrap_or(&default))
    }

    fn shown_as(&self, name: &str) -> String {
        format!("{}/{name}", self.repository.shown())
    }

    /// Begins an upload of a size in `bytes` under this name, if there is room for the least of it.
    pub fn put(
        &self,
        context: &Context,
        name: &str,
        bytes: RangeInclusive<u64>,
    ) -> Result<Outgoing> {
        let (least, most) = bytes.into_inner();
        let most = self
            .seal
            .as_ref()
            .map_or(most, |seal| sealed_bytes(most, seal.count()));
        match self.repository.require_room(least) {
            Err(error)
                if matches!(Failure::of(&error).kind, Kind::Space | Kind::Interrupted(_)) =>
            {
                return Err(error);
            }
            // The upload itself reports any other error.
            _ => {}
        }
        let upload = self.repository.put(name, least..=most, &context.maker())?;
        let seal = self.seal.clone();
        Ok(Outgoing { upload, seal })
    }

    /// Removes the leftovers of dead uploads, then begins an upload of a size in `bytes`. Returns the full name for
    /// messages and the upload.
    pub fn begin(
        &self,
        context: &Context,
        default: &ArchiveName,
        bytes: RangeInclusive<u64>,
    ) -> (String, Result<Outgoing>) {
        let maker = context.maker();
        let bytes = match &self.seal {
            None => bytes,
            Some(seal) => *bytes.start()..=sealed_bytes(*bytes.end(), seal.count()),
        };
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
            let name =
                name.unwrap_or_else(|| default.file_name(number, ending(self.seal.as_ref())));
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
            let seal = self.seal.clone();
            let outgoing = begun.map(|upload| Outgoing { upload, seal });
            return (self.shown_as(&name), outgoing);
        }
    }
}

/// Returns the ending of the name of an archive that is sealed for `recipients`, or is not sealed.
pub fn ending(recipients: Option<&Recipients>) -> Ending {
    match recipients {
        Some(_) => Ending::Sealed,
        None => Ending::Plain,
    }
}

/// Refuses a name whose ending says something else than what is written: programs and people go by it.
///
/// Errors: [`Kind::Usage`].
pub fn require_ending(name: &str, recipients: Option<&Recipients>) -> Result<(), Failure> {
    let (message, hint) = match (Ending::of_file(name), recipients) {
        (Some(Ending::Plain), Some(_)) => (
            format!("{name} is the name of an archive that is not sealed, and this one is sealed"),
            format!("name it {name}.age, or give --no-encrypt"),
        ),
        (Some(Ending::Sealed), None) => (
            format!("{name} is the name of a sealed archive, and this one is not sealed"),
            "write recipients under [backup.encryption], give --recipient, or leave out .age"
                .to_owned(),
        ),
        _ => return Ok(()),
    };
    Err(Failure::new(Kind::Usage, message).hint(hint))
}
