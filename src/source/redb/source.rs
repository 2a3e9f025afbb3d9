//! Sources of kind `redb`, and redb databases wherever they lie.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{
    header::{RedbHeader, SlotRole},
    judge,
    lock::{self, Against, DatabaseLock},
    options::{RedbContext, SnapshotOptions},
    pages::Root,
    same, snapshot,
};
use crate::{
    disk::open_regular,
    model::{engine::Engine, entry_name::EntryName, manifest::FileRecord},
    source::{
        behavior::{SourceBehavior, SourceContext, StageRequest, StagedSource},
        database::{DatabaseEngine, DatabaseVerdict, Locking, Occupancy},
        staged::Staged,
    },
    work::{Advance, events::ExportEvent},
};

/// A redb database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedbSource {
    /// Its path.
    pub path: PathBuf,
}

impl SourceBehavior for RedbSource {
    fn name(&self) -> &'static str {
        Engine::Redb.kind()
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
        Some(Engine::Redb)
    }

    fn stage(
        &self,
        request: &StageRequest<'_>,
        context: &SourceContext<'_>,
    ) -> Result<StagedSource> {
        let staged = RedbEngine.take(&self.path, request.name, request.snapshot, context)?;
        Ok(staged.into())
    }
}

/// The engine redb.
pub struct RedbEngine;

impl DatabaseEngine for RedbEngine {
    fn owns(&self, file: &File) -> bool {
        matches!(RedbHeader::read_at(file), Ok(Some(_)))
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
        let caller = RedbContext {
            step: context.step,
            scratch: context.scratch,
            program: context.program,
            events: context.events,
        };
        let snapshot = snapshot::take(path, name, snapshot, &caller)?;
        match &snapshot.active {
            Ok(active) if active.is_empty() => {}
            Ok(active) => {
                context.events.send(ExportEvent::DeploymentsActive {
                    deployments: active.describe(),
                });
            }
            Err(reason) => {
                context.events.send(ExportEvent::DeploymentsUnknown {
                    reason: reason.clone(),
                });
            }
        }
        Ok(snapshot.staged)
    }

    fn occupancy(&self, path: &Path, locking: Locking) -> Result<Occupancy> {
        let file = match open_regular(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Occupancy::Free {
                    lock: None,
                    deployments: Ok(Vec::new()),
                });
            }
            result => result?,
        };
        let mut held = None;
        let mut holders = lock::probe(path, &file)?;
        if holders.is_empty() && locking == Locking::Held {
            match DatabaseLock::acquire(&file, Against::Everybody)? {
                Ok(lock) => held = Some(lock),
                Err(found) => holders = found,
            }
        }
        if !holders.is_empty() {
            return Ok(Occupancy::Locked(holders));
        }
        Ok(Occupancy::Free {
            lock: held,
            deployments: deployments(file)?,
        })
    }

    /// Has redb judge it. The service repairs what it did not close.
    fn judge(
        &self,
        place: &Path,
        record: Option<&FileRecord>,
        _: &Advance<'_>,
    ) -> Result<DatabaseVerdict> {
        let file = File::open(place).with_context(|| format!("cannot open {}", place.display()))?;
        let judged = match RedbHeader::read_at(&file)? {
            None => Err(not_a_database()),
            Some(_) if record.is_some_and(FileRecord::is_proven_database) => {
                judge::peek_by_redb(file)
            }
            Some(_) => judge::examine(file),
        };
        Ok(verdict(judged.map(drop)))
    }

    fn judge_thoroughly(&self, place: &Path, _: &Advance<'_>) -> Result<DatabaseVerdict> {
        Ok(verdict(examine(place)))
    }

    fn holds_same(
        &self,
        target: &Path,
        place: &Path,
        _: Option<&FileRecord>,
        context: &SourceContext<'_>,
    ) -> Result<bool> {
        match RedbHeader::read(File::open(place)?)? {
            Some(header) => same::holds_commit(target, &header, context.step),
            None => Ok(false),
        }
    }

    fn holds_tables(
        &self,
        path: &Path,
        record: &FileRecord,
        head: &[u8],
        context: &SourceContext<'_>,
    ) -> Result<bool> {
        match tables(record, head) {
            Some(tables) => same::holds_tables(path, tables, context.step),
            None => Ok(false),
        }
    }

    fn lock_new(&self, path: &Path) -> Result<Option<DatabaseLock>> {
        match DatabaseLock::acquire(&File::open(path)?, Against::Writers)? {
            Ok(lock) => Ok(Some(lock)),
            Err(_) => bail!(
                "the new database {} is locked by another process",
                path.display()
            ),
        }
    }

    fn opens(&self, path: &Path, _: &Advance<'_>) -> Result<()> {
        judge::opens_in_place(path)
    }
}

/// Returns the deployments at work in the database in `file`, or the reason why that cannot be told.
fn deployments(file: File) -> Result<Result<Vec<String>, String>> {
    let found = match RedbHeader::read(&file)? {
        None => Err(not_a_database().to_string()),
        Some(_) => judge::peek(file)
            .map_err(|error| format!("{error:#}"))
            .and_then(|judgement| judgement.active),
    };
    Ok(found.map(|active| active.describe()))
}

/// Returns the root of an archived database's tables, as it was before redb compacted the copy if the manifest says
/// that, or else from the header in `head`. Returns `None` if neither can be read.
fn tables(record: &FileRecord, head: &[u8]) -> Option<Option<Root>> {
    let named = record
        .snapshot
        .as_ref()
        .and_then(|snapshot| snapshot.get("tables"));
    match named.and_then(serde_json::Value::as_str).map(str::parse) {
        Some(root) => Some(Some(root.ok()?)),
        None => Some(RedbHeader::parse(head)?.slot(SlotRole::Primary).user),
    }
}

fn examine(place: &Path) -> Result<()> {
    let file = File::open(place).with_context(|| format!("cannot open {}", place.display()))?;
    RedbHeader::read(&file)?.ok_or_else(not_a_database)?;
    judge::examine(File::open(place)?).map(drop)
}

fn verdict(judged: Result<()>) -> DatabaseVerdict {
    match judged {
        Ok(()) => DatabaseVerdict::Good(None),
        Err(error) => DatabaseVerdict::Damaged(format!("{error:#}")),
    }
}

fn not_a_database() -> anyhow::Error {
    anyhow::anyhow!("it is not a redb database")
}
