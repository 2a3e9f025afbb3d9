//! The snapshot of a database: a copy of one commit, verified by redb, whatever processes hold the original.
//!
//! The copy is always made along the checksums ([`walk`](super::walk)): bytes that no commit needs stay out, and damage
//! is found. A plain copy of a live file is never taken. If no process has the database open, it is copied under a lock
//! that keeps every service from starting meanwhile ([`at_rest`]). If a service has it open, there are three ways:
//! while the service writes ([`live`]), from a clone that the file system makes in a moment ([`reflink`]), or while the
//! service stands still ([`pause`](super::pause)).
//!
//! The archive gets the copy as it was sealed, so that a database goes back to the version of redb that wrote it. The
//! data that this version writes when it closes a file is not readable by every version.

use std::{
    fs::{File, Metadata},
    io::{self, Seek as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{
    at_rest::{self, Rest},
    failure::{damaged, gave_up, held, not_a_database, other_format},
    header::{RedbHeader, SUPPORTED_FORMAT, Seal},
    judge,
    live::{self, RoundsEnd, unfit},
    lock::{self, Against, DatabaseLock},
    options::{RedbContext, SnapshotOptions},
    pages::Root,
    reflink,
    walk::{Missed, Scope, Walk, Walked},
};
use crate::work::{
    events::{Events, ExportEvent},
    space,
};
use crate::{
    error::{Failure, Kind},
    model::{
        digest::Digest, entry_name::EntryName, limits::BUFFER_BYTES, manifest::FileRecord,
        method::Method,
    },
    source::{
        files,
        staged::{Staged, StagedContent},
    },
    state::Active,
};

/// The number of attempts on a file that is replaced during the walk, and on a clone.
const ATTEMPTS: usize = 3;

/// A database that is ready for the archive, and the running work in it.
pub struct Snapshot {
    /// The copy.
    pub staged: Staged,
    /// The running work in it, or an error if that cannot be read.
    pub active: Result<Active, String>,
}

/// One commit in a file of our own.
struct Copied {
    copy: File,
    /// The original.
    metadata: Metadata,
    seal: Seal,
    /// The root of its tables.
    tables: Option<Root>,
    walked: Walked,
    method: &'static str,
    writer_pid: Option<u32>,
    rolled_back_from: Option<u64>,
    paused: Option<Duration>,
    /// True if it shows one moment of a service that was running.
    is_momentary: bool,
    /// The time at which the walk began.
    begun: Instant,
    took: Duration,
}

/// Copies the database at `path` into a file without a name, and verifies the copy.
///
/// Fails with [`Kind::Snapshot`] if that is not possible, or redb does not find the copy good. The original is only
/// read.
pub fn take(
    path: &Path,
    name: &EntryName,
    wish: SnapshotOptions,
    caller: &RedbContext<'_>,
) -> Result<Snapshot> {
    for _ in 0..ATTEMPTS {
        let original = Original::open(path, name)?;
        let copied = copy(&original, wish, caller);
        // The file that has the name now must be the one that was copied.
        if original.is_in_place() {
            return proven(path, name, copied?, wish, caller.events);
        }
    }
    let message = format!(
        "{} is replaced again and again while it is read",
        path.display()
    );
    Err(Failure::new(Kind::Snapshot, message)
        .hint("stop the process that replaces it, and export again")
        .into())
}

/// The database that is copied.
struct Original<'a> {
    path: &'a Path,
    file: File,
    metadata: Metadata,
}

impl Original<'_> {
    fn open<'a>(path: &'a Path, name: &EntryName) -> Result<Original<'a>> {
        let file = files::open(path, name)?;
        let metadata = file.metadata()?;
        Ok(Original {
            path,
            file,
            metadata,
        })
    }

    /// Returns true if its name still leads to it.
    fn is_in_place(&self) -> bool {
        let place = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        self.path
            .metadata()
            .is_ok_and(|now| place(&now) == place(&self.metadata))
    }
}

fn copy(
    original: &Original<'_>,
    wish: SnapshotOptions,
    caller: &RedbContext<'_>,
) -> Result<Copied> {
    let (path, file) = (original.path, &original.file);
    let header =
        RedbHeader::read(file).with_context(|| format!("cannot read {}", path.display()))?;
    let header = header.ok_or_else(|| not_a_database(path))?;
    if header.format != SUPPORTED_FORMAT {
        return Err(other_format(path, header.format).into());
    }
    require_room(original, caller)?;
    let holders = match wish.method {
        Method::Walk | Method::Reflink => lock::probe_writers(path, file)?,
        Method::Auto | Method::Locked | Method::Pause => {
            let lock = DatabaseLock::acquire(file, Against::Writers)
                .with_context(|| format!("cannot lock {}", path.display()))?;
            match lock {
                Ok(lock) => return resting(original, file, "locked-copy", None, lock, caller),
                Err(holders) if wish.method == Method::Locked => {
                    return Err(held(path, &holders).into());
                }
                Err(holders) => holders,
            }
        }
    };
    let writer = holders.iter().find_map(|holder| holder.pid);
    if wish.method == Method::Reflink {
        return cloned(original, writer, caller)?.map_err(|reason| {
            let message = format!("no consistent snapshot of {}: {reason}", path.display());
            Failure::new(Kind::Snapshot, message).hint(
                "clones need btrfs, xfs or another file system that shares blocks, and a folder that we may write in; \
                leave out --snapshot reflink",
            ).into()
        });
    }
    match written(original, wish, writer, caller)? {
        Ok(copied) => Ok(copied),
        Err((walked, missed)) => {
            let clone = match wish.method {
                Method::Auto => cloned(original, writer, caller)?.ok(),
                _ => None,
            };
            Ok(clone.ok_or_else(|| gave_up(path, &walked, &missed, wish.timeout, &holders))?)
        }
    }
}

