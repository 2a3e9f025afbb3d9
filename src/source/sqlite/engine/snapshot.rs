//! The snapshot of a database: one committed point of it in a file of its own, verified by SQLite.
//!
//! `VACUUM INTO` writes it: deleted data stays out, rowids stay as they are. In two cases the pages are copied
//! unchanged instead, within one read transaction. SQLite may be unable to rebuild the database without the service,
//! because only that has a collation or a function. Or SQLite would rebuild it in another order, because the service
//! replaced `NOCASE`, for example. Then SQLite checks the copy. If it was rebuilt, SQLite also checks the original,
//! because a damaged page can be rebuilt into a good one that lacks rows.
//!
//! A copy of the form [`CopyForm::PageExact`] is always one of pages, of which each lies where it lies in the original.
//! It clears the space that no row uses (`unused`), so deleted data stays out of it. Two copies differ in the pages that
//! the service changed between them.
//!
//! The copy is closed: it needs no log and no journal. It has the journal mode of the original, WAL or rollback, which
//! `VACUUM INTO` does not keep. Its loss would stay unnoticed until the restored service is slower, or reads while it
//! writes.
//!
//! Not promised: transactions over several attached databases (each snapshot is of its own moment), and commits that a
//! crash of the machine would lose (`PRAGMA synchronous`).

use std::{
    fs::File,
    io::{self, Seek as _},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};
use serde_json::{Value, json};
use tracing::info;

use super::{
    SqliteContext, companions,
    connection::{self, ConnectionMode},
    examine::examine,
    failure::{damaged, explained, is_about_content, said},
    foreign::is_reordered,
    header::{JournalMode, SqliteHeader},
    judge,
    reading::{self, OriginalDatabase},
    unused,
    verdict::{CheckDepth, CheckExtent},
};
use crate::{
    disk::{
        exists, remove_file,
        staging::{self, SNAPSHOT, Staging},
    },
    model::{
        copy_form::CopyForm, digest::Digest, entry_name::EntryName, limits::BUFFER_BYTES,
        manifest::FileRecord,
    },
    source::{
        files,
        staged::{Staged, StagedContent},
    },
    work::space,
};

/// The number of pages that are copied between two checks for a stop.
const PIECE_PAGES: i32 = 256;

/// The method by which the copy was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// SQLite rebuilt the database.
    VacuumInto,
    /// Its pages were copied, because SQLite cannot rebuild it.
    Backup,
    /// Its pages were copied, and what no row needs was cleared.
    PageExact,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::VacuumInto => "vacuum_into",
            Method::Backup => "backup",
            Method::PageExact => PAGE_EXACT,
        }
    }

    /// Returns true if the copy gets counters that depend on its rows and pages alone.
    fn settles_counters(self) -> bool {
        self != Method::Backup
    }
}

/// The name of page-exact copies in a manifest.
const PAGE_EXACT: &str = "page_exact";

/// Returns the form of the copy of which a manifest has this record.
fn form_of(record: &FileRecord) -> CopyForm {
    let method = record
        .snapshot
        .as_ref()
        .and_then(|snapshot| snapshot.get("method"));
    match method.and_then(Value::as_str) {
        Some(PAGE_EXACT) => CopyForm::PageExact,
        _ => CopyForm::Compact,
    }
}

