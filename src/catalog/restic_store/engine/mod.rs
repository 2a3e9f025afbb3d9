//! The engine of repositories in restic's format: the only module that knows rustic_core.
//!
//! The engine goes on after some failures, and makes no locks. So each write of ours goes through a backend that keeps the
//! first failure ([`trouble`]) and writes the record of a state only after its content is proven ([`backend`]), under a
//! lock of restic's kind ([`locks`]).

mod backend;
mod bounded;
mod cache;
mod care;
mod feed;
mod foreign;
mod gate;
mod index;
mod key_file;
mod keys;
mod listing;
mod lock_file;
mod locks;
mod nodes;
mod packs;
mod parallel;
mod pieces;
mod places;
mod records;
mod renewal;
mod sealing;
mod state_tree;
mod survey;
mod trouble;

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender},
    },
};

use anyhow::{Result, anyhow};
use chrono::{DateTime, Utc};
use rustic_core::{
    BackupOptions, ConfigOptions, Credentials, Id, KeyOptions, OpenStatus, Repository, RusticError,
    SnapshotOptions,
    jiff::{Timestamp, tz::TimeZone},
    repofile::{Chunker, MasterKey, SnapshotFile, SnapshotId},
};

use self::{
    backend::StoreBackend,
    bounded::Bounded,
    feed::Feed,
    foreign::ForeignTree,
    gate::Gate,
    index::{Index, opened, repository},
    key_file::{require_key, sealed_key},
    locks::Locks,
    state_tree::has_missing,
    trouble::{Trouble, failure_of},
};
pub use self::{
    feed::{Awaited, ListingOf},
    gate::Look,
    key_file::random_password,
    locks::{HeldLock, Lock, Right},
    renewal::{complete_renewal, missing},
    state_tree::StateTree,
    survey::Survey,
};
use super::plan::PlannedNode;
use crate::{
    error::{Failure, Kind},
    model::{chunks::Chunks, retention::Arrival},
    store::{Maker, Proof, Secret, Store},
    work::panics::caught,
};

/// The size from which a pack of content is complete, in bytes.
const PACK_BYTES: u64 = 4 << 20;
/// The bytes by which packs are larger, for each unit of the square root of the repository's bytes: 8 MiB more at 1 TiB.
const PACK_GROWTH: u32 = 8;

/// The record of a state in a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Its identifier, in hexadecimal digits.
    pub id: String,
    /// The time of the snapshot.
    pub time: Option<DateTime<Utc>>,
    /// The machine that it is of.
    pub hostname: String,
    /// The folders in it.
    pub paths: Vec<String>,
    /// Its labels.
    pub tags: Vec<String>,
    /// The digest of its root folder, in hexadecimal digits.
    pub tree: String,
    /// The identifiers of further records of the same state: a kill may leave two.
    pub twins: Vec<String>,
    /// The bytes of its files, if it tells them.
    pub size_bytes: Option<u64>,
    /// The bytes that it added to the repository, if it tells them.
    pub added_bytes: Option<u64>,
    /// The time at which its first record came, if the store tells it.
    pub arrival: Option<Arrival>,
}

/// The description of a new state.
#[derive(Debug, Clone)]
pub struct NewState {
    /// The folder of the state.
    pub top: String,
    /// The time of its snapshot, in Unix seconds.
    pub time: i64,
    /// The number that distinguishes it from earlier states of that second.
    pub number: u32,
    /// The machine that made it.
    pub hostname: String,
    /// Its labels.
    pub tags: Vec<String>,
    /// The program and its version.
    pub program: String,
    /// The number of its files.
    pub files: u64,
}

/// The ends of the ways between a new state and its source.
pub struct Ways {
    /// Brings the listings of directories, in any order.
    pub listings: Receiver<ListingOf>,
    /// Takes the files whose content comes next.
    pub awaited: Sender<Awaited>,
    /// Brings the word that all content was proven.
    pub gate: Receiver<()>,
    /// Looks at the repository once more before the record is written.
    pub look: Look,
    /// The files of the repository, as they were listed under the lock.
    pub survey: Option<Arc<Survey>>,
}

/// A new state that was written.
pub struct Written {
    /// Its record.
    pub state: State,
    /// The proof of what is new in it.
    pub proof: Proof,
    backend: Arc<StoreBackend>,
}

