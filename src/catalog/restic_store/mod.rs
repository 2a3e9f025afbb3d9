//! Archives as states of a repository in restic's format: what two of them have in common is stored once, and `restic`
//! opens it without hookshot.
//!
//! An archive has the name here that it would have in any other destination (`labels`). Its entries are files of a
//! snapshot, beside its manifest.

mod care;
mod early;
mod engine;
mod labels;
mod plan;
mod reading;
mod seen;
mod upload;

use std::{
    collections::HashMap,
    ops::RangeInclusive,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use anyhow::Result;
use chrono::{DateTime, Utc};

use self::{
    engine::{Engine, Lock, Right, State},
    labels::{GivenNames, can_be_named, manifest_digest, mark_of, marked},
    reading::{WatchedTree, manifest_of, packed},
    seen::SeenStates,
    upload::{StateUpload, UploadRoom, of_repository},
};
use super::{
    known::KnownHere,
    repository::{ArchiveListing, ListedArchive, Manifests, OtherFile, Repository},
    vault::Vault,
};
use crate::{
    archive::{Sink, Verified, reader::Discard, scratch::ScratchFolders, select::Selected, tree},
    context::Context,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, Ending},
        chunks::Chunks,
        entry_name::{EntryName, printable},
        manifest::Manifest,
        retention::{Mark, Standing},
    },
    store::{Maker, Secret, Store, Stored, Upload, require_room, taken},
    work::{ReadAt, events::CatalogEvent, workers::Threads},
};

/// The password of a repository, and the wishes of the configuration for it.
pub struct RepositoryRules {
    /// Its password, or the reason why there is none.
    pub password: Result<Secret, Failure>,
    /// The size of its chunks.
    pub chunks: Option<Chunks>,
    /// The level of compression.
    pub level: Option<i32>,
    /// True if nothing in it is ever removed.
    pub append_only: bool,
    /// The folder for copies of its indexes and records; `None` if none are kept.
    pub cache: Option<PathBuf>,
}

/// A store that holds a repository.
pub struct ResticStore {
    store: Arc<dyn Store>,
    /// The destination as messages name it, if that is not its address.
    name: Option<String>,
    rules: RepositoryRules,
    maker: Maker,
    scratch: PathBuf,
    threads: Threads,
    /// The repository, once it was opened.
    engine: Mutex<Option<Arc<Engine>>>,
    names: Mutex<GivenNames>,
    /// The states of the last listing, by the names of their archives.
    listed: Mutex<HashMap<String, State>>,
    /// The states that an upload saw at its end.
    seen: Arc<SeenStates>,
    /// The lock by which this process has the repository for itself, while it has it.
    alone: Mutex<Weak<Lock>>,
}

impl ResticStore {
    /// Takes `store` for a repository; sends no request yet. `name` is the destination as messages name it, if that is
    /// not its address.
    pub fn new(
        context: &Context,
        store: Arc<dyn Store>,
        name: Option<String>,
        rules: RepositoryRules,
    ) -> ResticStore {
        ResticStore {
            store,
            name,
            rules,
            maker: context.maker(),
            scratch: context.scratch.clone(),
            threads: context.threads,
            engine: Mutex::default(),
            names: Mutex::default(),
            listed: Mutex::default(),
            seen: Arc::default(),
            alone: Mutex::default(),
        }
    }

    fn engine(&self) -> Result<Arc<Engine>> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*engine {
            return Ok(engine.clone());
        }
        let password = match self.password() {
            // That nothing is there tells more.
            Err(_) if matches!(engine::is_there(&*self.store), Ok(false)) => {
                return Err(engine::missing(&*self.store)?.into());
            }
            password => password?,
        };
        let opened = Engine::open(self.store.clone(), password, &self.maker)?;
        Ok(engine.insert(self.with_copies(opened)).clone())
    }

    /// Lets a repository that was opened or made keep copies of its indexes and records.
    fn with_copies(&self, engine: Engine) -> Arc<Engine> {
        if let Some(folder) = &self.rules.cache {
            engine.keep_copies_in(folder);
        }
        Arc::new(engine)
    }

    fn password(&self) -> Result<&Secret, Failure> {
        self.rules.password.as_ref().map_err(Failure::clone)
    }

    /// Returns the states of ours, by the names of their archives; each name once.
    fn states(&self) -> Result<Vec<(String, State)>> {
        let engine = self.engine()?;
        let states = match self.seen.take() {
            Some(states) => states,
            None => engine.states()?,
        };
        let named = self.names().named(states);
        *self.listed() = named.iter().cloned().collect();
        Ok(named)
    }

    fn listed(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the state of an archive that was listed, or is there now.
    fn listed_state(&self, name: &str) -> Result<State> {
        let listed = self.listed().get(name).cloned();
        listed.map_or_else(|| self.known_state(name), Ok)
    }

    fn names(&self) -> MutexGuard<'_, GivenNames> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self, name: &str) -> Result<Option<State>> {
        let mut states = self.states()?.into_iter();
        Ok(states
            .find(|(found, _)| found == name)
            .map(|(_, state)| state))
    }

    fn known_state(&self, name: &str) -> Result<State> {
        self.state(name)?.ok_or_else(|| {
            let message = format!("{} has no archive {name}", self.shown());
            Failure::new(Kind::NotFound, message)
                .hint("`hookshot list` shows what is there")
                .into()
        })
    }

    /// Returns the result of reading a state; one that was removed meanwhile is missing, not damaged.
    fn of_what_is_there<T>(&self, name: &str, read: Result<T>) -> Result<T> {
        if let Err(error) = &read
            && !matches!(Failure::of(error).kind, Kind::Interrupted(_))
            && let Ok(None) = self.state(name)
        {
            self.known_state(name)?;
        }
        read
    }

    fn tree<'a>(&self, context: &'a Context, state: &State) -> Result<WatchedTree<'a>> {
        let tree = self.engine()?.tree(state)?;
        Ok(WatchedTree { tree, context })
    }

    fn full_name(&self, name: &str) -> String {
        format!("{}/{name}", self.shown())
    }

    fn retag(&self, name: &str, mark: Option<Mark>) -> Result<()> {
        let (engine, lock) = self.alone()?;
        let state = self.known_state(name)?;
        engine.save_with(&state.id, marked(&state, mark), &lock)?;
        engine.remove(&[&[state.id][..], &state.twins].concat(), &lock)
    }
}

