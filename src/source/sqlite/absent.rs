//! Stands for SQLite in a program that is built without it: a database is refused.

use std::path::Path;

use super::{SqliteContext, verdict};
use crate::{error::Failure, work::Advance};

/// Returns the failure of work that needs SQLite.
fn absent(path: &Path) -> anyhow::Error {
    let message = format!("{} is an SQLite database", path.display());
    Failure::without("sqlite", &message).into()
}

/// Stands for the queries of services.
pub mod active {
    use super::*;

    /// Fails: no query can be asked.
    pub fn active(path: &Path, _: &str, _: &SqliteContext<'_>) -> anyhow::Result<Vec<String>> {
        Err(absent(path))
    }
}

/// Stands for the checks.
pub mod judge {
    use super::{verdict::CheckDepth, verdict::SqliteVerdict, *};

    /// Fails: nothing can be checked.
    pub fn opens(path: &Path, _: &Advance<'_>) -> anyhow::Result<()> {
        Err(absent(path))
    }

    /// Does nothing: the check that follows fails.
    pub fn recover(_: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    /// Fails: nothing can be checked.
    pub fn verdict(path: &Path, _: CheckDepth, _: &Advance<'_>) -> anyhow::Result<SqliteVerdict> {
        Err(absent(path))
    }
}

/// Stands for snapshots.
pub mod snapshot {
    use super::*;
    use crate::{
        model::{copy_form::CopyForm, entry_name::EntryName, manifest::FileRecord},
        source::staged::Staged,
    };

    /// Fails: no database can be copied.
    pub fn take(
        path: &Path,
        _: &EntryName,
        _: CopyForm,
        _: &SqliteContext<'_>,
    ) -> anyhow::Result<Staged> {
        Err(absent(path))
    }

    /// Fails: nothing can be compared.
    pub fn would_be(path: &Path, _: &FileRecord, _: &SqliteContext<'_>) -> anyhow::Result<bool> {
        Err(absent(path))
    }

    /// Fails: nothing can be compared.
    pub fn holds(path: &Path, _: &FileRecord, _: &SqliteContext<'_>) -> anyhow::Result<bool> {
        Err(absent(path))
    }
}