/// An open repository.
pub struct Engine {
    shown: String,
    backend: Arc<StoreBackend>,
    repository: Repository<OpenStatus>,
    key: MasterKey,
    /// The file that the key was in.
    key_id: Id,
    locks: Locks,
    maker: Maker,
    /// The records that were read.
    records: Mutex<HashMap<SnapshotId, SnapshotFile>>,
    index: Arc<Index>,
    /// The records that could not be read in the last listing, with the reasons.
    unread: Mutex<Vec<(String, String)>>,
}

impl Engine {
    /// Opens the repository in `store`.
    ///
    /// Errors: [`Kind::NotFound`] if there is none; [`Kind::Key`] if the password is another one.
    pub fn open(store: Arc<dyn Store>, password: &Secret, maker: &Maker) -> Result<Engine> {
        let shown = store.shown();
        let backend = Arc::new(StoreBackend::new(store.clone(), maker.clone()));
        if !backend.has_config()? {
            let is_renewed = store.find(renewal::BEFORE)?.is_some();
            return Err(match !is_renewed && !backend.keys()?.is_empty() {
                true => without_config(&shown).into(),
                false => renewal::missing(&*store)?.into(),
            });
        }
        let (key, id) = require_key(&backend, &shown, password)?;
        let opened = opened(Arc::new(Bounded::new(backend.clone(), &key)), &key);
        let opened = opened.map_err(|error| failure_of(&error, &shown))?;
        Engine::of(shown, backend, opened, (key, id), maker)
    }

    /// Makes a repository in `store`.
    ///
    /// Errors: [`Kind::Usage`] if there is one.
    pub fn create(
        store: Arc<dyn Store>,
        password: &Secret,
        (chunks, level): (Chunks, Option<i32>),
        maker: &Maker,
    ) -> Result<Engine> {
        let shown = store.shown();
        if is_there(&*store)? {
            let message = format!("{shown} has a repository already");
            return Err(Failure::new(Kind::Usage, message)
                .hint("use it as it is; nothing was changed")
                .into());
        }
        let backend = Arc::new(StoreBackend::new(store, maker.clone()));
        if !backend.keys()?.is_empty() {
            return Err(without_config(&shown).into());
        }
        let mut options = small_packs();
        options.set_compression = level;
        if let Chunks::Fixed(bytes) = chunks {
            options.set_chunker = Some(Chunker::FixedSize);
            options.set_chunk_size = Some(bytesize::ByteSize(bytes));
        }
        // A kill leaves a key without a repository, never a repository without a key.
        let key = MasterKey::new();
        let id = backend.write_key(sealed_key(&key, password, maker)?)?;
        let credentials = Credentials::Masterkey(key.clone());
        let made = repository(Arc::new(Bounded::new(backend.clone(), &key)))
            .and_then(|repository| repository.init(&credentials, &KeyOptions::default(), &options));
        let made = made.map_err(|error| failure_of(&error, &shown))?;
        Engine::of(shown, backend, made, (key, id), maker)
    }

    fn of(
        shown: String,
        backend: Arc<StoreBackend>,
        repository: Repository<OpenStatus>,
        (key, key_id): (MasterKey, Id),
        maker: &Maker,
    ) -> Result<Engine> {
        let locks = Locks::new(backend.places().folder(locks::LOCKS)?, &key, maker.clone())?;
        let index = Index::new(&shown, backend.clone(), key.clone());
        Ok(Engine {
            shown,
            backend,
            repository,
            key,
            key_id,
            locks,
            maker: maker.clone(),
            records: Mutex::default(),
            index: Arc::new(index),
            unread: Mutex::default(),
        })
    }

    /// Keeps copies of indexes and records in `folder` from now on, and reads those that lie there.
    pub fn keep_copies_in(&self, folder: &Path) {
        self.backend.cache().keep_in(folder, &self.identifier());
    }

    /// Goes by the content of the store alone from now on: a copy on this machine says nothing about the store.
    pub fn prove(&self) {
        if self.backend.cache().prove() {
            self.index.forget();
        }
    }

