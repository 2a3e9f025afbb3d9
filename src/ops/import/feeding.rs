//! Entries that no file takes: the import commands of sources get them.

use anyhow::{Context as _, Result};
use tracing::info;

use crate::{
    config::sources::{Content, Source},
    disk::staging::Staging,
    model::entry_name::EntryName,
    ops::Context,
    source::{command, shell::Line},
};

/// An entry that a command takes.
pub struct Fed<'a> {
    /// Which.
    pub entry: &'a EntryName,
    command: Line<'a>,
}

impl Fed<'_> {
    /// What is given to the import command of `source`; `None` where it has none.
    pub fn of(source: &Source) -> Option<Fed<'_>> {
        match &source.content {
            Content::Command {
                import: Some(command),
                ..
            } => Some(Fed {
                entry: &source.name,
                command: source.line(command),
            }),
            _ => None,
        }
    }
}

/// Gives the entries of commands to them, one after the other.
pub fn feed(context: &Context, staging: &Staging, commands: &[Fed<'_>]) -> Result<()> {
    for fed in commands {
        context.stop.check()?;
        let place = staging.place(fed.entry);
        let length = place.metadata().ok().map(|metadata| metadata.len());
        context.begin("importing by command", length);
        command::feed(fed.command, &place, &context.step()).with_context(|| {
            let entry = fed.entry;
            format!(
                "the import command of {entry} failed, and what it did up to then is not undone"
            )
        })?;
        info!("  {} -> its import command", fed.entry);
    }
    Ok(())
}
