//! The index of a repository: it says in which packs content lies.
//!
//! Reading takes no lock, as a key may have the right to read alone. So another program may prune meanwhile: it writes
//! content to other packs, writes another index, and removes the old packs. What is not where the index said is looked up
//! once more in the index as it is now.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use rustic_core::{
    Credentials, DataId, FileType, Id, OpenStatus, Repository, RepositoryBackends,
    RepositoryOptions, RusticError, RusticResult,
    repofile::{BlobType, IndexFile, IndexId, MasterKey},
};

use super::{
    backend::StoreBackend,
    bounded::{Bounded, PiecePlaces},
    pieces::{Indexed, Pieces},
    survey::Survey,
    trouble::failure_of,
};
use crate::error::{Failure, Kind};

/// The most times that reading begins again because the index changed.
const MOST_CHANGES: usize = 8;

/// The index of a repository, read when it is needed.
pub struct Index {
    shown: String,
    backend: Arc<StoreBackend>,
    key: MasterKey,
    held: Mutex<Option<Held>>,
    /// The listing by which the index is read the next time.
    survey: Mutex<Option<Arc<Survey>>>,
}

/// The pieces that a piece of work reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadPieces {
    /// The nodes of folders.
    Folders,
    /// All.
    All,
}

/// An index that was read.
struct Held {
    repository: Arc<Indexed>,
    /// The files of which it was made.
    files: HashSet<IndexId>,
}

impl Index {
    /// Returns the index of the files of `backend`, which `key` opens. Messages call the repository `shown`.
    pub fn new(shown: &str, backend: Arc<StoreBackend>, key: MasterKey) -> Index {
        Index {
            shown: shown.to_owned(),
            backend,
            key,
            held: Mutex::default(),
            survey: Mutex::default(),
        }
    }

    /// Opens the repository over `backend`, without its index, for work that reads no packs.
    pub fn opened(&self, backend: &Arc<StoreBackend>) -> Result<Repository<OpenStatus>> {
        let bounded = Arc::new(Bounded::new(backend.clone(), &self.key));
        self.known(opened(bounded, &self.key))
    }

    /// Opens the repository over `backend`, without its index, for work that reads packs: folders, or all of them. Returns
    /// its files, too, which say what could not be read.
    pub fn opened_for_packs(
        &self,
        backend: &Arc<StoreBackend>,
        packs: ReadPieces,
    ) -> Result<(Repository<OpenStatus>, Arc<Bounded>)> {
        let bounded = Arc::new(Bounded::new(backend.clone(), &self.key));
        let repository = self.known(opened(bounded.clone(), &self.key))?;
        bounded.bound(self.places(&repository, packs)?);
        Ok((repository, bounded))
    }

    /// Returns the places of compressed pieces.
    fn places(
        &self,
        repository: &Repository<OpenStatus>,
        packs: ReadPieces,
    ) -> Result<PiecePlaces> {
        let ids: Vec<IndexId> = self.known(repository.list())?.collect();
        let mut places = PiecePlaces::new();
        for file in self.known(repository.stream_files_list::<IndexFile>(ids))? {
            let (_, index) = self.known(file)?;
            for pack in index.packs.iter().chain(&index.packs_to_delete) {
                let read = |kind| packs == ReadPieces::All || kind == BlobType::Tree;
                let pieces = pack.blobs.iter().filter_map(|piece| {
                    let place = piece.location;
                    place.uncompressed_length.filter(|_| read(piece.tpe))?;
                    Some((place.offset, place.length, piece.tpe))
                });
                places.entry(*pack.id).or_default().extend(pieces);
            }
        }
        Ok(places)
    }

    /// Returns the packs that the index names, with their sizes in bytes.
    pub fn packs(&self, repository: &Repository<OpenStatus>) -> Result<HashMap<Id, u32>> {
        let ids: Vec<IndexId> = self.known(repository.list())?.collect();
        let files = ids.iter().map(|id| **id);
        self.backend.fetch(FileType::Index, files);
        let mut packs = HashMap::new();
        for file in self.known(repository.stream_files_list::<IndexFile>(ids))? {
            let (_, index) = self.known(file)?;
            packs.extend(index.packs.iter().map(|pack| (*pack.id, pack.pack_size())));
        }
        Ok(packs)
    }

