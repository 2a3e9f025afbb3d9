//! Verification of a database: redb opens it and checks every page, and its tables of running work are read.
//!
//! redb never writes to the file it verifies: its repairs stay in memory. A database whose largest page would take too
//! much memory is verified by the walk along its checksums instead, which reads it part by part.

use std::{
    fs::File,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, anyhow, bail};
use redb::{Builder, CompactionError, Database, ReadableDatabase as _, backends::FileBackend};

use super::{
    at_rest::{self, Rest},
    header::RedbHeader,
    overlay::Overlay,
    walk::{self, Scope, Sketch, Walk, Walked},
};
use crate::{
    disk::open_regular,
    model::limits::{MAX_REDB_PAGE_BYTES, REDB_CACHE_BYTES},
    state::{self, Active},
    work::panics::caught,
};

/// The verdict on a good database.
#[derive(Debug)]
pub struct Judgement {
    /// True if redb has to repair it when it is opened: it was not closed, or another version of redb did.
    pub repaired: bool,
    /// The running work in it, or an error if that cannot be read.
    pub active: Result<Active, String>,
    /// True if redb gave the verdict. If not, a page is too large for redb, and the walk gave it.
    pub by_redb: bool,
}

/// Returns true if redb can read the pages of a walked database without taking much memory.
pub fn fits_redb(walked: &Walked) -> bool {
    walked.largest_page <= MAX_REDB_PAGE_BYTES
}

/// Checks every page of the database in `file` without changing the file, and reads what is active.
pub fn examine(file: File) -> Result<Judgement> {
    let Some((header, _)) = too_large(&file)? else {
        return examine_by_redb(file);
    };
    let go_on = |_| Ok(());
    let mut walk = Walk::over(&file, Scope::Everything, &go_on);
    let rest = at_rest::settle(&mut walk, (), |()| true)?;
    let walked = walk.walked();
    match rest {
        Rest::Whole { .. } => Ok(without_redb(&walked.sketch(), header.needs_repair)),
        Rest::Damaged(damage) => bail!("{}", damage.failure("it").message),
        Rest::Disturbed => bail!("it changes while it is read"),
        Rest::Unfit(reason) => bail!("{reason}"),
    }
}

/// Does the same for a copy that was just walked, which `walked` describes. `needs_repair`: true if it was not closed.
pub fn examine_walked(file: File, walked: &Walked, needs_repair: bool) -> Result<Judgement> {
    if fits_redb(walked) {
        examine_by_redb(file)
    } else {
        Ok(without_redb(&walked.sketch(), needs_repair))
    }
}

fn examine_by_redb(file: File) -> Result<Judgement> {
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
            return Ok(Judgement {
                repaired,
                active,
                by_redb: true,
            });
        }
        // Both read the whole file: one thread each.
        thread::scope(|scope| {
            let peeked = scope.spawn(|| peek_by_redb(beside));
            let is_clean = check()?;
            let peeked = peeked.join().map_err(|_| anyhow!("cannot read it"))??;
            Ok(Judgement {
                repaired: !is_clean || peeked.repaired,
                ..peeked
            })
        })
    })
}

/// Opens the database in `file` without changing the file, and reads what is active. Pages that this does not read are
/// not checked.
pub fn peek(file: File) -> Result<Judgement> {
    match too_large(&file)? {
        Some((header, sketch)) => Ok(without_redb(&sketch, header.needs_repair)),
        None => peek_by_redb(file),
    }
}

/// Does the same for a database whose pages are known to be small enough.
pub fn peek_by_redb(file: File) -> Result<Judgement> {
    guarded(|| {
        let (db, repaired) = open(file)?;
        Ok(Judgement {
            repaired,
            active: active(&db),
            by_redb: true,
        })
    })
}

/// Returns the header and the sketch of a database that has a page too large for redb, else `None`.
fn too_large(file: &File) -> Result<Option<(RedbHeader, Sketch)>> {
    if file.metadata()?.len() <= MAX_REDB_PAGE_BYTES {
        return Ok(None);
    }
    let Some(header) = RedbHeader::read_at(file)? else {
        return Ok(None);
    };
    let sketch = walk::sketch(file, &header)?;
    Ok((sketch.largest_page > MAX_REDB_PAGE_BYTES).then_some((header, sketch)))
}

fn without_redb(sketch: &Sketch, repaired: bool) -> Judgement {
    let active = if sketch.may_be_at_work {
        let bytes = sketch.largest_page;
        Err(format!(
            "it has a page of {bytes} bytes, more than is read at once"
        ))
    } else {
        Ok(Active::default())
    };
    Judgement {
        repaired,
        active,
        by_redb: false,
    }
}

