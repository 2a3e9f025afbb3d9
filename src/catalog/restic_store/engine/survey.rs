//! All files of a repository, listed in one go by a store that can do that.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use chrono::{DateTime, Utc};
use rustic_core::{FileType, Id};

use super::{
    listing::{DATA, below, size},
    locks::LOCKS,
};
use crate::store::Store;

/// The objects in a page of a listing (S3, ListObjectsV2).
const PAGE: usize = 1000;

/// The files of a repository, at the time of one listing. It may take several requests: then those of a kind that comes
/// later in the alphabet were listed later.
#[derive(Debug, Default)]
pub struct Survey {
    /// The packs, with their sizes in bytes.
    packs: HashMap<Id, u32>,
    /// The indexes.
    indexes: HashMap<Id, u32>,
    /// The records.
    records: HashMap<Id, u32>,
    /// The times at which records were written, by the clock of the store.
    times: HashMap<Id, DateTime<Utc>>,
    /// The names of locks.
    locks: HashSet<String>,
    count: usize,
}

impl Survey {
    /// Lists the files below `store`; `None` if it does not list all folders at once.
    pub fn of(store: &dyn Store) -> Result<Option<Survey>> {
        let mut survey = Survey::default();
        let is_done = below(store, &mut |stored| {
            survey.count += 1;
            let Some((folder, path)) = stored.name.split_once('/') else {
                return Ok(());
            };
            let name = path.rsplit('/').next().unwrap_or(path);
            // Other files are not the repository's.
            let (Ok(id), is_direct) = (name.parse::<Id>(), name == path) else {
                return Ok(());
            };
            let size = size(&stored);
            match folder {
                DATA => drop(survey.packs.insert(id, size)),
                "index" if is_direct => drop(survey.indexes.insert(id, size)),
                "snapshots" if is_direct => {
                    survey.records.insert(id, size);
                    survey.times.extend(stored.modified.map(|time| (id, time)));
                }
                LOCKS if is_direct => drop(survey.locks.insert(name.to_owned())),
                _ => {}
            }
            Ok(())
        })?;
        Ok(is_done.then_some(survey))
    }

    /// Returns the number of requests that a listing of all files takes.
    pub fn pages(&self) -> usize {
        self.count / PAGE + 1
    }

    /// Returns the files of a kind, with their sizes in bytes.
    pub fn files(&self, kind: FileType) -> Option<&HashMap<Id, u32>> {
        match kind {
            FileType::Pack => Some(&self.packs),
            FileType::Index => Some(&self.indexes),
            FileType::Snapshot => Some(&self.records),
            FileType::Config | FileType::Key => None,
        }
    }

    /// Returns the same as a list.
    pub fn list(&self, kind: FileType) -> Vec<(Id, u32)> {
        let files = self.files(kind).into_iter().flatten();
        files.map(|(id, size)| (*id, *size)).collect()
    }

    /// Returns the times at which records were written, by the clock of the store.
    pub fn times(&self) -> &HashMap<Id, DateTime<Utc>> {
        &self.times
    }

    /// Returns true if the file is there, and has this size in bytes.
    pub fn has(&self, kind: FileType, id: &Id, size: u32) -> bool {
        self.files(kind).and_then(|files| files.get(id)) == Some(&size)
    }

    /// Returns true if the lock is there.
    pub fn has_lock(&self, name: &str) -> bool {
        self.locks.contains(name)
    }
}