    /// Forgets what was read: the repository changed.
    pub fn forget(&self) {
        *self.survey.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Forgets what was read, and reads the index of `survey` the next time. Content that came later is found by the
    /// index that is there then.
    pub fn go_by(&self, survey: Option<Arc<Survey>>) {
        self.forget();
        *self.survey.lock().unwrap_or_else(PoisonError::into_inner) = survey;
    }

    /// Returns the listing by which the index is to be read, once; else lists the files now, if that is one request.
    fn survey(&self) -> Result<Option<Arc<Survey>>> {
        let survey = self
            .survey
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match survey {
            Some(survey) => Ok(Some(survey)),
            None => self.backend.survey(),
        }
    }

    /// Reads content by the index. If it is not where the index says, and the index changed since it was read, reads by
    /// the new one.
    ///
    /// Errors: [`Kind::Refused`] if the index that is there now does not lead to the content either.
    pub fn read<T>(&self, work: impl Fn(&Indexed) -> RusticResult<T>) -> Result<T, Failure> {
        let mut changes = 0;
        loop {
            let indexed = self.indexed().map_err(|error| Failure::of(&error))?;
            let failure = match work(&indexed) {
                Ok(read) => return Ok(read),
                Err(error) => failure_of(&error, &self.shown),
            };
            changes += 1;
            let is_wanted = !matches!(failure.kind, Kind::Interrupted(_));
            if !is_wanted || changes == MOST_CHANGES || !self.is_another(&indexed) {
                return Err(failure);
            }
        }
    }

    /// Returns true if `holds` is not true of the index that is there now.
    pub fn lacks(&self, holds: impl Fn(&Indexed) -> bool) -> Result<bool> {
        for _ in 0..MOST_CHANGES {
            let indexed = self.indexed()?;
            if holds(&indexed) {
                return Ok(false);
            }
            if !self.is_another(&indexed) {
                break;
            }
        }
        Ok(true)
    }

    /// Returns true if the index of the store is certainly not `seen` any more, and forgets that.
    fn is_another(&self, seen: &Arc<Indexed>) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = held
            .as_ref()
            .filter(|held| Arc::ptr_eq(&held.repository, seen))
        else {
            // Another thread has looked meanwhile.
            return true;
        };
        let is_another = self.files().is_ok_and(|files| files != known.files);
        if is_another {
            *held = None;
        }
        is_another
    }

    /// Returns the repository with its index, which stays in memory until the next change.
    fn indexed(&self) -> Result<Arc<Indexed>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = &*held {
            return Ok(held.repository.clone());
        }
        let mut changes = 0;
        let (repository, files) = loop {
            let backend = Arc::new(self.backend.again());
            backend.places().go_by(self.survey()?);
            let files = files_of(&backend)?;
            match self.loaded(&backend) {
                Err(error) if changes < MOST_CHANGES && self.is_changed(&error, &files) => {
                    changes += 1;
                }
                loaded => break (Arc::new(loaded?), files),
            }
        };
        *held = Some(Held {
            repository: repository.clone(),
            files,
        });
        Ok(repository)
    }

    /// Returns true if `error` may come of a change of the index: the store has other files of it than `files` now.
    fn is_changed(&self, error: &anyhow::Error, files: &HashSet<IndexId>) -> bool {
        let is_interrupted = matches!(Failure::of(error).kind, Kind::Interrupted(_));
        !is_interrupted && self.files().is_ok_and(|now| now != *files)
    }

    /// Reads the index. Packs that are missing or cut do not count: what is in them may lie in another pack, too.
    fn loaded(&self, backend: &Arc<StoreBackend>) -> Result<Indexed> {
        let opened = self.opened(backend)?;
        backend.places().count_only(self.packs(&opened)?);
        let repository = self.known(opened.to_indexed_checked())?;
        Indexed::new(repository, backend.clone(), &self.key)
    }

    /// Returns the files of the index that the store has now.
    fn files(&self) -> Result<HashSet<IndexId>> {
        files_of(&self.backend)
    }

    fn known<T>(&self, result: Result<T, Box<RusticError>>) -> Result<T> {
        result.map_err(|error| anyhow!(failure_of(&error, &self.shown)))
    }
}

impl Pieces for Index {
    fn part(&self, id: DataId) -> Result<Bytes, Failure> {
        self.read(|indexed| indexed.piece(id.into(), BlobType::Data))
    }
}

/// Returns the files of the index that `backend` lists.
fn files_of(backend: &StoreBackend) -> Result<HashSet<IndexId>> {
    let files = backend.list_files(FileType::Index)?;
    Ok(files.into_iter().map(|(id, _)| id.into()).collect())
}

/// Returns the repository in `files`, before it is opened.
pub fn repository(files: Arc<Bounded>) -> Result<Repository<()>, Box<RusticError>> {
    let mut options = RepositoryOptions::default();
    options.no_cache = true;
    Repository::new(&options, &RepositoryBackends::new(files, None))
}

/// Returns the repository in `files`, which `key` opens.
pub fn opened(
    files: Arc<Bounded>,
    key: &MasterKey,
) -> Result<Repository<OpenStatus>, Box<RusticError>> {
    repository(files)?.open(&Credentials::Masterkey(key.clone()))
}
