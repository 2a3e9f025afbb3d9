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
    source::redb::lock,
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
    if journal.phase != Phase::Preparing {
        nobody_has_it_open(&journal)?;
    }
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

/// A service may have started on the half-done state: what it has open is never replaced.
fn nobody_has_it_open(journal: &Journal) -> Result<()> {
    for step in &journal.steps {
        let Ok(file) = File::open(&step.target) else {
            continue;
        };
        let holders = lock::probe(&step.target, &file)?;
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
    }
    Ok(())
}

/// The settings, with everything before them whole.
pub fn settled(choices: &crate::config::Choices, need: Need) -> Result<Settings> {
    recover(&choices.config_path()?, need)?;
    Settings::load(choices)
}
