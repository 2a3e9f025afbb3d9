//! `repo upgrade` and `repo unlock`.

use std::ffi::OsStr;

use anyhow::Result;
use serde::Serialize;

use super::word::{place, vault};
use crate::{config::Settings, context::Context};

/// The result of an upgrade of a repository.
#[derive(Debug, Serialize)]
pub struct RepoUpgradeReport {
    /// Its address.
    pub repository: String,
    /// True if something changed.
    pub changed: bool,
    /// The version of its format now.
    pub version: u32,
    /// The level of compression now, if it has one of its own.
    pub level: Option<i32>,
}

/// The result of the removal of locks.
#[derive(Debug, Serialize)]
pub struct RepoUnlockReport {
    /// The address of the repository.
    pub repository: String,
    /// The number of locks that were removed.
    pub removed: usize,
}

/// Brings the repository that `word` names to the newest version of the format, and to the configured `level`.
pub fn upgrade(
    context: &Context,
    settings: &Settings,
    word: Option<&OsStr>,
) -> Result<RepoUpgradeReport> {
    let place = place(context, settings, word)?;
    place.require_removable()?;
    let vault = vault(&*place.repository)?;
    let changed = vault.upgrade()?;
    let facts = vault.facts()?;
    Ok(RepoUpgradeReport {
        repository: place.repository.address(),
        changed,
        version: facts.version,
        level: facts.level,
    })
}

/// Removes locks that dead processes of this machine left in the repository that `word` names, or all locks.
pub fn unlock(
    context: &Context,
    settings: &Settings,
    word: Option<&OsStr>,
    all: bool,
) -> Result<RepoUnlockReport> {
    let place = place(context, settings, word)?;
    Ok(RepoUnlockReport {
        repository: place.repository.address(),
        removed: vault(&*place.repository)?.unlock(all)?,
    })
}