    /// Does the same, and fails if the store does not have the record of this state.
    pub fn prove_record(&self, state: &State) -> Result<()> {
        self.prove();
        if self.backend.cache().is_doubted() {
            let id: SnapshotId = self.known(state.id.parse())?;
            self.known(self.repository.get_file::<SnapshotFile>(&id))?;
        }
        Ok(())
    }

    /// Removes locks that processes of this machine left behind, or all, and returns their number.
    pub fn unlock(&self, all: bool) -> Result<usize> {
        self.locks.remove(all)
    }

    /// Takes a lock.
    pub fn lock(&self, right: Right) -> Result<Lock> {
        self.locks.take(right)
    }

    /// Returns the folders of files but those of content, and with `all` those too.
    pub fn folders(&self, all: bool) -> Result<Vec<Arc<dyn Store>>> {
        self.backend.places().folders(all)
    }

    /// Returns the identifier of the repository.
    pub fn identifier(&self) -> String {
        self.repository.config().id.to_hex().as_str().to_owned()
    }

    /// Returns what lies at `path` in a snapshot of any program; all of it if the path is empty.
    pub fn foreign(&self, id: &str, path: &str) -> Result<ForeignTree> {
        let id: SnapshotId = self.known(id.parse())?;
        let record = self.known(self.repository.get_file::<SnapshotFile>(&id))?;
        ForeignTree::open(self.index.clone(), &self.shown, record.tree, path)
    }

    /// Returns the files of a state.
    pub fn tree(&self, state: &State) -> Result<StateTree> {
        let root = self.known(state.tree.parse())?;
        let top = state.paths.first().map_or("", String::as_str);
        StateTree::open(self.index.clone(), &self.shown, top, root)
    }

    /// Returns true if a pack that the state needs is missing, or has another size than the index says. Its content is not
    /// read.
    pub fn lacks_content(&self, state: &State) -> Result<bool> {
        let root = self.known(state.tree.parse())?;
        self.index.lacks(|indexed| !has_missing(indexed, root))
    }

    /// Removes the records of a state, under the exclusive lock. Its content stays until the repository is pruned.
    pub fn remove(&self, ids: &[String], lock: &Lock) -> Result<()> {
        let ids = ids.iter().map(|id| id.parse()).collect();
        let ids: Vec<SnapshotId> = self.known(ids)?;
        lock.held().require()?;
        self.known(self.repository.delete_snapshots(&ids))
    }

    /// Writes the record of a state with other labels, under the exclusive lock. The old record stays; it has another
    /// identifier, even if the labels are the same.
    pub fn save_with(&self, id: &str, tags: Vec<String>, lock: &Lock) -> Result<()> {
        let id: SnapshotId = self.known(id.parse())?;
        let mut record = self.known(self.repository.get_file::<SnapshotFile>(&id))?;
        record.original.get_or_insert(id);
        record.tags = Default::default();
        tags.into_iter().for_each(|tag| record.tags.add(tag));
        lock.held().require()?;
        self.known(self.repository.save_snapshots(vec![record]))
    }

    /// Lists all files of the repository in one go, if its store can do that.
    pub fn survey(&self) -> Result<Option<Arc<Survey>>> {
        self.backend.survey()
    }

    /// Writes a new state of these nodes. Waits for the contents, and for the word that they are proven: without it, or
    /// without `lock`, no record is written. [`states_after`](Engine::states_after) proves the record.
    pub fn put(
        &self,
        new: &NewState,
        nodes: Vec<PlannedNode>,
        ways: Ways,
        lock: Arc<HeldLock>,
    ) -> Result<Written> {
        let trouble = Trouble::default();
        let gate = Gate::new(ways.gate, ways.look);
        let backend = Arc::new(self.backend.gated(trouble.clone(), gate, lock));
        backend.places().go_by(ways.survey);
        let between = (ways.listings, ways.awaited);
        let feed = Feed::new(&new.top, new.time, nodes, between, trouble.clone());
        let result = self.written(new, &feed, &backend);
        // The last listing leads to all states from before, one of which is compared with this one.
        match &result {
            Ok(_) => self.index.go_by(backend.places().last_survey()),
            Err(_) => self.index.forget(),
        }
        // The cause of a failure is what was kept first.
        trouble.check()?;
        let record = result?;
        let files = record.summary.as_ref();
        let files = files.map_or(0, |summary| summary.total_files_processed);
        if files != new.files {
            let message = format!("{}: {files} of {} files arrived", self.shown, new.files);
            let failure = Failure::new(Kind::Unproven, message);
            let stays = self.repository.delete_snapshots(&[record.id]).is_err();
            let hint = format!(
                "the snapshot {} is not whole, and stays: remove it",
                record.id
            );
            return Err(match stays {
                true => failure.hint(hint).into(),
                false => failure.into(),
            });
        }
        let proof = backend.proof().unwrap_or(Proof::Checksum);
        let state = state(record.id, &record, None);
        Ok(Written {
            state,
            proof,
            backend,
        })
    }