impl Repository for ResticStore {
    fn shown(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.address())
    }

    fn address(&self) -> String {
        format!("restic:{}", self.store.shown())
    }

    fn list(&self, prefix: Option<&str>, _: Manifests) -> Result<ArchiveListing> {
        let mut listing = ArchiveListing::default();
        for (name, state) in self.states()? {
            let mark = mark_of(&state);
            listing.marks.extend(mark.map(|_| name.clone()));
            let stored = stored(&name, &state);
            let mut listed = match (ArchiveName::of_file(&name), state.time) {
                (Some(name), _) => ListedArchive::named(&name, stored),
                (None, Some(time)) => {
                    let prefix = state.paths.first().map(|path| path.trim_start_matches('/'));
                    ListedArchive::told(prefix.unwrap_or_default().to_owned(), time, stored)
                }
                (None, None) => continue,
            };
            listed.manifest = manifest_digest(&state);
            listed.arrival = state.arrival;
            listed.is_state = true;
            match prefix.is_none_or(|prefix| prefix == listed.prefix()) {
                true => listing.archives.push(listed),
                false => listing.others += 1,
            }
        }
        let unread = self.engine()?.unread().into_iter();
        listing.other_files.extend(unread.map(|(id, reason)| {
            let name = format!("snapshots/{id}");
            OtherFile {
                name,
                name_escaped: None,
                reason,
                is_foreign: false,
                is_unread: true,
            }
        }));
        listing.sort();
        Ok(listing)
    }

    fn folders(&self) -> Vec<String> {
        Vec::new()
    }

    fn find(&self, name: &str) -> Result<Option<Stored>> {
        Ok(self.state(name)?.map(|state| stored(name, &state)))
    }

    fn read(
        &self,
        context: &Context,
        what: &'static str,
        name: &str,
        sink: &mut dyn Sink,
    ) -> Result<Verified> {
        let state = self.known_state(name)?;
        context.begin(what, state.size_bytes);
        let proven = self.engine()?.prove_record(&state);
        let tree = proven.and_then(|()| self.tree(context, &state));
        let read = tree.and_then(|mut tree| {
            let shown = self.full_name(name);
            tree::read(&shown, &mut tree, context.scratch_folders(), sink)
        });
        self.of_what_is_there(name, read)
    }

    fn select(
        &self,
        context: &Context,
        what: &'static str,
        name: &str,
        entries: &[EntryName],
        sink: &mut dyn Sink,
    ) -> Result<Option<Selected>> {
        let state = self.known_state(name)?;
        context.begin(what, None);
        let selected = self
            .tree(context, &state)
            .and_then(|mut tree| tree::select(&self.full_name(name), &mut tree, entries, sink));
        self.of_what_is_there(name, selected)
    }

    fn open(&self, name: &str) -> Result<Arc<dyn ReadAt + Send + Sync>> {
        let state = self.known_state(name)?;
        let engine = self.engine()?;
        let pack = || {
            engine.prove_record(&state)?;
            let mut tree = engine.tree(&state)?;
            let scratch = ScratchFolders::from(self.scratch.clone());
            let verified = tree::read(&self.full_name(name), &mut tree, scratch, &mut Discard)?;
            packed(&mut tree, &verified, self.threads, &self.scratch)
        };
        Ok(Arc::new(self.of_what_is_there(name, pack())?))
    }

    fn manifest(&self, name: &str) -> Result<Option<Manifest>> {
        let state = self.listed_state(name)?;
        let tree = self.engine()?.tree(&state);
        let manifest = tree.and_then(|mut tree| manifest_of(&mut tree));
        match self.of_what_is_there(name, manifest) {
            // Reading all of it tells the reason.
            Err(error) if Failure::of(&error).kind == Kind::Refused => Ok(None),
            manifest => manifest,
        }
    }

    fn created(&self, name: &str) -> Result<Option<DateTime<Utc>>> {
        Ok(self.state(name)?.and_then(|state| state.time))
    }

    fn standing(&self, context: &Context, name: &str) -> Result<Option<Standing>> {
        let Some(state) = self.state(name)? else {
            return Ok(None);
        };
        let engine = self.engine()?;
        // A copy on this machine says nothing of what others can read.
        let proven = engine.prove_record(&state);
        let is_whole = proven.is_ok() && !engine.lacks_content(&state)?;
        let archive = self.full_name(name);
        let tree = proven.and_then(|()| self.tree(context, &state));
        let read = tree.and_then(|mut tree| {
            let manifest = match is_whole {
                true => manifest_of(&mut tree)?,
                false => None,
            };
            if let Some(manifest) = manifest {
                return Ok(manifest.has_torn_database());
            }
            // All of it is read for the reason.
            tree::read(&archive, &mut tree, context.scratch_folders(), &mut Discard)?;
            Ok(false)
        });
        match self.of_what_is_there(name, read) {
            Ok(true) => {
                context.tell(CatalogEvent::TornArchive { archive });
                Ok(Some(Standing::Torn))
            }
            Ok(false) => Ok(Some(Standing::Good)),
            Err(error) => match Failure::of(&error) {
                Failure {
                    kind: Kind::Refused,
                    message: reason,
                    ..
                } => {
                    context.tell(CatalogEvent::DamagedArchive { archive, reason });
                    Ok(Some(Standing::Damaged))
                }
                failure if failure.kind == Kind::Version => Ok(Some(Standing::Unproven)),
                failure if failure.kind == Kind::NotFound => Ok(None),
                _ => Err(error),
            },
        }
    }

    fn records(&self) -> Option<&KnownHere> {
        None
    }

    fn sweep(&self, maker: &Maker) -> Result<Vec<String>> {
        // What lies here is written in one request, which leaves nothing; folders below are swept by a prune.
        match self.store.part_bytes() {
            Some(_) => Ok(Vec::new()),
            None => self.store.sweep(maker),
        }
    }

    fn require_room(&self, bytes: u64) -> Result<()> {
        // How much of it is new is known when it is there.
        require_room(&*self.store, bytes / 1000)
    }

    fn put(&self, name: &str, _: RangeInclusive<u64>, _: &Maker) -> Result<Box<dyn Upload>> {
        if Ending::of_file(name) != Some(Ending::Plain) {
            let message = format!("{name} cannot be the name of an archive in a repository");
            return Err(Failure::new(Kind::Usage, message)
                .hint("a repository seals what it holds by its own password: leave out .age")
                .into());
        }
        if !can_be_named(name) {
            let message = format!(
                "{} cannot be the name of an archive in a repository",
                printable(name)
            );
            return Err(Failure::new(Kind::Usage, message)
                .hint("give it a name without commas that does not begin with a dot")
                .into());
        }
        let opened = || {
            let engine = self.engine()?;
            let lock = engine.lock(Right::Shared)?;
            let survey = engine.survey()?;
            let states = engine.states_in(survey.as_deref())?;
            Ok((engine, lock, survey, states))
        };
        let (engine, lock, survey, states) = opened().map_err(of_repository)?;
        let mut states = self.names().named(states).into_iter();
        if states.any(|(found, _)| found == name) {
            return Err(taken(&self.shown(), name).into());
        }
        self.names().release(name);
        self.listed().clear();
        let room = UploadRoom {
            shown: self.shown(),
            scratch: self.scratch.clone(),
            threads: self.threads,
            only_grows: self.rules.append_only,
            seen: self.seen.clone(),
        };
        Ok(Box::new(StateUpload::begin(
            engine, name, room, lock, survey,
        )?))
    }

    fn remove(&self, name: &str) -> Result<()> {
        if self.state(name)?.is_none() {
            return Ok(());
        }
        self.listed().clear();
        let (engine, lock) = self.alone()?;
        let Some(state) = self.state(name)? else {
            return Ok(());
        };
        engine.remove(&[&[state.id][..], &state.twins].concat(), &lock)
    }

    fn mark(&self, name: &str) -> Result<Option<Mark>> {
        Ok(self.state(name)?.as_ref().and_then(mark_of))
    }

    fn put_mark(&self, name: &str, mark: Mark, _: &Maker) -> Result<()> {
        self.retag(name, Some(mark))
    }

    fn remove_mark(&self, name: &str) -> Result<()> {
        match self.mark(name)? {
            Some(_) => self.retag(name, None),
            None => Ok(()),
        }
    }

    fn vault(&self) -> Option<&dyn Vault> {
        Some(self)
    }
}

fn stored(name: &str, state: &State) -> Stored {
    Stored {
        name: name.to_owned(),
        size_bytes: state.size_bytes.unwrap_or_default(),
        modified: state.arrival.map(|arrival| arrival.time),
        etag: None,
    }
}