/// Takes a snapshot of the database at `path`; a link is followed.
///
/// Fails with [`NotFound`](crate::error::Kind::NotFound) if there is none, and with
/// [`Snapshot`](crate::error::Kind::Snapshot) if it is damaged, is not a database, or stays locked. The original and
/// its companions stay as they are, in every case.
pub fn take(
    path: &Path,
    name: &EntryName,
    form: CopyForm,
    caller: &SqliteContext<'_>,
) -> Result<Staged> {
    staging::sweep(caller.scratch);
    let begun = Instant::now();
    let folder = Staging::scratch(caller.scratch, SNAPSHOT)?;
    // Private from its first byte: SQLite writes into an empty file that is there.
    let target = EntryName::new("snapshot.db").expect("a plain name is an entry's name");
    let copy = folder.file(&target)?;
    let place = folder.place(&target);
    let open = || files::open(path, name);
    let work = |connection: &mut Connection, stopping: &AtomicBool| {
        let size = copy_size(connection)?;
        space::require(folder.path(), size, "a copy of the database")?;
        let method = match form {
            CopyForm::PageExact => Method::PageExact,
            CopyForm::Compact if is_reordered(connection, size)? => Method::Backup,
            CopyForm::Compact => Method::VacuumInto,
        };
        let method = copy_into(connection, &copy, &place, method, stopping)?;
        if method == Method::VacuumInto {
            // Other processes wait meanwhile, or their log grows, so the longer check is left to the copy, which has
            // the same indexes.
            examine(connection, CheckDepth::Quick)?.good(path)?;
        }
        Ok((method, number(connection, "schema_version")?))
    };
    let ((method, schema), origin) = reading::one_state(path, &open, caller, Some(&place), &work)?;
    let facts = settle(&place, origin.mode).map_err(|error| explained(error, path))?;
    if method.settles_counters() {
        settle_counters(&copy, schema).context("cannot write the copy")?;
    }
    if method == Method::PageExact {
        unused::clear(&copy, &place, caller.step)
            .and_then(|cleared| cleared.map_err(|finding| damaged(path, &finding).into()))
            .map_err(|error| explained(error, path))?;
    }
    let (checked, digest, size) = thread::scope(|scope| -> Result<_> {
        let digest = scope.spawn(|| digest(&copy));
        let check = CheckDepth::of_size(copy.metadata().context("cannot read the copy")?.len());
        let checked = judge::verdict(&place, check, caller.step)?.good(path)?;
        let digest = digest.join().map_err(|_| anyhow!("cannot read the copy"))?;
        let (digest, size) = digest.context("cannot read the copy")?;
        Ok((checked, digest, size))
    })?;
    let mut record = FileRecord::new(name.clone(), digest, size);
    files::describe(&mut record, path, &origin.metadata)?;
    record.kind = Some("sqlite".into());
    record.snapshot = Some(description(
        method,
        &checked,
        &origin,
        &facts,
        begun.elapsed(),
    )?);
    Ok(Staged {
        name: name.clone(),
        record,
        // The folder goes, and with it the name; the file stays as long as it is open.
        content: StagedContent::File(copy),
    })
}

/// Returns true if a snapshot of the database at `path` would be the one of which an archive has this record: it holds
/// the same rows in the same order, whatever free pages it has. Returns false if it has a log or a journal beside it,
/// or cannot be copied.
pub fn would_be(path: &Path, record: &FileRecord, caller: &SqliteContext<'_>) -> Result<bool> {
    let has_companions = companions(path).iter().any(|companion| exists(companion));
    Ok(!has_companions && holds(path, record, caller)?)
}

/// Does the same for a database whose log or journal counts: its content is part of the snapshot.
pub fn holds(path: &Path, record: &FileRecord, caller: &SqliteContext<'_>) -> Result<bool> {
    if !exists(path) {
        return Ok(false);
    }
    let name = EntryName::new("compared.db").expect("a plain name is an entry's name");
    match take(path, &name, form_of(record), caller) {
        Ok(staged) => Ok(staged.record.checksum == record.checksum),
        Err(error) => {
            (caller.step)(0)?;
            info!(
                "{} cannot be compared row by row: {error:#}",
                path.display()
            );
            Ok(false)
        }
    }
}

/// The offsets in the header of the change counter of the file, and of its repetition (SQLite's file format, 1.3).
const CHANGE_COUNTERS: [u64; 2] = [24, 92];
/// The offset in the header of the change counter of the schema.
const SCHEMA_COOKIE: u64 = 40;

/// Gives a copy counters that do not depend on the number of copies: a copy of a copy is the same file.
fn settle_counters(copy: &File, schema: i64) -> Result<()> {
    for at in CHANGE_COUNTERS {
        copy.write_all_at(&1_u32.to_be_bytes(), at)?;
    }
    let schema = u32::try_from(schema).unwrap_or(1);
    Ok(copy.write_all_at(&schema.to_be_bytes(), SCHEMA_COOKIE)?)
}

/// The copy's description of itself.
struct Facts {
    page_size: i64,
    pages: i64,
    user_version: i64,
    application_id: i64,
}

