//! A store as the engine sees it: files of five kinds, each under the digest of its content.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use rustic_core::{
    BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend,
};

use super::{
    cache::{Cache, is_copied, is_named_for},
    gate::{Gate, Unseen},
    listing::size,
    locks::HeldLock,
    packs::{OpenPack, ReadPacks},
    parallel,
    places::{CONFIG, Places},
    survey::Survey,
    trouble::{REQUEST_FAILED, Trouble},
};
use crate::{
    error::{Failure, Kind},
    model::digest::Digest,
    store::{Maker, Proof, Sent, Store, is_taken},
};

/// The largest file of a key, in bytes: restic's have some 500.
const MAX_KEY_BYTES: u64 = 64 << 10;
/// The largest file that is read at once: all but packs.
const MOST_FILE_BYTES: u64 = 256 << 20;

/// A store with the files of a repository.
pub struct StoreBackend {
    places: Places,
    maker: Maker,
    /// The copies of indexes and records.
    cache: Arc<Cache>,
    /// The description of the repository, once it was read: only an upgrade changes it.
    config: Arc<OnceLock<Bytes>>,
    /// The packs that were read last.
    read_packs: ReadPacks,
    /// The first failure of the work that this backend serves.
    trouble: Trouble,
    /// Gives way to the record of a new state, once its content is proven. Without it nothing is waited for.
    gate: Option<Gate>,
    /// The lock that has to hold while something is removed, and when the record of a state is written.
    lock: Option<Arc<HeldLock>>,
    /// The weakest proof of all that was written.
    proof: Mutex<Option<Proof>>,
    /// The files that the store acknowledged, and that were not seen there yet, with their sizes in bytes.
    unseen: Mutex<Vec<Unseen>>,
    /// True if the configuration may be replaced. A copy of it has to lie beside it.
    is_renewing: bool,
}

impl StoreBackend {
    /// Returns the files below `store`. What is written goes by the name of `maker` until it is complete.
    pub fn new(store: Arc<dyn Store>, maker: Maker) -> StoreBackend {
        StoreBackend {
            places: Places::new(store),
            maker,
            cache: Arc::default(),
            config: Arc::default(),
            read_packs: ReadPacks::default(),
            trouble: Trouble::default(),
            gate: None,
            lock: None,
            proof: Mutex::default(),
            unseen: Mutex::default(),
            is_renewing: false,
        }
    }

    /// Returns the files below `store`. A new configuration replaces the old one, which has to lie beside it as well.
    pub fn renewing(store: Arc<dyn Store>, maker: Maker) -> StoreBackend {
        StoreBackend {
            is_renewing: true,
            ..StoreBackend::new(store, maker)
        }
    }

