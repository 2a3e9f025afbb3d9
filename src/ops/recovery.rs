//! Before any verb: ends what an import or a rollback that was killed has left.

use std::{fs::File, path::Path};

use anyhow::{Context as _, Result};
use tracing::{info, warn};

use crate::{
    config::Settings,
    disk::{
        folder_of, holder,
        journal::{Home, Journal, Phase},
        lock::{Hold, StateLock},
        transaction::{self, Recovered},
    },
    error::{Failure, Kind},
    source::redb::lock::{self, Against, DatabaseLock},
};

/// How much a verb needs the state to be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It works on the state: it cannot begin before the state is whole.
    State,
    /// It does not touch the state: what cannot be ended now is only said.
    Nothing,
}

/// Ends unfinished work on the state whose configuration file is `config`.
pub fn recover(config: &Path, need: Need) -> Result<()> {
    let home = Home::beside(config);
    if !home.is_unsettled() {
        return Ok(());
    }
    match (run(&home, config), need) {
        (Err(error), Need::Nothing) => {
            // An import that is at work right now has a journal too.
            if Failure::of(&error).kind != Kind::Blocked {
                warn!("An earlier import is not finished: {error:#}");
            }
            Ok(())
        }
        (result, _) => result,
    }
}

fn run(home: &Home, config: &Path) -> Result<()> {
    let mut folders = vec![folder_of(config)];
    if let Some(journal) = home.journal()? {
        folders.extend(journal.steps.iter().map(|step| folder_of(&step.target)));
    }
    let _lock = StateLock::acquire(&folders, Hold::Exclusive)?;
    home.sweep()?;
    // Whoever held the lock before us may have ended it.
    let Some(journal) = home.journal()? else {
        return Ok(());
    };
    let _locks = match journal.phase {
        Phase::Preparing => Vec::new(),
        _ => hold(&journal)?,
    };
    let verb = journal.verb.clone();
    let phase = journal.phase;
    match transaction::recover(home, journal)
        .context("an earlier import was interrupted and cannot be finished now")?
    {
        Recovered::Finished(_) => {
            warn!("An earlier {verb} was interrupted: finished it, the new state is in place")
        }
        Recovered::Undone(_) if phase == Phase::Preparing => info!(
            "An earlier {verb} was interrupted before it changed anything: removed what it left"
        ),
        Recovered::Undone(_) => {
            warn!("An earlier {verb} was interrupted: brought the old state back")
        }
    }
    Ok(())
}

/// Keeps a service from starting on the half-done state. One that has started already has its files open, and those
/// are never replaced.
fn hold(journal: &Journal) -> Result<Vec<DatabaseLock>> {
    let mut locks = Vec::new();
    for step in &journal.steps {
        let Ok(file) = File::open(&step.target) else {
            continue;
        };
        let mut holders = lock::probe(&step.target, &file)?;
        if holders.is_empty() {
            match DatabaseLock::acquire(&file, Against::Everybody)? {
                Ok(lock) => locks.push(lock),
                Err(found) => holders = found,
            }
        }
        if !holders.is_empty() {
            let message = format!(
                "an earlier {} was interrupted, and {} is open in {}",
                journal.verb,
                step.target.display(),
                holder::describe(&holders)
            );
            let hint = "stop that process, then run any hookshot verb: it finishes the work";
            return Err(Failure::new(Kind::Blocked, message).hint(hint).into());
        }
        // The new file becomes the target: nobody may start on it before everything is in place.
        if let Some(file) = step
            .staged
            .as_ref()
            .and_then(|staged| File::open(staged).ok())
        {
            locks.extend(DatabaseLock::acquire(&file, Against::Everybody)?.ok());
        }
    }
    Ok(locks)
}

/// The settings, with everything before them whole.
pub fn settled(choices: &crate::config::Choices, need: Need) -> Result<Settings> {
    recover(&choices.config_path()?, need)?;
    Settings::load(choices)
}
