//! The questions that the rest of hookshot asks of a kind of source. Most have an answer that fits plain files.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use super::{redb::options::SnapshotOptions, staged::Staged, tree::StagedTree};
use crate::{
    model::{engine::Engine, entry_name::EntryName, rules::Rules},
    work::{Advance, Threads, events::Events, shell::Runner},
};

/// The moment at which an export reads a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Before files and directories, so that the files that it names are there later.
    BeforeFiles,
    /// With the files.
    WithFiles,
    /// After files and directories.
    AfterFiles,
}

/// The rule for the content of an entry, which export and import check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextRule {
    /// Any bytes are good.
    Anything,
    /// It has to be TOML.
    Toml,
    /// It has to be a configuration of hookshot: it is this machine's own one.
    Configuration,
}

/// The part of a directory that is archived, as patterns of gitignore(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreePatterns<'a> {
    /// The archived part; everything if there are none.
    pub include: &'a [String],
    /// The part that is left out.
    pub exclude: &'a [String],
}

/// The caller's parts in reading a source.
#[derive(Clone, Copy)]
pub struct SourceContext<'a> {
    /// A callback that is told how many bytes were done, and may end the work with an error.
    pub step: &'a Advance<'a>,
    /// The receiver of events.
    pub events: &'a Events,
    /// The runner of the user's commands.
    pub runner: &'a Runner,
    /// The folder for copies.
    pub scratch: &'a Path,
    /// The program hookshot, to be started as a helper.
    pub program: Option<&'a Path>,
    /// The number of reading threads.
    pub threads: Threads,
}

/// The request to read a source for an archive.
pub struct StageRequest<'a> {
    /// The name of its entry.
    pub name: &'a EntryName,
    /// The shell that runs the source's commands; `/bin/sh` if there is none.
    pub shell: Option<&'a str>,
    /// The time of the export.
    pub now: i64,
    /// The choices for copies of databases.
    pub snapshot: SnapshotOptions,
    /// The part of a directory that is read.
    pub rules: &'a Rules,
    /// The time for which a directory's file must be untouched to be read in place.
    pub quiet: Duration,
    /// The most files, and the most folders and links, of a directory that has no listing.
    pub unlisted_files: u64,
}

/// A source that was read: one entry, or many.
pub enum StagedSource {
    /// One entry.
    Entry(Box<Staged>),
    /// A directory.
    Directory(Box<StagedTree>),
}

impl From<Staged> for StagedSource {
    fn from(staged: Staged) -> StagedSource {
        StagedSource::Entry(Box::new(staged))
    }
}

/// A kind of source: the answers to all questions about it.
pub trait SourceBehavior {
    /// Returns its name in a configuration and in a manifest.
    fn name(&self) -> &'static str;

    /// Reads it for an archive.
    fn stage(
        &self,
        request: &StageRequest<'_>,
        context: &SourceContext<'_>,
    ) -> Result<StagedSource>;

    /// Returns its path on this machine; `None` if it has none.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// Returns the words for the place that it is read from.
    fn shown_place(&self) -> String {
        match self.path() {
            Some(path) => path.display().to_string(),
            None => "its configuration".to_owned(),
        }
    }

    /// Returns its path on this machine, to be changed.
    fn path_mut(&mut self) -> Option<&mut PathBuf> {
        None
    }

    /// Returns true if an export takes a copy of it before anything is packed; else it is read where it lies.
    fn is_copied(&self) -> bool {
        false
    }

    /// Returns the moment at which an export reads it unless the configuration says otherwise.
    fn order(&self) -> Order {
        match self.is_copied() {
            true => Order::BeforeFiles,
            false => Order::WithFiles,
        }
    }

    /// Returns the engine if it is restored as a database.
    fn engine(&self) -> Option<Engine> {
        None
    }

    /// Returns the rule for its content.
    fn text_rule(&self) -> TextRule {
        TextRule::Anything
    }

    /// Returns the patterns if it is a directory: many entries, which are replaced as one.
    fn patterns(&self) -> Option<TreePatterns<'_>> {
        None
    }

    /// Returns true if an import restores all symbolic links in it, wherever they lead.
    fn restores_all_links(&self) -> bool {
        false
    }

    /// Returns the command that prints its entry, if one does.
    fn export_command(&self) -> Option<&str> {
        None
    }

    /// Returns the command that takes its entry, if one does.
    fn import_command(&self) -> Option<&str> {
        None
    }

    /// Forgets the command that takes its entry: it would work on this machine, and the import goes below another root.
    fn forget_import_command(&mut self) {}

    /// Returns the active work in it, line by line, if its configuration says how to ask for that.
    fn active_work(&self, _: &SourceContext<'_>) -> Option<Result<Vec<String>>> {
        None
    }

    /// Returns true if it is a directory.
    fn is_directory(&self) -> bool {
        self.patterns().is_some()
    }

    /// Returns true if commands export and import it.
    fn is_command(&self) -> bool {
        self.export_command().is_some()
    }

    /// Returns true if it is hookshot's own configuration file.
    fn is_own_configuration(&self) -> bool {
        self.text_rule() == TextRule::Configuration
    }

    /// Returns the suffixes of the files that belong to it and lie beside it.
    fn companions(&self) -> &'static [&'static str] {
        self.engine().map_or(&[], Engine::companions)
    }
}
