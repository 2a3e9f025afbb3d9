//! Sources of kind `sqlite`, and SQLite databases wherever they lie.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use super::{
    SqliteContext, active, judge, snapshot, users,
    verdict::{CheckDepth, CheckExtent, SqliteVerdict},
};
use crate::{
    disk::exists,
    model::{engine::Engine, entry_name::EntryName, manifest::FileRecord},
    source::{
        behavior::{SourceBehavior, SourceContext, StageRequest, StagedSource},
        database::{DatabaseEngine, DatabaseVerdict, Locking, Occupancy},
        redb::options::SnapshotOptions,
        staged::Staged,
    },
    work::Advance,
};

/// The longest wait for a database that another process keeps locked.
const PATIENCE: Duration = Duration::from_secs(30);
/// The number of first bytes that tell the engine.
const HEAD_BYTES: usize = 16;

/// A SQLite database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSource {
    /// Its path.
    pub path: PathBuf,
    /// A query that reports active work in it, row by row.
    pub active_query: Option<String>,
}

impl SourceBehavior for SqliteSource {
    fn name(&self) -> &'static str {
        Engine::Sqlite.kind()
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn path_mut(&mut self) -> Option<&mut PathBuf> {
        Some(&mut self.path)
    }

    fn is_copied(&self) -> bool {
        true
    }

    fn engine(&self) -> Option<Engine> {
        Some(Engine::Sqlite)
    }

    fn active_work(&self, context: &SourceContext<'_>) -> Option<Result<Vec<String>>> {
        let query = self.active_query.as_deref()?;
        exists(&self.path).then(|| active::active(&self.path, query, &SqliteContext::new(context)))
    }

    fn stage(
        &self,
        request: &StageRequest<'_>,
        context: &SourceContext<'_>,
    ) -> Result<StagedSource> {
        let staged = SqliteEngine.take(&self.path, request.name, request.snapshot, context)?;
        Ok(staged.into())
    }
}

impl<'a> SqliteContext<'a> {
    /// Returns the parts of the caller that SQLite needs.
    pub fn new(context: &SourceContext<'a>) -> SqliteContext<'a> {
        SqliteContext {
            step: context.step,
            scratch: context.scratch,
            patience: PATIENCE,
        }
    }
}

/// The engine SQLite.
pub struct SqliteEngine;

impl DatabaseEngine for SqliteEngine {
    fn owns(&self, file: &File) -> bool {
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(&mut head, 0).is_ok() && Engine::Sqlite.begins(&head)
    }

    fn take(
        &self,
        path: &Path,
        name: &EntryName,
        snapshot: SnapshotOptions,
        context: &SourceContext<'_>,
    ) -> Result<Staged> {
        let bytes = path.metadata().ok().map(|metadata| metadata.len());
        context.events.begin("copying the database", bytes);
        snapshot::take(path, name, snapshot.form, &SqliteContext::new(context))
    }

    /// Finds the processes that use it. One that only reads goes on with the old file, whose companions are gone.
    fn occupancy(&self, path: &Path, _: Locking) -> Result<Occupancy> {
        let users = users(path)?;
        if !users.is_empty() {
            return Ok(Occupancy::Open(users));
        }
        Ok(Occupancy::Free {
            lock: None,
            deployments: Ok(Vec::new()),
        })
    }

    /// Checks whether its indexes match its tables, unless the export has checked that.
    fn judge(
        &self,
        place: &Path,
        record: Option<&FileRecord>,
        step: &Advance<'_>,
    ) -> Result<DatabaseVerdict> {
        let known = record.and_then(CheckExtent::of);
        if let Some(known) = known.filter(|known| known.check == CheckDepth::Integrity) {
            let found = judge::verdict(place, CheckDepth::Quick, step)?;
            return Ok(found.with_known(&known).into());
        }
        judge_by_size(place, step)
    }

    fn judge_thoroughly(&self, place: &Path, step: &Advance<'_>) -> Result<DatabaseVerdict> {
        match judge::recover(place) {
            Ok(()) => judge_by_size(place, step),
            Err(error) => Ok(DatabaseVerdict::Damaged(format!("{error:#}"))),
        }
    }

    fn holds_same(
        &self,
        target: &Path,
        _: &Path,
        record: Option<&FileRecord>,
        context: &SourceContext<'_>,
    ) -> Result<bool> {
        match record {
            Some(record) => snapshot::would_be(target, record, &SqliteContext::new(context)),
            None => Ok(false),
        }
    }

    fn holds_tables(
        &self,
        path: &Path,
        record: &FileRecord,
        _: &[u8],
        context: &SourceContext<'_>,
    ) -> Result<bool> {
        snapshot::holds(path, record, &SqliteContext::new(context))
    }

    fn opens(&self, path: &Path, step: &Advance<'_>) -> Result<()> {
        judge::opens(path, step)
    }
}

fn judge_by_size(place: &Path, step: &Advance<'_>) -> Result<DatabaseVerdict> {
    let bytes = place.metadata().map_or(0, |metadata| metadata.len());
    Ok(judge::verdict(place, CheckDepth::of_size(bytes), step)?.into())
}

impl From<SqliteVerdict> for DatabaseVerdict {
    fn from(verdict: SqliteVerdict) -> DatabaseVerdict {
        match verdict {
            SqliteVerdict::Good(extent) => DatabaseVerdict::Good(Some(extent)),
            SqliteVerdict::Index(fault, extent) => DatabaseVerdict::Index {
                fault: fault.to_string(),
                remedy: fault.remedy(),
                extent,
            },
            SqliteVerdict::Damaged(finding) => DatabaseVerdict::Damaged(finding),
        }
    }
}