    fn written(
        &self,
        new: &NewState,
        feed: &Feed,
        backend: &Arc<StoreBackend>,
    ) -> Result<SnapshotFile> {
        let opened = self.index.opened(backend)?;
        // A pack of the index that is missing or cut must not stand for new content, and neither must one that no index
        // names yet: its writer may never finish.
        backend.places().count_only(self.index.packs(&opened)?);
        let indexed = self.known(opened.to_indexed_ids_checked())?;
        let mut record = self.known(SnapshotOptions::default().to_snapshot())?;
        // The latest one of a second is the latest one for restic as well.
        let milliseconds = i32::try_from(new.number.min(999))?;
        let time = Timestamp::new(new.time, milliseconds * 1_000_000)?;
        record.time = time.to_zoned(TimeZone::UTC);
        record.hostname = new.hostname.clone();
        record.program_version = new.program.clone();
        record.tags = Default::default();
        new.tags.iter().for_each(|tag| record.tags.add(tag.clone()));
        let mut options = BackupOptions::default();
        options.parent_opts.force = true;
        options.no_scan = true;
        let top = format!("/{}", new.top).into();
        self.known(indexed.archive(&options, feed, record, &[top]))
    }

    /// Runs work of the engine that may panic on content that only the owner of a key can write.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, Box<RusticError>>) -> Result<T> {
        match caught(work) {
            Ok(result) => self.known(result),
            Err(panic) => {
                let message = format!("the repository {}: {panic}", self.shown);
                Err(Failure::new(Kind::Refused, message).into())
            }
        }
    }

    fn known<T>(&self, result: Result<T, Box<RusticError>>) -> Result<T> {
        result.map_err(|error| anyhow!(failure_of(&error, &self.shown)))
    }
}

/// Returns the failure of a repository with keys whose description is lost.
fn without_config(shown: &str) -> Failure {
    let config = places::CONFIG;
    let message = format!("the repository {shown} has keys, but its file {config} is missing");
    Failure::new(Kind::Refused, message).hint("put that file back from a copy; if a `repo init` was killed, and nothing else is there, remove the folder `keys`")
}

/// Returns true if `store` has a repository, whole or in the middle of a renewal of its configuration.
pub fn is_there(store: &dyn Store) -> Result<bool> {
    Ok(store.find(places::CONFIG)?.is_some() || store.find(renewal::BEFORE)?.is_some())
}

/// Returns the options of a repository whose packs take little memory: the engine holds six at a time. restic ignores them.
fn small_packs() -> ConfigOptions {
    let mut options = ConfigOptions::default();
    options.set_datapack_size = Some(bytesize::ByteSize(PACK_BYTES));
    options.set_datapack_growfactor = Some(PACK_GROWTH);
    options
}

/// Returns the state of a record, which was written at `written` by the clock of the store.
fn state(id: SnapshotId, record: &SnapshotFile, written: Option<DateTime<Utc>>) -> State {
    let time = record.time.timestamp();
    let summary = record.summary.as_ref();
    State {
        id: id.to_hex().as_str().to_owned(),
        time: DateTime::from_timestamp(time.as_second(), 0),
        hostname: record.hostname.clone(),
        paths: record.paths.iter().cloned().collect(),
        tags: record.tags.iter().cloned().collect(),
        tree: record.tree.to_hex().as_str().to_owned(),
        twins: Vec::new(),
        size_bytes: summary.map(|summary| summary.total_bytes_processed),
        added_bytes: summary.map(|summary| summary.data_added_packed),
        arrival: written.and_then(|time| Arrival::told(time, record.original.is_some())),
    }
}
