//! Which entries of an archive an import takes: all, those that `--only` names, and none that `--except` names.

use anyhow::Result;

use crate::{
    config::Settings,
    error::{Failure, Kind},
    model::{entry_name::EntryName, manifest::Manifest},
    ops::entries::no_such_entry,
};

/// The entries that the user asks for. A directory stands for all of its entries.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// These only; all if it is empty.
    pub only: Vec<EntryName>,
    /// Not these, even if `only` names them.
    pub except: Vec<EntryName>,
    /// The disabled sources of the configuration: their places are left alone.
    pub disabled: Vec<EntryName>,
}

impl Selection {
    /// Leaves the places of the disabled sources alone.
    pub fn leave_disabled(&mut self, settings: &Settings) {
        let sources = settings.sources.iter().filter(|source| !source.enabled);
        self.disabled = sources.map(|source| source.name.clone()).collect();
    }

    /// Returns true if an entry is requested.
    pub fn has(&self, name: &EntryName) -> bool {
        let directory = name.as_str().split_once('/').map(|(first, _)| first);
        let is_it = |wanted: &EntryName| wanted == name || Some(wanted.as_str()) == directory;
        let is_named = self.only.is_empty() || self.only.iter().any(is_it);
        let is_left_out = self.except.iter().chain(&self.disabled).any(is_it);
        is_named && !is_left_out
    }

    /// Returns true if `--only` names this very entry.
    pub fn names(&self, name: &str) -> bool {
        self.only.iter().any(|only| only.as_str() == name)
    }

    /// Refuses a name that the archive does not have, and a part of a directory.
    pub fn check(&self, settings: &Settings, manifest: &Manifest) -> Result<()> {
        if let Some(name) = self.only.iter().find(|name| self.disabled.contains(name)) {
            let message = format!("the source {name} is disabled");
            return Err(Failure::new(Kind::Usage, message)
                .hint("set `enabled = true` for it, or take it out with `hookshot extract`")
                .into());
        }
        for name in self.only.iter().chain(&self.except) {
            let source = settings.source_of(name);
            if let Some(directory) =
                source.filter(|source| source.is_directory() && source.name != *name)
            {
                let message = format!(
                    "{name} is a part of the directory {0}, which is imported as one",
                    directory.name
                );
                return Err(Failure::new(Kind::Usage, message)
                    .hint("name the directory, or take the file out with `hookshot extract`")
                    .into());
            }
            if let Some(directory) = manifest.listed_by(name) {
                let message = format!("{name} has the records of the directory {directory}");
                return Err(Failure::new(Kind::Usage, message)
                    .hint(format!("name the directory: {directory}"))
                    .into());
            }
            if !manifest.files.contains_key(name) && !manifest.has_directory(name) {
                return Err(no_such_entry(name).into());
            }
        }
        let files = manifest.files.keys();
        let files = files.filter(|name| manifest.listed_by(name).is_none());
        let directories = manifest.trees.keys().chain(manifest.directories.keys());
        let mut names = files.chain(directories);
        if !self.except.is_empty() && !names.any(|name| self.has(name)) {
            let message = "nothing is left to import: --except leaves out all that is asked for";
            return Err(Failure::new(Kind::Usage, message)
                .hint("`hookshot inspect` lists the entries of the archive")
                .into());
        }
        Ok(())
    }
}
