//! Before any verb: ends what an import or a rollback that was killed has left.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    config::{Choices, Settings, sources::Source},
    disk::{
        NewFolders, folder_of, holder,
        lock::{Hold, StateLock},
        open_regular, staging,
        transaction::{
            home::Home,
            journal::{self, Journal, Phase},
            names::volume_of,
            redo::{self, Recovered},
        },
    },
    error::{Failure, Kind},
    source::redb::lock::{self, Against, DatabaseLock},
    work::events::{Events, Recovery, RestoreEvent},
};

/// The degree to which a verb needs the state to be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It works on the state: it cannot begin before the state is whole.
    State,
    /// It does not touch the state: unfinished work that cannot be ended now is only an event.
    Nothing,
}

/// Ends unfinished work on the state whose configuration file is `config`.
pub fn recover(config: &Path, need: Need, events: &Events) -> Result<()> {
    let home = Home::beside(config);
    if !home.is_unsettled() {
        return Ok(());
    }
    let result = run(&home, config, events);
    match (result, need) {
        (Ok(Outcome::Busy(_)), Need::Nothing) | (Ok(Outcome::Settled), _) => Ok(()),
        (Ok(Outcome::Busy(error)), Need::State) => Err(error),
        (Err(error), Need::State) => Err(error),
        (Err(error), Need::Nothing) => {
            let reason = format!("{error:#}");
            events.send(RestoreEvent::Unfinished { reason });
            Ok(())
        }
    }
}

/// The fate of the unfinished work.
enum Outcome {
    /// The work was finished or taken back.
    Settled,
    /// Another hookshot is at work: it may be its own.
    Busy(anyhow::Error),
}

fn run(home: &Home, config: &Path, events: &Events) -> Result<Outcome> {
    let mut folders = vec![folder_of(config)];
    if let Some(journal) = home.journal()? {
        folders.extend(journal.steps.iter().map(|step| folder_of(&step.target)));
    }
    let _lock = match StateLock::acquire(&folders, Hold::Exclusive) {
        Err(error) if Failure::of(&error).kind == Kind::Blocked => return Ok(Outcome::Busy(error)),
        result => result?,
    };
    // Whoever held the lock before us may have ended it.
    let journal = home.journal()?;
    home.sweep(journal.as_ref())?;
    let Some(journal) = journal else {
        return Ok(Outcome::Settled);
    };
    let _locks = match journal.phase {
        // Nothing is half-done: the service may be at work on the old state, or on the new one.
        Phase::Preparing | Phase::Done => Vec::new(),
        _ => hold(&journal)?,
    };
    let verb = journal.verb.clone();
    let commands = match journal.phase {
        // They had ended.
        Phase::Done => Vec::new(),
        _ => journal.commands.clone(),
    };
    let recovered =
        redo::recover(home, journal).map_err(|error| match error.downcast_ref::<Failure>() {
            Some(_) => error,
            None => error.context(format!(
                "an earlier {verb} was interrupted and cannot be finished now"
            )),
        })?;
    let outcome = match recovered {
        Recovered::Nothing => Recovery::Nothing,
        Recovered::Undone(reason) => Recovery::Undone { reason },
        Recovered::Finished(files) => Recovery::Finished {
            commands,
            files,
            is_rollback: verb == journal::ROLLBACK,
        },
    };
    events.send(RestoreEvent::Recovered { verb, outcome });
    Ok(Outcome::Settled)
}

/// Keeps a service from starting on the half-done state. One that has started already has its files open, and those
/// are never replaced.
fn hold(journal: &Journal) -> Result<Vec<DatabaseLock>> {
    let mut locks = Vec::new();
    let mut asked = BTreeSet::new();
    for step in &journal.steps {
        if let Some(volume) = volume_of(&step.backup) {
            // All children of a mount point at once.
            let is_news = asked.insert(volume.to_owned());
            let holders = match is_news && volume.is_dir() {
                true => holder::open_below(volume)?,
                false => Vec::new(),
            };
            if !holders.is_empty() {
                return Err(half_done(journal, step, &holders).into());
            }
            continue;
        }
        if step.folder.is_some() && step.target.is_dir() {
            let mut holders = holder::open_below(&step.target)?;
            if holders.is_empty() {
                holders = holder::locked_below(&step.target)?;
            }
            if !holders.is_empty() {
                return Err(half_done(journal, step, &holders).into());
            }
            continue;
        }
        let Ok(file) = open_regular(&step.target) else {
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
            return Err(half_done(journal, step, &holders).into());
        }
        // The new file becomes the target: no process may start on it before everything is in place.
        if let Some(file) = step
            .staged
            .as_ref()
            .and_then(|staged| open_regular(staged).ok())
        {
            locks.extend(DatabaseLock::acquire(&file, Against::Everybody)?.ok());
        }
    }
    Ok(locks)
}