/// Returns the bytes of the state that `connection` sees.
fn copy_size(connection: &Connection) -> Result<u64> {
    let pages = number(connection, "page_count")?;
    let size = number(connection, "page_size")?;
    Ok(u64::try_from(pages.saturating_mul(size))?)
}

/// Writes the state that `connection` sees into `copy`, which lies at `place`: by `method`, or page by page if SQLite
/// cannot rebuild it.
fn copy_into(
    connection: &Connection,
    copy: &File,
    place: &Path,
    method: Method,
    stopping: &AtomicBool,
) -> Result<Method> {
    // An earlier attempt may have left data.
    clear(copy, place)?;
    if method == Method::VacuumInto {
        match connection.execute("VACUUM INTO ?1", [connection::uri(place)]) {
            Ok(_) => return Ok(Method::VacuumInto),
            Err(error) if is_about_content(&error) => {
                let reason = said(&error);
                info!(
                    reason,
                    "SQLite cannot rebuild the database here: its pages are copied as they are"
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
    clear(copy, place)?;
    // One read transaction around all pieces: they are of one state.
    connection.execute_batch("BEGIN")?;
    number(connection, "schema_version")?;
    let mut target = connection::open(place, ConnectionMode::Own)?;
    let backup = Backup::new(connection, &mut target)?;
    loop {
        match backup.step(PIECE_PAGES)? {
            StepResult::Done => break,
            StepResult::More if !stopping.load(Ordering::Relaxed) => {}
            StepResult::More => bail!("it was to stop"),
            _ => bail!("the copy is locked"),
        }
    }
    drop(backup);
    target.close().map_err(|(_, error)| error)?;
    connection.execute_batch("ROLLBACK")?;
    Ok(match method {
        Method::PageExact => Method::PageExact,
        Method::VacuumInto | Method::Backup => Method::Backup,
    })
}

fn clear(copy: &File, place: &Path) -> Result<()> {
    copy.set_len(0).context("cannot clear the copy")?;
    for companion in companions(place) {
        remove_file(&companion).context("cannot clear the copy")?;
    }
    Ok(())
}

/// Gives the copy the journal mode of the original, and has SQLite close it.
fn settle(place: &Path, mode: JournalMode) -> Result<Facts> {
    let connection = connection::open(place, ConnectionMode::Own)?;
    let set = format!("PRAGMA journal_mode = {}", mode.name());
    let now: String = connection.query_row(&set, [], |row| row.get(0))?;
    let facts = Facts {
        page_size: number(&connection, "page_size")?,
        pages: number(&connection, "page_count")?,
        user_version: number(&connection, "user_version")?,
        application_id: number(&connection, "application_id")?,
    };
    connection.close().map_err(|(_, error)| error)?;
    let file = File::open(place).context("cannot read the copy")?;
    let is_set =
        SqliteHeader::read(&file).context("cannot read the copy")? == SqliteHeader::Database(mode);
    let is_closed = !companions(place).iter().any(|companion| exists(companion));
    if now != mode.name() || !is_set || !is_closed {
        bail!(
            "the copy could not be closed in journal mode {}",
            mode.name()
        );
    }
    Ok(facts)
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
}

fn digest(mut copy: &File) -> io::Result<(Digest, u64)> {
    copy.rewind()?;
    Digest::of_reader(io::BufReader::with_capacity(BUFFER_BYTES, copy))
}

fn description(
    method: Method,
    checked: &CheckExtent,
    origin: &OriginalDatabase,
    facts: &Facts,
    took: Duration,
) -> Result<Value> {
    let mut value = json!({
        "method": method.name(),
        "quick_check": true,
        "journal_mode": origin.mode.name(),
        "recovered": origin.recovered,
        "page_size": facts.page_size,
        "pages": facts.pages,
        "user_version": facts.user_version,
        "application_id": facts.application_id,
        // Whole milliseconds, which every JSON reader reads back as they were written.
        "seconds": took.as_millis() as f64 / 1000.0,
    });
    if let (Some(map), Value::Object(more)) =
        (value.as_object_mut(), serde_json::to_value(checked)?)
    {
        map.extend(more);
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
