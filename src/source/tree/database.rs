//! Databases among the files of a directory: known by their first bytes, and copied as databases.

use std::path::Path;

use anyhow::Result;

use crate::{
    disk::tree::beneath::Look,
    model::{engine::Engine, entry_name::EntryName, tree::Xattrs},
    source::staged::Staged,
};

/// The treatment of databases in a directory.
#[derive(Clone, Copy)]
pub enum DatabaseHandling<'a> {
    /// They are read as files, for a comparison.
    AsFiles,
    /// They are copied as databases: this takes one consistent copy of the database at a path, which is not a link.
    Copied(&'a Take<'a>),
}

/// A function that takes a consistent copy of a database.
pub type Take<'a> = dyn Fn(&Path, &EntryName, Engine) -> Result<Staged> + 'a;

/// A file that begins like a database.
#[derive(Debug)]
pub struct Found {
    /// The engine of the database.
    pub engine: Engine,
    /// The file's metadata when it was inspected.
    pub look: Look,
    /// Its extended attributes.
    pub xattrs: Xattrs,
}