fn half_done(
    journal: &Journal,
    step: &journal::TransactionStep,
    holders: &[holder::Holder],
) -> Failure {
    let message = format!(
        "an earlier {} was interrupted, and {} is open in {}",
        journal.verb,
        step.target.display(),
        holder::describe(holders)
    );
    let hint = "stop that process, then run any hookshot verb: it finishes the work";
    Failure::new(Kind::Blocked, message).hint(hint)
}

/// A verb's access to the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateAccess {
    /// It only reads the state; other processes may as well.
    Read,
    /// It changes the state; no other process is at work. Missing folders are made, so that they can be locked.
    Write,
    /// It brings the old state back; no other process is at work. Missing folders hold nothing to bring back.
    Undo,
}

/// A state that is whole and locked, and the settings that describe it.
pub struct Entered {
    /// The settings of the configuration, read under the lock.
    pub settings: Settings,
    /// Folders that were made for the lock.
    pub folders: NewFolders,
    _lock: StateLock,
}

/// The number of times that another process may be faster before we give up.
const ATTEMPTS: usize = 5;

/// Makes the state whole, locks it, and reads its settings, so that all three hold at the same time.
pub fn enter(choices: &Choices, access: StateAccess, events: &Events) -> Result<Entered> {
    let config = choices.config_path()?;
    for _ in 0..ATTEMPTS {
        recover(&config, Need::State, events)?;
        let settings = Settings::load(choices)?;
        let mut folders = NewFolders::default();
        let hold = match access {
            StateAccess::Read => Hold::Shared,
            StateAccess::Undo => Hold::Exclusive,
            StateAccess::Write => {
                for folder in settings.folders() {
                    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
                    match folders.create(&folder) {
                        // An obstacle, which the plan names with all the others.
                        Err(error)
                            if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => {}
                        created => created
                            .with_context(|| format!("cannot create {}", folder.display()))?,
                    }
                }
                Hold::Exclusive
            }
        };
        let lock = StateLock::acquire(&settings.folders(), hold)?;
        // Before we had the lock, another process may have begun, died, or replaced the configuration.
        if Home::beside(&config).is_unsettled() || Settings::load(choices)? != settings {
            continue;
        }
        staging::sweep(&settings.home());
        no_strangers(&settings)?;
        return Ok(Entered {
            settings,
            folders,
            _lock: lock,
        });
    }
    Err(
        Failure::new(Kind::Blocked, "other hookshots are at work on this state")
            .hint("try again in a moment")
            .into(),
    )
}

/// Refuses to work beside the unfinished import of another configuration, or of another user whose journal we cannot
/// see.
fn no_strangers(settings: &Settings) -> Result<()> {
    let places = settings
        .sources
        .iter()
        .filter_map(Source::path)
        .map(folder_of);
    let directories = settings.sources.iter().filter(|it| it.is_directory());
    let directories = directories.filter_map(Source::path).map(Path::to_owned);
    let places = places.chain(directories);
    const LEFT: [&str; 4] = [".new", ".old", ".earlier", ".staging"];
    for folder in settings.folders().into_iter().chain(places) {
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(".hookshot-") && LEFT.iter().any(|end| name.ends_with(end)) {
                let message = format!(
                    "{} belongs to an import that is not finished",
                    entry.path().display()
                );
                let hint = "run hookshot with the configuration, and as the user, that the import was run with: it finishes the work";
                return Err(Failure::new(Kind::Blocked, message).hint(hint).into());
            }
        }
    }
    Ok(())
}
