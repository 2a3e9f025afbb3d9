//! The places of a repository's files in its store, and their listings.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use chrono::{DateTime, Utc};
use rustic_core::{FileType, Id};

use super::{
    listing::{DATA, below, files, size},
    locks::LOCKS,
    survey::Survey,
};
use crate::store::{Store, require_arrived};

/// The name of the file that describes a repository.
pub const CONFIG: &str = "config";
/// The folder of the files that hold the key, each sealed by a password.
pub const KEYS: &str = "keys";

/// The folders of a repository in its store.
pub struct Places {
    store: Arc<dyn Store>,
    /// The folders below the store that were used, by their path.
    folders: Mutex<HashMap<String, Arc<dyn Store>>>,
    /// The packs that count, with their sizes in bytes: others are not listed.
    packs: Mutex<Option<HashMap<Id, u32>>>,
    /// The times at which the records of the last listing were written, by the clock of the store.
    times: Mutex<HashMap<Id, DateTime<Utc>>>,
    /// The listing by which the files of most kinds are told, if it is not made anew.
    survey: Mutex<Option<Arc<Survey>>>,
}

impl Places {
    /// Returns the places below `store`.
    pub fn new(store: Arc<dyn Store>) -> Places {
        Places {
            store,
            folders: Mutex::default(),
            packs: Mutex::default(),
            times: Mutex::default(),
            survey: Mutex::default(),
        }
    }

    /// Returns the store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Lists all files in one go, if the store can do that.
    pub fn survey(&self) -> Result<Option<Arc<Survey>>> {
        Ok(Survey::of(&*self.store)?.map(Arc::new))
    }

    /// Goes by `survey` from now on, in place of further listings.
    pub fn go_by(&self, survey: Option<Arc<Survey>>) {
        *self.survey.lock().unwrap_or_else(PoisonError::into_inner) = survey;
    }

    /// Returns the listing by which the files are told.
    pub fn last_survey(&self) -> Option<Arc<Survey>> {
        let survey = self.survey.lock().unwrap_or_else(PoisonError::into_inner);
        survey.clone()
    }

    /// Returns the files of a kind by the listing that was given; `None` if they must be listed.
    pub fn surveyed(&self, kind: FileType) -> Option<Vec<(Id, u32)>> {
        let survey = self.last_survey()?;
        survey.files(kind)?;
        Some(self.counted(kind, survey.list(kind)))
    }

    /// Returns the number of requests that a listing of all files takes, if it is known.
    pub fn pages(&self) -> Option<usize> {
        self.last_survey().map(|survey| survey.pages())
    }

    /// Fails with [`Kind::Unproven`](crate::error::Kind::Unproven) unless the store has the file, of this size in bytes.
    pub fn require(&self, kind: FileType, id: &Id, size: u32) -> Result<()> {
        let (folder, name) = self.of(kind, id)?;
        require_arrived(&*folder, &name, size.into())
    }

    /// Lists packs from now on only if they are among `packs`, and have these sizes.
    pub fn count_only(&self, packs: HashMap<Id, u32>) {
        // A pack that came after the packs were listed, and before its index was.
        let lacks = |survey: &Survey| {
            packs
                .iter()
                .any(|(id, size)| !survey.has(FileType::Pack, id, *size))
        };
        if self.last_survey().is_some_and(|survey| lacks(&survey)) {
            self.go_by(None);
        }
        *self.packs.lock().unwrap_or_else(PoisonError::into_inner) = Some(packs);
    }

    /// Returns the size of a pack in bytes, if only packs of known sizes count.
    pub fn counted_size(&self, id: &Id) -> Option<u32> {
        let packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        packs.as_ref()?.get(id).copied()
    }

    /// Returns the time at which a record of the last listing was written, by the clock of the store.
    pub fn time_of(&self, id: &Id) -> Option<DateTime<Utc>> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.get(id).copied()
    }

    /// Returns the folder at `path` below the store.
    pub fn folder(&self, path: &str) -> Result<Arc<dyn Store>> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = folders.get(path) {
            return Ok(folder.clone());
        }
        let mut folder = self.store.clone();
        for name in path.split('/') {
            folder = Arc::from(folder.below(name)?);
        }
        folders.insert(path.to_owned(), folder.clone());
        Ok(folder)
    }

    /// Returns the folders of files, those of content only with `all`.
    pub fn folders(&self, all: bool) -> Result<Vec<Arc<dyn Store>>> {
        let kinds = [KEYS, LOCKS, "snapshots", "index"].map(str::to_owned);
        let mut paths = Vec::from(kinds);
        if all {
            let data = self.folder(DATA)?;
            files(&*data, &mut |_| Ok(()))?;
            paths.extend(data.folders().iter().map(|name| format!("{DATA}/{name}")));
        }
        paths.iter().map(|path| self.folder(path)).collect()
    }

    /// Returns the folder and the name of a file.
    pub fn of(&self, kind: FileType, id: &Id) -> Result<(Arc<dyn Store>, String)> {
        let name = id.to_hex().as_str().to_owned();
        Ok(match kind {
            FileType::Config => (self.store.clone(), CONFIG.to_owned()),
            FileType::Pack => (self.folder(&format!("{DATA}/{}", &name[..2]))?, name),
            kind => (self.folder(kind.dirname())?, name),
        })
    }

    /// Returns the files of a kind that has a folder, with their sizes in bytes.
    pub fn list(&self, kind: FileType) -> Result<Vec<(Id, u32)>> {
        let mut found = Vec::new();
        let mut times = HashMap::new();
        let mut paths = VecDeque::from([kind.dirname().to_owned()]);
        if kind == FileType::Pack {
            // One request for many folders.
            let is_done = below(&*self.folder(DATA)?, &mut |stored| {
                let name = stored.name.rsplit('/').next();
                if let Some(Ok(id)) = name.map(str::parse) {
                    found.push((id, size(&stored)));
                }
                Ok(())
            })?;
            if is_done {
                paths.clear();
            }
        }
        while let Some(path) = paths.pop_front() {
            let folder = self.folder(&path)?;
            files(&*folder, &mut |stored| {
                // Other files are not the repository's.
                if let Ok(id) = stored.name.parse() {
                    found.push((id, size(&stored)));
                    times.extend(stored.modified.map(|time| (id, time)));
                }
                Ok(())
            })?;
            if kind == FileType::Pack && path == DATA {
                let folders = folder.folders().into_iter();
                paths.extend(folders.map(|name| format!("{DATA}/{name}")));
            }
        }
        if kind == FileType::Snapshot {
            *self.times.lock().unwrap_or_else(PoisonError::into_inner) = times;
        }
        Ok(self.counted(kind, found))
    }

    /// Returns the records of a survey, with their sizes in bytes, as if they had been listed now.
    pub fn records_of(&self, survey: &Survey) -> Vec<(Id, u32)> {
        let times = survey.times().clone();
        *self.times.lock().unwrap_or_else(PoisonError::into_inner) = times;
        survey.list(FileType::Snapshot)
    }

    /// Leaves out packs that do not count.
    fn counted(&self, kind: FileType, mut found: Vec<(Id, u32)>) -> Vec<(Id, u32)> {
        let packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        if let (FileType::Pack, Some(packs)) = (kind, &*packs) {
            found.retain(|(id, size)| packs.get(id) == Some(size));
        }
        found
    }
}
