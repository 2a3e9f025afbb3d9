//! The gate before the record of a new state: what the record leads to is there, and the lock holds.

use std::{
    sync::{Mutex, PoisonError, mpsc::Receiver},
    time::{Duration, Instant},
};

use anyhow::Result;
use rustic_core::{FileType, Id};

use super::{locks::HeldLock, places::Places, survey::Survey, trouble::Trouble};
use crate::error::{Failure, Kind};

/// The time for which a listing shows that a lock is there.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A file that the store acknowledged, and that was not seen there yet, with its size in bytes.
pub type Unseen = (FileType, Id, u32);

/// A last look at a repository before a record is written. It gets all files of the store, if they were just listed.
pub type Look = Box<dyn Fn(Option<&Survey>) -> Result<()> + Send + Sync>;

/// The gate before the record of a new state.
pub struct Gate {
    /// Brings the word that all content was proven. If the sender is gone, the gate stays shut.
    word: Mutex<Receiver<()>>,
    look: Look,
}

impl Gate {
    /// Returns a gate that opens after `word` came, unless `look` fails.
    pub fn new(word: Receiver<()>, look: Look) -> Gate {
        let word = Mutex::new(word);
        Gate { word, look }
    }

    /// Waits for the word. Fails after another failure of the same work.
    pub fn wait(&self, trouble: &Trouble) -> Result<()> {
        let word = self.word.lock().unwrap_or_else(PoisonError::into_inner);
        let came = word.recv().is_ok();
        trouble.check()?;
        match came {
            true => Ok(()),
            false => Err(Failure::new(Kind::Failed, "it was cancelled before its end").into()),
        }
    }

    /// Fails unless the files `unseen` are there.
    pub fn require(&self, places: &Places, unseen: Vec<Unseen>) -> Result<()> {
        let survey = match places.pages() {
            Some(pages) if pages <= unseen.len() => places.survey()?,
            _ => None,
        };
        require_seen(places, survey.as_deref(), unseen)
    }

    /// Fails unless the files `unseen` are there, and the state may come, and `lock` holds.
    ///
    /// One listing shows all of this. If it takes more requests than looking for each file, each is looked for; so is
    /// one that the listing does not show.
    pub fn pass(
        &self,
        places: &Places,
        unseen: Vec<Unseen>,
        lock: Option<&HeldLock>,
    ) -> Result<()> {
        let begun = Instant::now();
        let survey = match places.pages() {
            // The names of states and the lock take two requests.
            Some(pages) if pages <= unseen.len() + 2 => places.survey()?,
            _ => None,
        };
        places.go_by(survey.clone());
        let survey = survey.as_deref();
        require_seen(places, survey, unseen)?;
        (self.look)(survey)?;
        let Some(lock) = lock else {
            return Ok(());
        };
        let has_lock = |name: &str| survey.is_some_and(|survey| survey.has_lock(name));
        match lock.is_named(has_lock) && begun.elapsed() < AT_ONCE {
            true => Ok(()),
            false => lock.require(),
        }
    }
}

/// Fails unless the files `unseen` are there. Looks for those that `survey` does not show.
fn require_seen(places: &Places, survey: Option<&Survey>, unseen: Vec<Unseen>) -> Result<()> {
    for (kind, id, size) in unseen {
        if !survey.is_some_and(|survey| survey.has(kind, &id, size)) {
            places.require(kind, &id, size)?;
        }
    }
    Ok(())
}