/// Fails with [`Kind::Space`] if the copy does not fit. The copy holds the live pages and nothing between them. They
/// are only counted if the whole file does not fit.
fn require_room(original: &Original<'_>, caller: &RedbContext<'_>) -> Result<()> {
    let what = "a copy of the database";
    let whole = space::require(caller.scratch, original.metadata.len(), what);
    if whole.is_ok() {
        return Ok(());
    }
    let mut walk = Walk::over(&original.file, Scope::Everything, caller.step);
    let live_bytes = walk
        .measure()
        .with_context(|| format!("cannot read {}", original.path.display()))?;
    space::require(caller.scratch, live_bytes, what)
}

/// Copies a file that no process writes: the original under a lock, or a clone.
fn resting<T>(
    original: &Original<'_>,
    source: &File,
    method: &'static str,
    writer_pid: Option<u32>,
    standstill: T,
    caller: &RedbContext<'_>,
) -> Result<Copied> {
    let begun = Instant::now();
    let path = original.path;
    let copy = temporary(caller.scratch)?;
    let mut walk = Walk::new(source, &copy, Scope::Everything, caller.step);
    let rest = at_rest::settle(&mut walk, standstill, |_| true)
        .with_context(|| format!("cannot copy {}", path.display()))?;
    let rolled_back_from = match rest {
        Rest::Whole { rolled_back_from } => rolled_back_from,
        Rest::Damaged(damage) => return Err(damage.failure(&path.display().to_string()).into()),
        Rest::Disturbed => {
            return Err(unfit(path, "a process writes to it without the locks of redb").into());
        }
        Rest::Unfit(reason) => return Err(unfit(path, &reason).into()),
    };
    let (seal, tables) = (seal(&walk), walk.tables());
    let walked = walk.finish(seal)?;
    Ok(Copied {
        copy,
        metadata: original.metadata.clone(),
        seal,
        tables,
        walked,
        method,
        writer_pid,
        rolled_back_from,
        paused: None,
        is_momentary: method == "reflink",
        begun,
        took: begun.elapsed(),
    })
}

/// Copies while a service writes, or returns the pages that the last round missed.
fn written(
    original: &Original<'_>,
    wish: SnapshotOptions,
    writer_pid: Option<u32>,
    caller: &RedbContext<'_>,
) -> Result<Result<Copied, (Walked, Missed)>> {
    let begun = Instant::now();
    let pause = match (wish.method, caller.program) {
        (Method::Pause, None) => {
            let message = "a service is paused by the program hookshot alone";
            return Err(Failure::new(Kind::Usage, message).into());
        }
        (Method::Pause, program) => program,
        _ => None,
    };
    let copy = temporary(caller.scratch)?;
    let mut walk = Walk::new(&original.file, &copy, Scope::Everything, caller.step);
    let ended = live::rounds(&mut walk, original.path, wish.timeout, pause, caller.events)?;
    let (rolled_back_from, paused) = match ended {
        RoundsEnd::Copied {
            rolled_back_from,
            paused,
        } => (rolled_back_from, paused),
        RoundsEnd::GaveUp(missed) => return Ok(Err((walk.walked(), missed))),
    };
    let (seal, tables) = (seal(&walk), walk.tables());
    let walked = walk.finish(seal)?;
    Ok(Ok(Copied {
        copy,
        metadata: original.metadata.clone(),
        seal,
        tables,
        walked,
        method: if paused.is_some() {
            "paused"
        } else {
            "merkle-walk"
        },
        writer_pid,
        rolled_back_from,
        paused,
        is_momentary: paused.is_some(),
        begun,
        took: begun.elapsed(),
    }))
}

