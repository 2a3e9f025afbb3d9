//! The engines of databases that are copied and restored as databases.

use std::path::{Path, PathBuf};

use serde::Serialize;

/// The suffixes of the files that SQLite keeps beside a database: write-ahead log, its index, rollback journal.
pub const SQLITE_COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The engine of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// redb.
    Redb,
    /// SQLite.
    Sqlite,
}

/// The facts about an engine.
struct EngineFacts {
    /// The kind of its entries in a manifest.
    kind: &'static str,
    /// Its name for messages.
    name: &'static str,
    /// The first bytes of a database that is not encrypted.
    magic: &'static [u8],
    /// The suffixes of the files that it keeps beside a database.
    companions: &'static [&'static str],
    /// Those of them that hold changes which the database's file does not have.
    logs: &'static [&'static str],
    /// True if the unused pages of a copy are zeros.
    leaves_holes: bool,
}

impl Engine {
    /// All engines.
    pub const ALL: [Engine; 2] = [Engine::Redb, Engine::Sqlite];

    fn facts(self) -> &'static EngineFacts {
        match self {
            // redb, docs/design.md, "Database header".
            Engine::Redb => &EngineFacts {
                kind: "redb",
                name: "redb",
                magic: b"redb\x1a\x0a\xa9\x0d\x0a",
                companions: &[],
                logs: &[],
                leaves_holes: true,
            },
            // sqlite.org, "Database File Format", 1.3.1, and "Temporary Files Used By SQLite".
            Engine::Sqlite => &EngineFacts {
                kind: "sqlite",
                name: "SQLite",
                magic: b"SQLite format 3\0",
                companions: &SQLITE_COMPANIONS,
                logs: &["-wal", "-journal"],
                leaves_holes: false,
            },
        }
    }

    /// Returns the engine whose database begins with `head`, the first bytes of a file.
    pub fn of(head: &[u8]) -> Option<Engine> {
        let mut all = Engine::ALL.into_iter();
        all.find(|engine| engine.begins(head))
    }

    /// Returns true if a database of this engine begins with `head`.
    pub fn begins(self, head: &[u8]) -> bool {
        head.starts_with(self.facts().magic)
    }

    /// Returns the engine whose entries have this kind in a manifest.
    pub fn of_kind(kind: &str) -> Option<Engine> {
        let mut all = Engine::ALL.into_iter();
        all.find(|engine| engine.kind() == kind)
    }

    /// Returns the kind of its entries in a manifest.
    pub fn kind(self) -> &'static str {
        self.facts().kind
    }

    /// Returns its name for messages.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Returns the suffixes of the files that the engine keeps beside a database. They are part of the database; its
    /// copy has none.
    pub fn companions(self) -> &'static [&'static str] {
        self.facts().companions
    }

    /// Returns the suffixes of those companions that hold changes which the database's file does not have.
    pub fn logs(self) -> &'static [&'static str] {
        self.facts().logs
    }

    /// Returns true if the unused pages of a copy are zeros, which take no room on a disk.
    pub fn leaves_holes(self) -> bool {
        self.facts().leaves_holes
    }

    /// Returns the paths of the files that the engine keeps beside the database at `path`. A link at `path` is not
    /// followed.
    ///
    /// A caller that replaces a database has to move them away as well: the engine would apply them to the new file.
    pub fn companions_of(self, path: &Path) -> impl Iterator<Item = PathBuf> {
        self.companions().iter().map(|suffix| beside(path, suffix))
    }

    /// Returns the paths of the logs of the database at `path`.
    pub fn logs_of(self, path: &Path) -> impl Iterator<Item = PathBuf> {
        self.logs().iter().map(|suffix| beside(path, suffix))
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
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

    #[test]
    fn companions_lie_beside_the_database_whatever_its_name() {
        let path = Path::new("/data/a b?#%41.db");
        let found: Vec<PathBuf> = Engine::Sqlite.companions_of(path).collect();
        let expected =
            ["-wal", "-shm", "-journal"].map(|suffix| format!("/data/a b?#%41.db{suffix}"));
        assert_eq!(found, expected.map(PathBuf::from));
        assert_eq!(Engine::Redb.companions_of(path).count(), 0);
    }
}