    /// Returns the store.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.places.store()
    }

    /// Returns the places of the files.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Returns the same files for one new state. Its record is written after `gate` opened, and not after a failure,
    /// which `trouble` gets.
    pub fn gated(&self, trouble: Trouble, gate: Gate, lock: Arc<HeldLock>) -> StoreBackend {
        StoreBackend {
            gate: Some(gate),
            trouble,
            ..self.under(lock)
        }
    }

    /// Returns the same files for work that relies on `lock`: without it nothing is removed.
    pub fn under(&self, lock: Arc<HeldLock>) -> StoreBackend {
        StoreBackend {
            lock: Some(lock),
            ..self.again()
        }
    }

    /// Returns the same files, of which nothing is known yet but copies.
    pub fn again(&self) -> StoreBackend {
        StoreBackend {
            cache: self.cache.clone(),
            config: self.config.clone(),
            ..StoreBackend::new(self.store().clone(), self.maker.clone())
        }
    }

    /// Returns the copies of indexes and records.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Reads files ahead, several at a time, as far as there is room for copies. A failure is met again by the work that
    /// needs the file.
    pub fn fetch(&self, kind: FileType, ids: impl IntoIterator<Item = Id>) {
        let lacking = self.cache.lacking(kind, ids);
        let read = |id| self.read(kind, &id, None).is_ok();
        let goes_on = |_, is_read| match is_read {
            true => Ok(()),
            false => Err(anyhow!("the work that needs it fails as well")),
        };
        // The reason is told then.
        let _ = parallel::each(&lacking, read, goes_on);
    }

    /// Returns the weakest proof of all that was written; `None` if nothing was.
    pub fn proof(&self) -> Option<Proof> {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if the file is there that describes the repository. Reads it.
    pub fn has_config(&self) -> Result<bool> {
        match self.read(FileType::Config, &Id::default(), None) {
            Ok(_) => Ok(true),
            Err(error) if Failure::of(&error).kind == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns the names of the files of keys.
    pub fn keys(&self) -> Result<Vec<Id>> {
        let keys = self.list_files(FileType::Key)?;
        Ok(keys.into_iter().map(|(id, _)| id).collect())
    }

    /// Returns the file of a key. Fails with [`Kind::Refused`] if it is larger than any real one.
    pub fn read_key(&self, id: &Id) -> Result<Bytes> {
        let (folder, name) = self.places.of(FileType::Key, id)?;
        Ok(folder.read(&name, MAX_KEY_BYTES)?.into())
    }

    /// Writes the file of a key, and returns its name.
    pub fn write_key(&self, file: Vec<u8>) -> Result<Id> {
        let id = Digest::of(&file).to_string();
        let id = id.parse().ok().context("a digest of another length")?;
        self.write(FileType::Key, &id, &file.into())?;
        Ok(id)
    }

    /// Returns the files of a kind, with their sizes in bytes.
    pub fn list_files(&self, kind: FileType) -> Result<Vec<(Id, u32)>> {
        if kind == FileType::Config {
            if let Some(config) = self.config.get() {
                return Ok(vec![(Id::default(), u32::try_from(config.len())?)]);
            }
            let config = self.store().find(CONFIG)?;
            let config = config.map(|stored| (Id::default(), size(&stored)));
            return Ok(config.into_iter().collect());
        }
        if let Some(found) = self.places.surveyed(kind) {
            return Ok(found);
        }
        let found = self.places.list(kind)?;
        self.cache.take_listing(kind, &found);
        Ok(found)
    }

    /// Lists all files in one go, if the store can do that.
    pub fn survey(&self) -> Result<Option<Arc<Survey>>> {
        let survey = self.places.survey()?;
        if let Some(survey) = &survey {
            self.cache
                .take_listing(FileType::Index, &survey.list(FileType::Index));
        }
        Ok(survey)
    }

    /// Returns the records of a survey, with their sizes in bytes, as if they had been listed now.
    pub fn records_of(&self, survey: &Survey) -> Vec<(Id, u32)> {
        let found = self.places.records_of(survey);
        self.cache.take_listing(FileType::Snapshot, &found);
        found
    }

    fn read(&self, kind: FileType, id: &Id, part: Option<(u32, u32)>) -> Result<Bytes> {
        if let (FileType::Pack, Some((offset, length))) = (kind, part) {
            let part = Some((offset.into(), length.into()));
            return self.read_pack(id, part);
        }
        if kind == FileType::Config && part.is_none() {
            return match self.config.get() {
                Some(config) => Ok(config.clone()),
                None => {
                    let config = self.read_file(kind, id, part)?;
                    Ok(self.config.get_or_init(|| config).clone())
                }
            };
        }
        let is_whole = part.is_none() && is_copied(kind);
        if is_whole && let Some(content) = self.cache.get(kind, id) {
            return Ok(content);
        }
        let content = self.read_file(kind, id, part)?;
        if is_whole {
            if !is_named_for(&content, id) {
                let place = self.store().shown();
                let message = format!("the {kind} {id} in {place} is damaged");
                return Err(Failure::new(Kind::Refused, message)
                    .hint("`hookshot repo check` names all that is damaged")
                    .into());
            }
            self.cache.keep(kind, id, &content);
        }
        Ok(content)
    }

    fn read_file(&self, kind: FileType, id: &Id, part: Option<(u32, u32)>) -> Result<Bytes> {
        if let (FileType::Pack, None) = (kind, part) {
            return self.read_pack(id, None);
        }
        let (folder, name) = self.places.of(kind, id)?;
        let content = Bytes::from(folder.read(&name, MOST_FILE_BYTES)?);
        let Some((offset, length)) = part else {
            return Ok(content);
        };
        let (offset, length) = (usize::try_from(offset)?, usize::try_from(length)?);
        let end = offset.checked_add(length);
        if let Some(end) = end.filter(|end| *end <= content.len()) {
            return Ok(content.slice(offset..end));
        }
        let (place, all) = (self.store().shown(), content.len());
        let message = format!("{kind} {id} in {place} ends at byte {all}");
        Err(Failure::new(Kind::Refused, message).into())
    }

    fn read_pack(&self, id: &Id, part: Option<(u64, u64)>) -> Result<Bytes> {
        let place = self.store().shown();
        match (self.read_packs).read(id, part, &place, || self.open_pack(id)) {
            Err(error) if Failure::of(&error).kind == Kind::NotFound => {
                let message = format!("the pack {id} is missing in {place}");
                Err(Failure::new(Kind::Refused, message)
                    .hint("`hookshot repo check` says what else is missing")
                    .into())
            }
            read => read,
        }
    }

    fn open_pack(&self, id: &Id) -> Result<OpenPack> {
        let (folder, name) = self.places.of(FileType::Pack, id)?;
        Ok(Arc::from(match self.places.counted_size(id) {
            Some(size) => folder.open_known(&name, size.into())?,
            None => folder.open(&name)?,
        }))
    }

    fn write(&self, kind: FileType, id: &Id, content: &BytesList) -> Result<()> {
        match (kind, &self.gate) {
            // An index that leads to a pack that never arrived would be damage.
            (FileType::Index, Some(gate)) => gate.require(&self.places, self.take_unseen())?,
            (FileType::Snapshot, _) => self.pass_gate()?,
            _ => {}
        }
        let (folder, name) = self.places.of(kind, id)?;
        if kind == FileType::Config && self.is_renewing {
            folder.remove(&name)?;
        }
        let pieces: Vec<&[u8]> = content.slice().iter().map(|piece| &**piece).collect();
        let sent = match folder.send(&name, &pieces, &self.maker) {
            // The name is the digest of the content.
            Err(error) if is_taken(&Failure::of(&error)) && kind != FileType::Config => {
                return Ok(());
            }
            sent => sent?,
        };
        let new = match sent {
            Sent::Proven(proof) => proof,
            Sent::Acknowledged => {
                self.expect(kind, id, u32::try_from(content.size())?)?;
                Proof::Checksum
            }
        };
        if is_copied(kind) {
            self.cache.keep(kind, id, &content.slice().concat().into());
        }
        let mut proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        *proof = match *proof {
            Some(Proof::Checksum) => Some(Proof::Checksum),
            _ => Some(new),
        };
        Ok(())
    }

    /// Looks for a file that the store acknowledged; for those of a new state, before the next step relies on them.
    fn expect(&self, kind: FileType, id: &Id, size: u32) -> Result<()> {
        if self.gate.is_none() {
            return self.places.require(kind, id, size);
        }
        let mut unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        unseen.push((kind, *id, size));
        Ok(())
    }

    /// Returns the files that the store acknowledged, and that were not seen there yet.
    fn take_unseen(&self) -> Vec<Unseen> {
        let mut unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *unseen)
    }

    /// Fails unless the store has the record that was written last, by the listing of records that has just been made.
    pub fn require_record(&self, listed: &[(Id, u32)]) -> Result<()> {
        for (kind, id, size) in self.take_unseen() {
            if !listed.contains(&(id, size)) {
                self.places.require(kind, &id, size)?;
            }
        }
        Ok(())
    }

    fn remove_file(&self, kind: FileType, id: &Id) -> Result<()> {
        if let Some(lock) = &self.lock {
            lock.require_lately()?;
        }
        let (folder, name) = self.places.of(kind, id)?;
        self.cache.remove(kind, id);
        if kind == FileType::Pack {
            // An index that stayed leads to packs: these stay as well.
            self.trouble.check()?;
            return folder.remove(&name);
        }
        folder.remove(&name)?;
        // Records, indexes and keys count as long as they are there: some stores confirm a removal and keep the file.
        if folder.find(&name)?.is_none() {
            return Ok(());
        }
        let message = format!(
            "{} still has {name}, whose removal it confirmed",
            folder.shown()
        );
        Err(Failure::new(Kind::Failed, message)
            .hint("run it again; see what the store does with objects that are deleted")
            .into())
    }

    /// Waits until the record of a new state may be written: all of its content is there, and the lock as well.
    fn pass_gate(&self) -> Result<()> {
        match &self.gate {
            Some(gate) => {
                gate.wait(&self.trouble)?;
                gate.pass(&self.places, self.take_unseen(), self.lock.as_deref())
            }
            None => Ok(()),
        }
    }

    fn kept<T>(&self, result: Result<T>) -> RusticResult<T> {
        result.map_err(|error| {
            let failure = Failure::of(&error);
            self.trouble.keep(&failure);
            RusticError::with_source(ErrorKind::Backend, REQUEST_FAILED, failure)
        })
    }
}

/// Takes an index that was listed and is gone for damage. A record or a lock may have been removed meanwhile.
fn required<T>(kind: FileType, id: &Id, read: Result<T>) -> Result<T> {
    match read {
        Err(error) if kind == FileType::Index && Failure::of(&error).kind == Kind::NotFound => {
            let message = format!("the index {id} was listed, and is missing");
            Err(Failure::new(Kind::Refused, message)
                .hint("run it again; `hookshot repo check` says what else is missing")
                .into())
        }
        read => read,
    }
}

impl ReadBackend for StoreBackend {
    fn location(&self) -> String {
        self.store().shown()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        self.kept(self.list_files(kind))
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        self.kept(required(kind, id, self.read(kind, id, None)))
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        _: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        self.kept(self.read(kind, id, Some((offset, length))))
    }

    fn warmup_path(&self, _: FileType, id: &Id) -> String {
        id.to_hex().as_str().to_owned()
    }
}

impl WriteBackend for StoreBackend {
    fn write_bytes(
        &self,
        kind: FileType,
        id: &Id,
        _: bool,
        content: BytesList,
    ) -> RusticResult<()> {
        self.kept(self.write(kind, id, &content))
    }

    fn remove(&self, kind: FileType, id: &Id, _: bool) -> RusticResult<()> {
        self.kept(self.remove_file(kind, id))
    }
}