/// Opens a database without changing its file. Returns true beside it if redb had to repair it, as it does with files
/// that were not closed or that redb 2 closed.
fn open(file: File) -> Result<(Database, bool)> {
    let repaired = Arc::new(AtomicBool::new(false));
    let seen = repaired.clone();
    let db = builder()
        .set_repair_callback(move |_| seen.store(true, Ordering::Relaxed))
        .create_with_backend(Overlay::new(file)?)
        .context("redb cannot open it")?;
    Ok((db, repaired.load(Ordering::Relaxed)))
}

/// Has redb close the copy in `file`, which it verifies as a whole first if it was not closed.
pub fn close(file: File) -> Result<()> {
    guarded(|| open_to_write(file).map(drop))
}

/// Has redb make the copy in `file` as small as it can, and close it. Returns false, and writes nothing, if it has
/// persistent savepoints.
pub fn compact(file: File) -> Result<bool> {
    guarded(|| {
        let (db, _) = open(file.try_clone()?)?;
        let transaction = db.begin_write()?;
        let has_savepoints = transaction.list_persistent_savepoints()?.next().is_some();
        transaction.abort()?;
        drop(db);
        if has_savepoints {
            return Ok(false);
        }
        match open_to_write(file)?.compact() {
            Ok(_) => Ok(true),
            Err(CompactionError::PersistentSavepointExists) => Ok(false),
            Err(error) => Err(error).context("redb cannot compact it"),
        }
    })
}

fn open_to_write(file: File) -> Result<Database> {
    let backend = FileBackend::new(file).context("redb cannot open it")?;
    builder()
        .create_with_backend(backend)
        .context("redb cannot open it")
}

/// Makes sure that a database that was verified before opens in its current file. One that was not closed is not
/// opened: redb would check every page again.
pub fn opens_in_place(path: &Path) -> Result<()> {
    let file = open_regular(path)?;
    match RedbHeader::read_at(&file)? {
        None => bail!("it is not a redb database"),
        Some(header) if header.needs_repair => Ok(()),
        Some(_) => peek(file).map(drop),
    }
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

/// Runs redb on unverified bytes. A panic becomes an ordinary error.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(work).unwrap_or_else(|caught| Err(anyhow!("redb gave up on it: {}", caught.text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _, Write as _};

    /// Returns a database of some pages, as bytes; left open if `open`.
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
            assert_eq!((judgement.repaired, judgement.by_redb), (open, true));
            assert!(judgement.active.expect("known").is_empty());
            assert!(content(&mut file) == bytes);
        }
    }

    #[test]
    fn a_file_that_nobody_closed_is_closed_where_that_is_asked() {
        let bytes = bytes(true);
        let mut named = tempfile::NamedTempFile::new().expect("a file");
        named.write_all(&bytes).expect("written");
        assert!(redb::ReadOnlyDatabase::open(named.path()).is_err());
        opens_in_place(named.path()).expect("it needs a repair and no more");
        close(named.reopen().expect("a file")).expect("closed");
        redb::ReadOnlyDatabase::open(named.path()).expect("closed");
    }

    #[test]
    fn pages_that_are_too_large_for_redb_are_checked_without_it() {
        const BLOBS: redb::TableDefinition<u64, &[u8]> = redb::TableDefinition::new("blobs");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("db");
        let db = Database::create(&path).expect("a database");
        let value: Vec<u8> = (0..9u32 << 20).map(|number| (number / 7) as u8).collect();
        let tx = db.begin_write().expect("a transaction");
        tx.open_table(BLOBS)
            .expect("a table")
            .insert(1, value.as_slice())
            .expect("a row");
        tx.commit().expect("committed");
        let judged = || examine(open_regular(&path).expect("a file"));
        let open = judged().expect("a good database");
        assert_eq!((open.by_redb, open.repaired), (false, true));
        drop(db);
        let closed = judged().expect("a good database");
        assert_eq!((closed.by_redb, closed.repaired), (false, false));
        assert!(closed.active.expect("no such tables").is_empty());
        let mut bytes = std::fs::read(&path).expect("readable");
        // The only page of its size is the second one that a region has room for.
        bytes[20 << 20] ^= 1;
        let error = examine(file(&bytes)).expect_err("damaged").to_string();
        assert!(error.contains("does not match its checksum"), "{error}");
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
