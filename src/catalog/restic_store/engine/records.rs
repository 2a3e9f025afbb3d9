//! The records of the states of a repository.

use std::{collections::HashSet, sync::PoisonError};

use anyhow::Result;
use rustic_core::{
    FileType, Id,
    repofile::{SnapshotFile, SnapshotId},
};

use super::{Engine, State, Written, parallel, state, survey::Survey};
use crate::error::{Failure, Kind};

impl Engine {
    /// Returns the identifiers of the records that could not be read in the last listing, with the reasons.
    pub fn unread(&self) -> Vec<(String, String)> {
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        unread.clone()
    }

    /// Returns the states, in any order. One that was removed meanwhile is left out, and a damaged one is told by
    /// [`unread`](Engine::unread).
    pub fn states(&self) -> Result<Vec<State>> {
        let listed = self.backend.list_files(FileType::Snapshot)?;
        self.states_of(&listed)
    }

    /// Returns the states as a survey found them; without one, lists them.
    pub fn states_in(&self, survey: Option<&Survey>) -> Result<Vec<State>> {
        match survey {
            Some(survey) => self.states_of(&self.backend.records_of(survey)),
            None => self.states(),
        }
    }

    /// Returns the states after a new one was written. Fails unless the store has its record.
    pub fn states_after(&self, written: &Written) -> Result<Vec<State>> {
        let listed = self.backend.list_files(FileType::Snapshot)?;
        written.backend.require_record(&listed)?;
        self.states_of(&listed)
    }

    fn states_of(&self, listed: &[(Id, u32)]) -> Result<Vec<State>> {
        let ids: HashSet<SnapshotId> = listed.iter().map(|(id, _)| (*id).into()).collect();
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.retain(|id, _| ids.contains(id));
        let new: Vec<SnapshotId> = ids
            .into_iter()
            .filter(|id| !records.contains_key(id))
            .collect();
        let mut unread = Vec::new();
        let read = |id| self.known(self.repository.get_file::<SnapshotFile>(&id));
        parallel::each(&new, read, |id, record| {
            match record {
                Ok(record) => drop(records.insert(id, record)),
                Err(error) => match Failure::of(&error) {
                    Failure {
                        kind: Kind::NotFound,
                        ..
                    } => {}
                    Failure {
                        kind: Kind::Refused,
                        message,
                        ..
                    } => unread.push((id.to_hex().as_str().to_owned(), message)),
                    _ => return Err(error),
                },
            }
            Ok(())
        })?;
        unread.sort();
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = unread;
        let found = records.iter();
        let states =
            found.map(|(id, record)| state(*id, record, self.backend.places().time_of(id)));
        Ok(states.collect())
    }
}
