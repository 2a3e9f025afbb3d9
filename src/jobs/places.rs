//! The folders in which jobs keep their history and their lock.
//!
//! They lie in `.hookshot` beside the journal. If that cannot be written, as with a read-only /etc, the folder that
//! systemd gives to the service (`$STATE_DIRECTORY`) takes its place, else `.hookshot` in the folder of the state.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::unistd::{AccessFlags, access};

use crate::{
    config::Settings,
    context::Context,
    disk::{
        NewFolders,
        lock::{Hold, StateLock},
        transaction::home::Home,
    },
    error::{Failure, Kind},
};

/// The folder that a running job locks (flock(2)).
const LOCKED: &str = "job";
/// The time between two attempts to get the lock.
const TICK: Duration = Duration::from_millis(100);
/// The least time for which a run waits for the lock: a look at it ([`JobPlaces::is_locked`]) takes an instant.
const LOOK: Duration = Duration::from_millis(250);

/// The folders in which jobs keep their history and their lock, the preferred one first.
#[derive(Debug, Clone)]
pub struct JobPlaces {
    folders: Vec<PathBuf>,
}

/// The lock of a running job. Dropping it releases it.
#[derive(Debug)]
pub struct JobLock {
    _lock: StateLock,
}

impl JobPlaces {
    /// Returns the places of the configuration's jobs.
    pub fn of(context: &Context, settings: &Settings) -> JobPlaces {
        let given = context.environment.get("STATE_DIRECTORY");
        // Several folders are separated by colons (systemd.exec(5)).
        let given = given.and_then(|folders| folders.split(':').find(|folder| !folder.is_empty()));
        let mut folders = vec![Home::beside(&settings.config).folder().to_owned()];
        folders.extend(given.map(PathBuf::from));
        folders.push(
            Home::beside(&settings.data_dir.join("config.toml"))
                .folder()
                .to_owned(),
        );
        JobPlaces { folders }
    }

    /// Returns the folders that exist.
    pub fn existing(&self) -> impl Iterator<Item = &Path> {
        let folders = self.folders.iter().map(PathBuf::as_path);
        folders.filter(|folder| folder.is_dir())
    }

    /// Returns the first folder that can be written, and makes it if necessary.
    pub fn writable(&self) -> Result<&Path> {
        let mut first = None;
        for folder in &self.folders {
            match make(folder) {
                Ok(()) => return Ok(folder),
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
        let error = first.context("no folder is known for the history")?;
        Err(error.context("the history of runs cannot be kept anywhere"))
    }

    /// Returns true if a run of this configuration's jobs is at work.
    pub fn is_locked(&self) -> Result<bool> {
        let folders: Vec<PathBuf> = self.existing().map(|folder| folder.join(LOCKED)).collect();
        match StateLock::acquire(&folders, Hold::Shared) {
            Ok(_) => Ok(false),
            Err(error) if Failure::of(&error).kind == Kind::Blocked => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Takes the lock of this configuration's jobs. If another run has it, waits for it as long as `wait`; then fails
    /// with [`Kind::Blocked`], naming that run's process.
    pub fn lock(&self, context: &Context, wait: Duration) -> Result<JobLock> {
        let written = self.writable()?.join(LOCKED);
        make(&written)?;
        // Another run may be unable to write this folder, and lock the next one.
        let folders = self.folders.iter().map(|folder| folder.join(LOCKED));
        let folders: Vec<PathBuf> = folders.filter(|folder| folder.is_dir()).collect();
        let begun = Instant::now();
        loop {
            context.stop.check()?;
            match StateLock::acquire(&folders, Hold::Exclusive) {
                Ok(lock) => return Ok(JobLock { _lock: lock }),
                Err(error) => {
                    let failure = Failure::of(&error);
                    if failure.kind != Kind::Blocked {
                        return Err(error);
                    }
                    if begun.elapsed() >= wait.max(LOOK) {
                        return Err(busy(&failure).into());
                    }
                }
            }
            std::thread::sleep(TICK);
        }
    }
}

fn busy(failure: &Failure) -> Failure {
    Failure::new(
        Kind::Blocked,
        format!(
            "a job of this configuration is at work: {}",
            failure.message
        ),
    )
    .hint("wait until it has ended, or let this one wait for it: --lock-wait 1h")
}

/// Makes a folder for the files of jobs, if it is missing. Fails if it cannot be written.
fn make(folder: &Path) -> Result<()> {
    let mut made = NewFolders::default();
    made.create(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK)
        .with_context(|| format!("cannot write in {}", folder.display()))?;
    made.keep();
    Ok(())
}
