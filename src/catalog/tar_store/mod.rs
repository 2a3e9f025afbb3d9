//! Archives as objects of a store: each is one `tar.gz`, or a sealed one, under its own name, and a mark is a small object beside it.

pub mod folder;
mod listing;

use std::{io::Write as _, ops::RangeInclusive, sync::Arc};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};

use super::{
    opening::{as_file, opened_at, opened_stream, opened_whole},
    outside::standing_of,
    repository::{ArchiveListing, Manifests, Repository},
};
use crate::{
    archive::{
        Sink, Verified, read,
        reader::Discard,
        select::{Selected, select, select_manifest},
    },
    catalog::known::KnownHere,
    context::Context,
    crypt::{Keys, has_whole_pieces},
    error::{Failure, Kind},
    model::{
        archive_name::{Ending, mark_of},
        digest::Digest,
        entry_name::EntryName,
        limits::MAX_MARK_BYTES,
        manifest::Manifest,
        retention::{Mark, Standing},
    },
    store::{Maker, Pages, Store, Stored, Upload, is_cold, require_room},
    work::{
        ReadAt,
        events::{CatalogEvent, Events},
    },
};

/// The size from which an archive counts as large. A smaller one is always read completely: that is cheap, and verifies
/// all of it.
const LARGE_ARCHIVE_BYTES: u64 = 1 << 20;

/// A store whose objects are archives and their marks.
pub struct TarStore {
    store: Arc<dyn Store>,
    /// The destination as messages name it, if that is not its address.
    name: Option<String>,
    /// True if the store is on this machine, so that its files cost no requests.
    is_here: bool,
    keys: Keys,
    known: KnownHere,
    events: Events,
}

impl TarStore {
    /// Takes the objects of `store` for archives. `name` is the destination as messages name it, if that is not its
    /// address. Without a key that opens an archive, the records of what this machine proved are asked.
    pub fn new(
        store: Arc<dyn Store>,
        name: Option<String>,
        is_here: bool,
        (keys, known): (Keys, KnownHere),
        events: Events,
    ) -> TarStore {
        TarStore {
            store,
            name,
            is_here,
            keys,
            known,
            events,
        }
    }

    /// Judges an archive by its manifest.
    fn standing_by(&self, manifest: &Manifest, name: &str) -> Standing {
        match manifest.has_torn_database() {
            true => {
                let archive = self.full_name(name);
                self.events.send(CatalogEvent::TornArchive { archive });
                Standing::Torn
            }
            false => Standing::Good,
        }
    }

    fn damaged(&self, name: &str, reason: String) -> Standing {
        let archive = self.full_name(name);
        self.events
            .send(CatalogEvent::DamagedArchive { archive, reason });
        Standing::Damaged
    }

    /// Judges a sealed archive that no key opens, whose header was read: by the record of this machine, else by the
    /// size of the file.
    fn outside(&self, source: &(dyn ReadAt + Send + Sync), name: &str) -> Result<Option<Standing>> {
        let Some(stored) = self.store.find(name)? else {
            return Ok(None);
        };
        if let Some(known) = (self as &dyn Repository).known(&stored) {
            return Ok(Some(standing_of(&known.content)));
        }
        let reading = || format!("cannot read {}", self.full_name(name));
        Ok(Some(
            match has_whole_pieces(source).with_context(reading)? {
                true => Standing::Sealed,
                false => {
                    let reason = "its size is not that of a whole sealed file: its end is missing"
                        .to_owned();
                    self.damaged(name, reason)
                }
            },
        ))
    }

    fn read_through(
        &self,
        context: &Context,
        source: Arc<dyn ReadAt + Send + Sync>,
        name: &str,
        sink: &mut dyn Sink,
    ) -> Result<Verified> {
        let shown = self.full_name(name);
        let pages = context.watch(Pages::new(source)?);
        let input = opened_stream(&context.keys, &shown, pages, context.scratch_folders())?;
        read(&shown, input, context.threads, sink).map_err(|error| as_file(&shown, error))
    }

    /// Opens the archive, decrypted if its name says that it is sealed: for others this costs no request.
    /// `None` if it cannot be read in parts.
    fn opened(&self, name: &str) -> Result<Option<Arc<dyn ReadAt + Send + Sync>>> {
        let source = Arc::from(self.store.open(name)?);
        match Ending::of_file(name) {
            Some(Ending::Sealed) => opened_at(&self.keys, &self.full_name(name), source),
            _ => Ok(Some(source)),
        }
    }

    fn full_name(&self, name: &str) -> String {
        format!("{}/{name}", self.shown())
    }
}

