//! The sources of state: files, directories, the output of commands, and databases that need consistent copies.
//!
//! A kind of source is a file with a type that answers the questions of [`behavior::SourceBehavior`], and one arm in
//! each match of this file. Its keys are read in `config/sources_section.rs`, and docs/services.md lists them. An
//! engine of databases has a row in `model/engine.rs` and an arm in [`engines`] as well.

#[cfg(feature = "cli")]
pub mod behavior;
#[cfg(feature = "cli")]
pub mod command;
#[cfg(feature = "cli")]
pub mod command_source;
#[cfg(feature = "cli")]
pub mod database;
#[cfg(feature = "cli")]
pub mod engines;
#[cfg(feature = "cli")]
pub mod file_source;
#[cfg(feature = "cli")]
pub mod files;
#[cfg(feature = "cli")]
pub mod leftover;
pub mod redb;
#[cfg(feature = "cli")]
pub mod service;
#[cfg(feature = "cli")]
pub mod sqlite;
#[cfg(feature = "cli")]
pub mod staged;
#[cfg(feature = "cli")]
pub mod tree;

#[cfg(feature = "cli")]
use self::{
    behavior::SourceBehavior,
    command_source::CommandSource,
    file_source::{FileSource, TextSource},
    redb::source::RedbSource,
    sqlite::source::SqliteSource,
    tree::source::DirectorySource,
};

/// The kind of a source, with what its configuration says. Questions about it are those of [`SourceBehavior`].
#[cfg(feature = "cli")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A file of hookshot's own configuration.
    Text(TextSource),
    /// A plain file.
    File(FileSource),
    /// A folder with everything in it.
    Directory(DirectorySource),
    /// A redb database.
    Redb(RedbSource),
    /// A SQLite database.
    Sqlite(SqliteSource),
    /// The output of a command.
    Command(CommandSource),
}

#[cfg(feature = "cli")]
impl std::ops::Deref for SourceKind {
    type Target = dyn SourceBehavior;

    fn deref(&self) -> &Self::Target {
        match self {
            SourceKind::Text(kind) => kind,
            SourceKind::File(kind) => kind,
            SourceKind::Directory(kind) => kind,
            SourceKind::Redb(kind) => kind,
            SourceKind::Sqlite(kind) => kind,
            SourceKind::Command(kind) => kind,
        }
    }
}

#[cfg(feature = "cli")]
impl std::ops::DerefMut for SourceKind {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            SourceKind::Text(kind) => kind,
            SourceKind::File(kind) => kind,
            SourceKind::Directory(kind) => kind,
            SourceKind::Redb(kind) => kind,
            SourceKind::Sqlite(kind) => kind,
            SourceKind::Command(kind) => kind,
        }
    }
}
