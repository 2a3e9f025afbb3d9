//! The care of a repository, under the locks that each part of it needs.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use anyhow::Result;

use super::{
    ResticStore,
    engine::{self, Engine, Lock, Right, complete_renewal, random_password},
};
use crate::{
    catalog::{
        snapshots::{Snapshot, SnapshotTree},
        vault::{Alone, ReadContent, Vault, VaultFacts, VaultFigures, VaultKey},
    },
    error::{Failure, Kind},
    model::chunks::Chunks,
    store::Secret,
};

impl ResticStore {
    /// Opens the repository, and takes it alone to remove something. Fails if it only grows.
    pub(super) fn alone(&self) -> Result<(Arc<Engine>, Arc<Lock>)> {
        self.require_removable()?;
        let engine = self.engine()?;
        let mut alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = alone.upgrade() {
            return Ok((engine, lock));
        }
        let lock = Arc::new(engine.lock(Right::Exclusive)?);
        // Under the lock, only what is there now counts.
        self.seen.take();
        *alone = Arc::downgrade(&lock);
        Ok((engine, lock))
    }

    /// Lets the next use open it anew.
    fn forget_engine(&self) {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Vault for ResticStore {
    fn open(&self) -> Result<()> {
        self.engine().map(drop)
    }

    fn exists(&self) -> Result<bool> {
        engine::is_there(&*self.store)
    }

    fn wanted_chunks(&self) -> Option<Chunks> {
        self.rules.chunks
    }

    fn require_removable(&self) -> Result<(), Failure> {
        if !self.rules.append_only {
            return Ok(());
        }
        let message = format!(
            "{} only grows (`append_only`): nothing in it is removed or replaced",
            self.name.clone().unwrap_or_else(|| self.store.shown())
        );
        Err(Failure::new(Kind::Usage, message)
            .hint("do it on a machine whose configuration and keys permit it"))
    }

    fn invent_password(&self) -> Secret {
        random_password()
    }

    fn create(&self, chunks: Chunks) -> Result<()> {
        let (store, password) = (self.store.clone(), self.password()?);
        let form = (chunks, self.rules.level);
        let engine = Engine::create(store, password, form, &self.maker)?;
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(self.with_copies(engine));
        Ok(())
    }

    fn facts(&self) -> Result<VaultFacts> {
        let engine = self.engine()?;
        let mut facts = VaultFacts {
            id: engine.identifier(),
            version: engine.version(),
            chunks: engine.chunks(),
            level: engine.level(),
            notes: Vec::new(),
        };
        if let Some(wanted) = self.rules.chunks.filter(|wanted| *wanted != facts.chunks) {
            facts.notes.push(format!(
                "its chunks are {}, which never changes: `chunk` asks for {wanted}",
                facts.chunks
            ));
        }
        if self
            .rules
            .level
            .is_some_and(|wanted| facts.level != Some(wanted))
        {
            facts.notes.push(
                "its level is not that of `level`: `hookshot repo upgrade` changes it".to_owned(),
            );
        }
        if facts.version < 2 {
            facts.notes.push(
                "its format is version 1, without compression: `hookshot repo upgrade` changes it"
                    .to_owned(),
            );
        }
        Ok(facts)
    }

    fn figures(&self) -> Result<VaultFigures> {
        let mut figures = self.engine()?.figures()?;
        let states = self.states()?.into_iter();
        let added = states.filter_map(|(name, state)| Some((name, state.added_bytes?)));
        figures.added = added.collect();
        Ok(figures)
    }

    fn check(&self, read: ReadContent) -> Result<Vec<String>> {
        let engine = self.engine()?;
        // A copy says nothing about the store.
        engine.prove();
        let lock = engine.lock(Right::Shared)?;
        let result = engine.check(read);
        drop(lock);
        result
    }

    fn reclaim(&self) -> Result<()> {
        let (engine, lock) = self.alone()?;
        // Alone as it is, everything that an upload left is of a run that is gone.
        let has_few_requests = self.store.list_below(&mut |_| Ok(()))?;
        for folder in engine.folders(!has_few_requests)? {
            folder.sweep(&self.maker)?;
        }
        engine.prune(&lock)
    }

    fn alone(&self) -> Result<Alone> {
        Ok(Alone::by(ResticStore::alone(self)?.1))
    }

    fn unlock(&self, all: bool) -> Result<usize> {
        if all {
            self.require_removable()?;
        }
        self.engine()?.unlock(all)
    }

    fn keys(&self) -> Result<Vec<VaultKey>> {
        self.engine()?.keys()
    }

    fn add_key(&self, password: &Secret) -> Result<String> {
        let engine = self.engine()?;
        let lock = engine.lock(Right::Shared)?;
        let result = engine.add_key(password);
        drop(lock);
        result
    }

    fn remove_key(&self, id: &str) -> Result<String> {
        let (engine, lock) = self.alone()?;
        let result = engine.remove_key(id);
        drop(lock);
        result
    }

    fn upgrade(&self) -> Result<bool> {
        self.require_removable()?;
        complete_renewal(&self.store, self.password()?, &self.maker)?;
        let (engine, lock) = self.alone()?;
        let result = engine.renew(self.rules.level);
        drop(lock);
        self.forget_engine();
        result
    }

    fn identifier(&self) -> Result<String> {
        Ok(self.engine()?.identifier())
    }

    fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let all = self.engine()?.states()?;
        let mut names = HashMap::new();
        for (name, state) in self.names().named(all.clone()) {
            let ids = std::iter::once(state.id).chain(state.twins);
            names.extend(ids.map(|id| (id, name.clone())));
        }
        let snapshots = all.into_iter().map(|state| Snapshot {
            archive: names.remove(&state.id),
            id: state.id,
            time: state.time,
            hostname: state.hostname,
            paths: state.paths,
        });
        Ok(snapshots.collect())
    }

    fn files(&self, snapshot: &Snapshot, path: &str) -> Result<Box<dyn SnapshotTree>> {
        Ok(Box::new(self.engine()?.foreign(&snapshot.id, path)?))
    }
}
