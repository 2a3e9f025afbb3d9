//! The folders in which hookshot keeps records of what it did: the history of runs, and the archives that it proved.
//!
//! It lies in `.hookshot` beside the journal. If that cannot be written, as with a read-only /etc, the folder that systemd
//! gives to the service (`$STATE_DIRECTORY`) takes its place, else `.hookshot` in the folder of the state.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::unistd::{AccessFlags, access, geteuid};

use crate::{
    config::Settings,
    context::Context,
    disk::{NewFolders, transaction::home::Home},
    error::{Failure, Kind},
};

/// The folders in which hookshot keeps records, the preferred one first.
#[derive(Debug, Clone)]
pub struct RecordFolders {
    folders: Vec<PathBuf>,
}

impl RecordFolders {
    /// Returns the folders of a configuration.
    pub fn of(context: &Context, settings: &Settings) -> RecordFolders {
        let given = context.environment.get("STATE_DIRECTORY");
        // Several folders are separated by colons (systemd.exec(5)).
        let given = given.and_then(|folders| folders.split(':').find(|folder| !folder.is_empty()));
        let beside = Home::beside(&settings.config).folder().to_owned();
        let of_state = Home::beside(&settings.data_dir.join("config.toml"));
        let mut folders = vec![beside];
        for folder in given
            .map(PathBuf::from)
            .into_iter()
            .chain([of_state.folder().to_owned()])
        {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        RecordFolders { folders }
    }

    /// Returns the folders that exist and are ours or root's.
    pub fn existing(&self) -> impl Iterator<Item = &Path> {
        let folders = self.folders.iter().map(PathBuf::as_path);
        folders.filter(|folder| is_ours(folder))
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
        let error = first.context("no folder is known for records")?;
        Err(error.context("the records of hookshot cannot be kept anywhere"))
    }
}

/// Returns true for a folder, not a link, that this user or root owns: another user's history is not believed.
fn is_ours(folder: &Path) -> bool {
    let metadata = folder.symlink_metadata();
    let owners = [0, geteuid().as_raw()];
    metadata.is_ok_and(|metadata| metadata.is_dir() && owners.contains(&metadata.uid()))
}

/// Makes a folder for records, if it is missing. Fails if it cannot be written.
fn make(folder: &Path) -> Result<()> {
    let mut made = NewFolders::default();
    made.create(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK)
        .with_context(|| format!("cannot write in {}", folder.display()))?;
    if !is_ours(folder) {
        let message = format!("{} is a link, or belongs to another user", folder.display());
        return Err(Failure::new(Kind::Failed, message).into());
    }
    made.keep();
    Ok(())
}
