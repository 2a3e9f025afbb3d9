//! Databases among the files of a directory: known by their first bytes, and copied as databases.

use std::path::Path;

use anyhow::Result;

use crate::{
    disk::tree::beneath::Look,
    model::{entry_name::EntryName, tree::Xattrs},
    source::files::Staged,
};

/// The first bytes of a SQLite database that is not encrypted (sqlite.org, "Database File Format", 1.3.1).
const SQLITE: &[u8] = b"SQLite format 3\0";
/// The first bytes of a redb database (redb, docs/design.md, "Database header").
const REDB: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// The engine of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// SQLite.
    Sqlite,
    /// redb.
    Redb,
}

impl Engine {
    /// Returns the engine whose database begins with `head`, the first bytes of a file.
    pub fn of(head: &[u8]) -> Option<Engine> {
        match head.first()? {
            b'S' if head.starts_with(SQLITE) => Some(Engine::Sqlite),
            b'r' if head.starts_with(REDB) => Some(Engine::Redb),
            _ => None,
        }
    }

    /// Returns the kind of its entries in a manifest.
    pub fn kind(self) -> &'static str {
        match self {
            Engine::Sqlite => "sqlite",
            Engine::Redb => "redb",
        }
    }

    /// Returns its name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Sqlite => "SQLite",
            Engine::Redb => "redb",
        }
    }

    /// Returns the suffixes of the files that the engine keeps beside a database. They are part of the database; its
    /// copy has none.
    pub fn companions(self) -> &'static [&'static str] {
        match self {
            Engine::Sqlite => &["-wal", "-shm", "-journal"],
            Engine::Redb => &[],
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_known_by_its_first_bytes() {
        assert_eq!(Engine::of(b"SQLite format 3\0..."), Some(Engine::Sqlite));
        assert_eq!(Engine::of(b"redb\x1a\x0a\xa9\x0d\x0a"), Some(Engine::Redb));
        for other in [&b""[..], b"SQLite format 3", b"SQLite format 4\0", b"redb"] {
            assert_eq!(Engine::of(other), None, "{other:?}");
        }
    }
}
