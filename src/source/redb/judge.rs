//! redb itself judges a copy: it is opened, every page is checked, and what it says of running work is read.

use std::{
    cell::Cell,
    fs::File,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, anyhow, bail};
use redb::{Builder, CompactionError, Database, ReadOnlyDatabase, ReadableDatabase as _};

use super::{overlay::Overlay, snapshot::Compaction};
use crate::{
    model::limits::REDB_CACHE_BYTES,
    state::{self, Active},
};

/// What redb found in a file that it could open.
#[derive(Debug)]
pub struct Judgement {
    /// Whether it had to be repaired: nobody had closed it.
    pub repaired: bool,
    /// What is going on in it; an error where that cannot be told.
    pub active: Result<Active, String>,
}

/// Opens the database in `file` without changing the file, checks every page, and reads what is active.
///
/// Repairs that redb makes stay in memory.
pub fn examine(file: File) -> Result<Judgement> {
    guarded(|| {
        let beside = file.try_clone()?;
        let (mut db, repaired) = open(file)?;
        let mut check = || {
            let is_clean = db.check_integrity().context("redb finds it damaged")?;
            if !is_clean && !db.check_integrity().context("redb finds it damaged")? {
                bail!("redb cannot repair it");
            }
            Ok(is_clean)
        };
        if repaired {
            check()?;
            let active = active(&db);
            return Ok(Judgement { repaired, active });
        }
        // Both read the whole file: one thread each.
        thread::scope(|scope| {
            let peeked = scope.spawn(|| peek(beside));
            let is_clean = check()?;
            let peeked = peeked.join().map_err(|_| anyhow!("cannot read it"))??;
            Ok(Judgement {
                repaired: !is_clean || peeked.repaired,
                active: peeked.active,
            })
        })
    })
}

/// Opens the database in `file` without changing the file, and reads what is active; pages that this does not touch
/// are not checked.
pub fn peek(file: File) -> Result<Judgement> {
    guarded(|| {
        let (db, repaired) = open(file)?;
        Ok(Judgement {
            repaired,
            active: active(&db),
        })
    })
}

/// Opens a database without changing its file; tells whether redb had to repair it for that, as it does with files that
/// nobody closed, or that redb 2 did.
fn open(file: File) -> Result<(Database, bool)> {
    let repaired = Arc::new(AtomicBool::new(false));
    let seen = repaired.clone();
    let db = builder()
        .set_repair_callback(move |_| seen.store(true, Ordering::Relaxed))
        .create_with_backend(Overlay::new(file)?)
        .context("redb cannot open it")?;
    Ok((db, repaired.load(Ordering::Relaxed)))
}

/// Repairs the database in `file`, in place: only ever for a copy of our own.
pub fn repair(file: File) -> Result<()> {
    guarded(|| {
        let mut db = builder().create_file(file).context("redb cannot open it")?;
        // What redb repairs here must be clean afterwards.
        if !db.check_integrity().context("redb finds it damaged")?
            && !db.check_integrity().context("redb finds it damaged")?
        {
            bail!("redb cannot repair it");
        }
        Ok(())
    })
}

/// Has redb close the copy in `file`: one that nobody has closed is verified as a whole first. Tells whether it was
/// compacted; one with persistent savepoints cannot be.
pub fn close(file: File, compaction: Compaction) -> Result<bool> {
    guarded(|| {
        let mut db = builder().create_file(file).context("redb cannot open it")?;
        match compaction {
            Compaction::Keep => Ok(false),
            Compaction::Compact => match db.compact() {
                Ok(_) => Ok(true),
                Err(CompactionError::PersistentSavepointExists) => Ok(false),
                Err(error) => Err(error).context("redb cannot compact it"),
            },
        }
    })
}

/// Opens the database at `path` read-only, as a reader beside it would, and lists its tables.
pub fn open_read_only(path: &Path) -> Result<()> {
    guarded(|| {
        let db = ReadOnlyDatabase::open(path).context("redb cannot open it")?;
        db.begin_read()?.list_tables()?.for_each(drop);
        Ok(())
    })
}

fn active(db: &Database) -> Result<Active, String> {
    let read = || state::active(&db.begin_read()?);
    read().map_err(|error| format!("{error:#}"))
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(REDB_CACHE_BYTES);
    builder
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs redb on bytes that nobody vouches for: where it panics, that is an error like any other.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
    GUARDED.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(false);
    result.unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned());
        Err(anyhow!("redb gave up on it: {}", text.unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _, Write as _};

    /// A database of some pages, as bytes; left open when `open`.
    fn bytes(open: bool) -> Vec<u8> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let db = Database::create(file.path()).expect("a database");
        for round in 0..20u32 {
            let tx = db.begin_write().expect("a transaction");
            let mut table = tx.open_table(state::DEPLOYMENTS).expect("a table");
            for number in 0..20 {
                let id = format!("d{round}-{number}");
                table
                    .insert(
                        id.as_str(),
                        r#"{"id":"x","service":"web","status":"succeeded"}"#,
                    )
                    .expect("a row");
            }
            drop(table);
            tx.commit().expect("committed");
        }
        if !open {
            drop(db);
        }
        let mut bytes = Vec::new();
        file.rewind().expect("a file");
        file.read_to_end(&mut bytes).expect("readable");
        bytes
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        file
    }

    fn content(file: &mut File) -> Vec<u8> {
        let mut bytes = Vec::new();
        file.rewind().expect("a file");
        file.read_to_end(&mut bytes).expect("readable");
        bytes
    }

    #[test]
    fn examining_never_changes_the_file_even_if_it_needs_repair() {
        for open in [false, true] {
            let bytes = bytes(open);
            let mut file = file(&bytes);
            let judgement = examine(file.try_clone().expect("a handle")).expect("a good database");
            assert!(judgement.active.expect("known").is_empty());
            assert!(content(&mut file) == bytes);
        }
    }

    #[test]
    fn a_repaired_file_is_closed_and_opens_read_only() {
        let bytes = bytes(true);
        let mut named = tempfile::NamedTempFile::new().expect("a file");
        named.write_all(&bytes).expect("written");
        open_read_only(named.path()).expect_err("nobody closed it");
        repair(named.reopen().expect("a file")).expect("repaired");
        open_read_only(named.path()).expect("closed");
    }

    #[test]
    fn damage_is_found_and_nothing_panics() {
        let good = bytes(false);
        let mut found = 0;
        for at in (0..good.len().min(64 << 10)).step_by(509) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            found += u32::from(
                examine(file(&bad)).is_err()
                    || examine(file(&bad)).is_ok_and(|judgement| judgement.repaired),
            );
        }
        assert!(found > 0);
        for length in [0, 1, 100, 4096, good.len() / 2] {
            let _ = examine(file(&good[..length]));
        }
    }
}
