//! What stands in the way of replacing the state: who has it open, and what is at work in it.

use std::fs::File;

use anyhow::Result;
use serde::Serialize;
use tracing::warn;

use crate::{
    disk::{holder, open_regular},
    error::Kind,
    source::redb::{
        header::Header,
        judge,
        lock::{self, Against, DatabaseLock},
    },
};

/// A reason why nothing is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocked {
    /// What kind of reason, for programs.
    pub kind: &'static str,
    /// The reason, for people.
    pub message: String,
    /// What it means for the exit code.
    #[serde(skip)]
    pub failure: Kind,
    /// What to do.
    #[serde(skip)]
    pub hint: &'static str,
}

/// Whether reasons that force may override are overridden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Every reason counts.
    No,
    /// Active deployments and an unreadable old database do not.
    Yes,
}

/// Whether locks are taken or only asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locks {
    /// They are held until the value that is returned goes.
    Held,
    /// Nothing is locked; the answer may be old a moment later.
    Asked,
}

/// Looks at the database that would be replaced. Reasons go to `blocked`; the lock is held where that was asked for
/// and nobody else has it.
pub fn database(
    path: &std::path::Path,
    force: Force,
    locks: Locks,
    blocked: &mut Vec<Blocked>,
) -> Result<Option<DatabaseLock>> {
    let file = match open_regular(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let mut held = None;
    let mut holders = lock::probe(path, &file)?;
    if holders.is_empty() && locks == Locks::Held {
        match DatabaseLock::acquire(&file, Against::Everybody)? {
            Ok(lock) => held = Some(lock),
            Err(found) => holders = found,
        }
    }
    if !holders.is_empty() {
        blocked.push(Blocked {
            kind: "database_held",
            message: format!(
                "{} is open in {}",
                path.display(),
                holder::describe(&holders)
            ),
            failure: Kind::Blocked,
            hint: "stop the service first; --force does not override this",
        });
        // What it holds cannot be read consistently while somebody writes.
        return Ok(None);
    }
    active(path, file, force, blocked)?;
    Ok(held)
}

fn active(
    path: &std::path::Path,
    file: File,
    force: Force,
    blocked: &mut Vec<Blocked>,
) -> Result<()> {
    let found = match Header::read(&file)? {
        None => Err("it is not a redb database".to_owned()),
        Some(_) => judge::peek(file)
            .map_err(|error| format!("{error:#}"))
            .and_then(|judgement| judgement.active),
    };
    let (kind, message, hint) = match found {
        Ok(active) if active.is_empty() => return Ok(()),
        Ok(active) => (
            "active_deployments",
            format!(
                "active deployments present, cannot restore (use --force to override): {}",
                active.describe().join("; ")
            ),
            "wait until they are done, or replace the state all the same with --force",
        ),
        Err(reason) => (
            "database_unreadable",
            format!(
                "cannot tell whether deployments are active in {}: {reason}",
                path.display()
            ),
            "replace it all the same with --force; it stays as .bak",
        ),
    };
    match force {
        Force::Yes => warn!("Overridden by --force: {message}"),
        Force::No => blocked.push(Blocked {
            kind,
            message,
            failure: Kind::Blocked,
            hint,
        }),
    }
    Ok(())
}