impl Repository for TarStore {
    fn shown(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.address())
    }

    fn address(&self) -> String {
        self.store.shown()
    }

    fn list(&self, prefix: Option<&str>, manifests: Manifests) -> Result<ArchiveListing> {
        listing::list(&*self.store, &self.keys, self.is_here, prefix, manifests)
    }

    fn folders(&self) -> Vec<String> {
        self.store.folders()
    }

    fn find(&self, name: &str) -> Result<Option<Stored>> {
        self.store.find(name)
    }

    fn read(
        &self,
        context: &Context,
        what: &'static str,
        name: &str,
        sink: &mut dyn Sink,
    ) -> Result<Verified> {
        let (source, length) = context.read_clock.during(|| {
            let source = self.open(name)?;
            let length = source.length()?;
            Ok::<_, anyhow::Error>((source, length))
        })?;
        context.begin(what, Some(length));
        self.read_through(context, source, name, sink)
    }

    fn select(
        &self,
        context: &Context,
        what: &'static str,
        name: &str,
        entries: &[EntryName],
        sink: &mut dyn Sink,
    ) -> Result<Option<Selected>> {
        let stored = self.store.open(name)?;
        if stored.length()? < LARGE_ARCHIVE_BYTES {
            return Ok(None);
        }
        let Some(source) = self.opened(name)? else {
            return Ok(None);
        };
        context.begin(what, None);
        select(
            &context.watch(&*source),
            entries,
            &context.scratch_folders(),
            sink,
        )
    }

    fn open(&self, name: &str) -> Result<Arc<dyn ReadAt + Send + Sync>> {
        Ok(Arc::from(self.store.open(name)?))
    }

    fn manifest(&self, name: &str) -> Result<Option<Manifest>> {
        let mut source = self.open(name)?;
        if Ending::of_file(name) == Some(Ending::Sealed) {
            // One that is armored is read whole for it: it is not passed over.
            source = opened_whole(&self.keys, &self.full_name(name), source)?;
        }
        Ok(select_manifest(&*source)?.map(|selected| selected.manifest))
    }

    fn created(&self, name: &str) -> Result<Option<DateTime<Utc>>> {
        listing::created(&*self.store, &self.keys, name)
    }

    fn standing(&self, context: &Context, name: &str) -> Result<Option<Standing>> {
        let source: Arc<dyn ReadAt + Send + Sync> = match self.store.open(name) {
            Err(error) if Failure::of(&error).kind == Kind::NotFound => return Ok(None),
            source => Arc::from(source?),
        };
        let shown = self.full_name(name);
        let opened = match Ending::of_file(name) {
            Some(Ending::Sealed) => opened_at(&self.keys, &shown, source.clone()),
            _ => Ok(Some(source.clone())),
        };
        let selected = opened.and_then(|opened| match opened {
            Some(opened) => select_manifest(&*opened),
            None => Ok(None),
        });
        match selected {
            Ok(Some(selected)) => return Ok(Some(self.standing_by(&selected.manifest, name))),
            Ok(None) => {}
            // It was verified when it was uploaded.
            Err(error) if is_cold(&Failure::of(&error)) => return Ok(Some(Standing::Cold)),
            Err(error) => match Failure::of(&error).kind {
                Kind::Key => {
                    // A key that cannot be loaded is not one that does not fit.
                    self.keys.ring()?;
                    return self.outside(&*source, name);
                }
                // A sealed piece of it: reading all of it gives the reason.
                Kind::Refused => {}
                _ => return Err(error),
            },
        }
        // Damaged, or without an index: format 1.0, or repacked by another program.
        let error = match self.read_through(context, source.clone(), name, &mut Discard) {
            Ok(verified) => return Ok(Some(self.standing_by(verified.manifest(), name))),
            Err(error) => error,
        };
        let failure = Failure::of(&error);
        match failure.kind {
            Kind::Refused => Ok(Some(self.damaged(name, failure.message))),
            Kind::Version => Ok(Some(Standing::Unproven)),
            // Armored ones are opened here.
            Kind::Key => {
                self.keys.ring()?;
                self.outside(&*source, name)
            }
            _ => Err(error),
        }
    }

    fn records(&self) -> Option<&KnownHere> {
        Some(&self.known)
    }

    fn sweep(&self, maker: &Maker) -> Result<Vec<String>> {
        self.store.sweep(maker)
    }

    fn require_room(&self, bytes: u64) -> Result<()> {
        require_room(&*self.store, bytes)
    }

    fn put(
        &self,
        name: &str,
        bytes: RangeInclusive<u64>,
        maker: &Maker,
    ) -> Result<Box<dyn Upload>> {
        self.store.create(name, *bytes.end(), maker)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.store.remove(name)
    }

    fn mark(&self, name: &str) -> Result<Option<Mark>> {
        let name = mark_of(name);
        let source = match self.store.open(&name) {
            Err(error) if Failure::of(&error).kind == Kind::NotFound => return Ok(None),
            source => source?,
        };
        let place = self.address();
        let reading = || format!("cannot read {name} in {place}");
        let length = source.length().with_context(reading)?;
        let mut text = vec![0; length.min(MAX_MARK_BYTES) as usize];
        source.read_exact_at(&mut text, 0).with_context(reading)?;
        let text = String::from_utf8_lossy(&text);
        Ok(Some(text.trim().parse().unwrap_or_else(|_| {
            self.events.send(CatalogEvent::UnreadableMark {
                mark: name.clone(),
                destination: place.clone(),
            });
            Mark::Forever
        })))
    }

    fn put_mark(&self, name: &str, mark: Mark, maker: &Maker) -> Result<()> {
        let bytes = format!("{}\n", mark.text()).into_bytes();
        let mut upload = (self.store).create(&mark_of(name), bytes.len() as u64, maker)?;
        upload.write_all(&bytes)?;
        upload.finish(&Digest::of(&bytes))?;
        Ok(())
    }

    fn remove_mark(&self, name: &str) -> Result<()> {
        self.store.remove(&mark_of(name))
    }
}