/// Copies a clone, or returns the reason why the file cannot be cloned.
fn cloned(
    original: &Original<'_>,
    writer_pid: Option<u32>,
    caller: &RedbContext<'_>,
) -> Result<Result<Copied, String>> {
    let mut attempt = 1;
    loop {
        let clone = match reflink::clone_beside(original.path, &original.file) {
            Ok(clone) => clone,
            Err(reason) => return Ok(Err(reason)),
        };
        match resting(original, &clone, "reflink", writer_pid, (), caller) {
            Ok(copied) => return Ok(Ok(copied)),
            // A clone may catch a commit whose first pages were written over those of an older one.
            Err(error) if attempt == ATTEMPTS || Failure::of(&error).kind != Kind::Snapshot => {
                return Err(error);
            }
            Err(_) => attempt += 1,
        }
    }
}

/// Returns the seal of the copy: the copy of a closed file counts as closed.
fn seal(walk: &Walk<'_>) -> Seal {
    match walk.header() {
        Some(header) if !header.needs_repair => Seal::Closed,
        _ => Seal::Verify,
    }
}

fn temporary(scratch: &Path) -> Result<File> {
    tempfile::tempfile_in(scratch)
        .with_context(|| format!("cannot make a temporary file in {}", scratch.display()))
}

/// Has redb open the copy and check every page of it: a copy that redb does not find good is refused. redb writes to
/// the copy only to compact it.
fn proven(
    path: &Path,
    name: &EntryName,
    copied: Copied,
    wish: SnapshotOptions,
    events: &Events,
) -> Result<Snapshot> {
    let damaged = |error: anyhow::Error| damaged(path, error);
    // A clone, or a service that stands still, may be in the middle of a commit: that is not a crash.
    if let Some(from) = copied.rolled_back_from
        && !copied.is_momentary
    {
        events.send(ExportEvent::CommitCutShort {
            transaction: from,
            instead: copied.walked.transaction_id,
        });
    }
    let compacted = wish.compacts()
        && judge::fits_redb(&copied.walked)
        && judge::compact(copied.copy.try_clone()?).map_err(damaged)?;
    let judged = copied.copy.try_clone()?;
    let (digest, judgement) = thread::scope(|scope| {
        let digest = scope.spawn(|| digest(&copied.copy));
        let needs_repair = copied.seal == Seal::Verify;
        let judgement = judge::examine_walked(judged, &copied.walked, needs_repair);
        (digest.join(), judgement)
    });
    let (digest, size) = digest.map_err(|_| anyhow::anyhow!("cannot read the copy"))??;
    let judgement = judgement.map_err(damaged)?;
    if judgement.repaired && compacted {
        let error = anyhow::anyhow!("redb had to repair it although it was closed");
        return Err(damaged(error));
    }
    let walked = &copied.walked;
    let mut description = json!({
        "method": copied.method,
        "format": SUPPORTED_FORMAT,
        "transaction_id": walked.transaction_id,
        "rounds": walked.rounds,
        "live_pages": walked.live_pages,
        "live_bytes": walked.live_bytes,
        "bytes_read": walked.bytes_read,
        "mismatches": walked.mismatches,
        "largest_page_bytes": walked.largest_page,
        "repaired": judgement.repaired,
        "compacted": compacted,
        "walk_seconds": seconds(copied.took),
        "seconds": seconds(copied.begun.elapsed()),
        "check_integrity": judgement.by_redb,
        "active_deployments": judgement.active.as_ref().ok().map(Active::names),
    });
    let mut also = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            description[key] = value;
        }
    };
    also("tables", compacted.then(|| tables(&copied)).flatten());
    also("writer_pid", copied.writer_pid.map(Value::from));
    also("rolled_back_from", copied.rolled_back_from.map(Value::from));
    also("paused_seconds", copied.paused.map(seconds));
    let mut record = FileRecord::new(name.clone(), digest, size);
    files::describe(&mut record, path, &copied.metadata)?;
    record.kind = Some("redb".into());
    record.snapshot = Some(description);
    let staged = Staged {
        name: name.clone(),
        record,
        content: StagedContent::File(copied.copy),
    };
    Ok(Snapshot {
        staged,
        active: judgement.active,
    })
}

/// Returns the bytes of the largest page of a database that was archived without redb's verdict, because of that page.
pub fn without_redb(record: &FileRecord) -> Option<u64> {
    let snapshot = record.snapshot.as_ref()?;
    let is_checked = snapshot.get("check_integrity")?.as_bool()?;
    snapshot
        .get("largest_page_bytes")?
        .as_u64()
        .filter(|_| !is_checked)
}

/// Returns the root of the tables as it was before redb compacted the copy: the original still has it.
fn tables(copied: &Copied) -> Option<Value> {
    copied.tables.map(|root| Value::from(root.to_string()))
}

fn digest(mut copy: &File) -> io::Result<(Digest, u64)> {
    copy.rewind()?;
    Digest::of_reader(io::BufReader::with_capacity(BUFFER_BYTES, copy))
}

/// Converts a duration to seconds with whole milliseconds, which every JSON reader reads back unchanged.
fn seconds(duration: Duration) -> Value {
    (duration.as_millis() as f64 / 1000.0).into()
}
