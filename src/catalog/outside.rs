//! The knowledge of what an archive holds, without reading all of it: by its manifest, or by the record of this machine
//! if no key opens it.

use std::collections::BTreeMap;

use anyhow::Result;

use super::repository::Repository;
use crate::{
    context::Context,
    error::{Failure, Kind},
    model::{
        archive_name::Ending,
        known_archive::{ArchivedSources, KnownArchive, KnownContent, Maker, sources_of},
        manifest::Manifest,
        retention::{Archive, Standing},
    },
    store::Stored,
    work::events::CatalogEvent,
};

/// The knowledge of what an archive holds.
pub enum Inside {
    /// Its manifest.
    Manifest(Box<Manifest>),
    /// No key opens it, and this machine proved it.
    Known(KnownContent),
    /// It has no manifest that can be read without reading all of it.
    Unread,
    /// No key opens it, and this machine did not prove it, or it changed since.
    Closed(Failure),
}

impl Inside {
    /// Returns the time of the snapshot in Unix seconds, if it is known.
    pub fn created_at(&self) -> Option<i64> {
        match self {
            Inside::Manifest(manifest) => Some(manifest.created_at),
            Inside::Known(known) => Some(known.created_at),
            Inside::Unread | Inside::Closed(_) => None,
        }
    }

    /// Returns the maker of the archive, if it is known.
    pub fn maker(&self) -> Option<Maker> {
        match self {
            Inside::Manifest(manifest) => Some(Maker::of(manifest)),
            Inside::Known(known) => Some(known.maker()),
            Inside::Unread | Inside::Closed(_) => None,
        }
    }

    /// Returns the labels, if they are known.
    pub fn tags(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Inside::Manifest(manifest) => Some(&manifest.tags),
            Inside::Known(known) => Some(&known.tags),
            Inside::Unread | Inside::Closed(_) => None,
        }
    }

    /// Returns all of it in short, if it is known.
    pub fn content(&self) -> Option<KnownContent> {
        match self {
            Inside::Manifest(manifest) => Some(KnownContent::of(manifest)),
            Inside::Known(known) => Some(known.clone()),
            Inside::Unread | Inside::Closed(_) => None,
        }
    }

    /// Returns the sources that the archive holds, if they are known.
    pub fn sources(&self) -> Option<ArchivedSources> {
        match self {
            Inside::Manifest(manifest) => Some(sources_of(manifest)),
            Inside::Known(known) => Some(known.sources.clone()),
            Inside::Unread | Inside::Closed(_) => None,
        }
    }

    /// Returns the bytes of the entries, if they are known.
    pub fn content_bytes(&self) -> Option<u64> {
        match self {
            Inside::Manifest(manifest) => Some(manifest.total_bytes()),
            Inside::Known(known) => Some(known.content_bytes),
            Inside::Unread | Inside::Closed(_) => None,
        }
    }
}

/// Returns the standing of an archive that this machine proved.
pub fn standing_of(known: &KnownContent) -> Standing {
    match known.torn_database {
        true => Standing::Torn,
        false => Standing::Good,
    }
}

/// Returns the failure of a sealed archive that does not have the bytes that this machine proved.
pub fn other_bytes(shown: &str, why: &str) -> Failure {
    let message = format!("{shown} does not have the bytes that this machine proved: {why}");
    Failure::new(Kind::Refused, message).hint(
        "use another archive; if this one was made or sealed anew elsewhere, a key (--identity FILE) proves it",
    )
}

/// Returns the reason for [`other_bytes`] of a file of another size.
pub fn other_size(size_bytes: u64, known: &KnownArchive) -> String {
    format!(
        "it has {size_bytes} bytes, and {} were stored",
        known.size_bytes
    )
}

/// Returns true if an archive of this name is sealed, and the run has no key: then it need not be asked.
///
/// Errors: [`Kind::Key`] if a key that the user named cannot be loaded.
pub fn is_closed(context: &Context, name: &str) -> Result<bool, Failure> {
    Ok(Ending::of_file(name) == Some(Ending::Sealed) && context.keys.ring()?.is_empty())
}

impl dyn Repository + '_ {
    /// Returns the record of an archive that this machine proved, if the destination still lists what was proven.
    pub fn known(&self, stored: &Stored) -> Option<&KnownArchive> {
        // Only sealed ones have records.
        let is_sealed = Ending::of_file(&stored.name) == Some(Ending::Sealed);
        let recorded = self.records().filter(|_| is_sealed)?.get(&stored.name)?;
        let is_same = recorded.is(stored.size_bytes, stored.etag.as_deref());
        is_same.then_some(recorded)
    }

    /// Returns the record of a sealed archive that this machine proved, if the file has another size now: it was cut off,
    /// or another one took its place.
    pub fn known_otherwise(&self, stored: &Stored) -> Option<&KnownArchive> {
        let is_sealed = Ending::of_file(&stored.name) == Some(Ending::Sealed);
        let recorded = self.records().filter(|_| is_sealed)?.get(&stored.name)?;
        (recorded.size_bytes != stored.size_bytes).then_some(recorded)
    }

    /// Notes a sealed archive that was proven there, with the digest and the size of its file; of one that is not
    /// sealed, the archive itself tells everything. If that is impossible, it is said: the archive counts more than its
    /// record.
    pub fn note_proven(
        &self,
        context: &Context,
        name: &str,
        proven: (String, u64),
        content: &KnownContent,
    ) {
        let Some(records) = self.records() else {
            return;
        };
        if Ending::of_file(name) != Some(Ending::Sealed) {
            return;
        }
        let stored = self.find(name).ok().flatten();
        if let Err(error) = records.note(name, proven, stored, content) {
            context.tell(CatalogEvent::NotNoted {
                archive: name.to_owned(),
                destination: self.shown(),
                reason: format!("{error:#}"),
            });
        }
    }

    /// Returns what is known of what an archive holds. Errors: those of reading its manifest, but for a missing key.
    pub fn inside(&self, context: &Context, stored: &Stored) -> Result<Inside> {
        let closed = |failure| match self.known(stored) {
            Some(known) => Inside::Known(known.content.clone()),
            None => Inside::Closed(failure),
        };
        if is_closed(context, &stored.name)? {
            let message = format!("{} is sealed, and no key is given", stored.name);
            return Ok(closed(Failure::new(Kind::Key, message)));
        }
        match self.manifest(&stored.name) {
            Ok(Some(manifest)) => Ok(Inside::Manifest(Box::new(manifest))),
            Ok(None) => Ok(Inside::Unread),
            Err(error) => match Failure::of(&error) {
                failure if failure.kind == Kind::Key => {
                    // A key that cannot be loaded is not one that does not fit.
                    context.keys.ring()?;
                    Ok(closed(failure))
                }
                _ => Err(error),
            },
        }
    }

    /// Returns the archive of a listing with the standing that is known without reading it: if no key is there, a sealed
    /// archive is good or sealed.
    pub fn unread(
        &self,
        context: &Context,
        archive: Archive,
        stored: &Stored,
    ) -> Result<Archive, Failure> {
        if archive.standing != Standing::Unproven || !is_closed(context, &stored.name)? {
            return Ok(archive);
        }
        let known = self.known(stored);
        Ok(Archive {
            standing: known.map_or(Standing::Sealed, |known| standing_of(&known.content)),
            ..archive
        })
    }
}
