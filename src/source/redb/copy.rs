//! A copy of a database that nobody has open, taken under a lock that keeps every service from starting meanwhile.

use std::{
    fs::File,
    io::{self, Read, Seek as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{
    header::{Header, SUPPORTED_FORMAT},
    judge,
    lock::{Against, DatabaseLock},
};
use crate::{
    disk::{holder, space},
    error::{Failure, Kind},
    model::{
        digest::{Digest, Hashing},
        entry_name::EntryName,
        limits::BUFFER_BYTES,
        manifest::FileRecord,
    },
    source::files::{self, Content, Staged},
    state::Active,
};

/// A database that is ready for the archive, and what is going on in it.
pub struct Snapshot {
    /// The copy.
    pub staged: Staged,
    /// Running work in it; an error where that cannot be told.
    pub active: Result<Active, String>,
}

/// Copies the database at `path` into a file without a name in `scratch`, and proves the copy.
///
/// Fails with [`Kind::Snapshot`] where a process has the database open, or redb does not find the copy good. The
/// original is only read. `watch` sees every byte that is read from it.
pub fn locked_copy(
    path: &Path,
    name: EntryName,
    scratch: &Path,
    watch: impl FnOnce(File) -> Box<dyn Read>,
) -> Result<Snapshot> {
    let original = files::open(path, &name)?;
    let metadata = original.metadata()?;
    let reading = || format!("cannot read {}", path.display());
    let header = Header::read(&original).with_context(reading)?;
    let header = header.ok_or_else(|| not_a_database(path))?;
    if header.format != SUPPORTED_FORMAT {
        return Err(other_format(path, header.format).into());
    }
    let lock = DatabaseLock::acquire(&original, Against::Writers)
        .with_context(|| format!("cannot lock {}", path.display()))?
        .map_err(|holders| held(path, &holders))?;
    // Read again under the lock: a service may have closed it since.
    let mut original = original;
    original.rewind()?;
    let mut header = Header::read(&original)?.ok_or_else(|| not_a_database(path))?;
    original.rewind()?;
    space::require(scratch, metadata.len(), "a copy of the database")?;
    let mut copy = tempfile::tempfile_in(scratch)
        .with_context(|| format!("cannot make a temporary file in {}", scratch.display()))?;
    let (mut digest, mut size) = copy_hashed(watch(original), &mut copy)
        .with_context(|| format!("cannot copy {}", path.display()))?;
    drop(lock);
    if header.needs_repair {
        judge::repair(copy.try_clone()?).map_err(|error| damaged(path, &error))?;
        copy.rewind()?;
        // Where the last commit was not whole, redb went back to the one before.
        let repaired = Header::read(&copy)?.ok_or_else(|| not_a_database(path))?;
        header.transaction_id = repaired.transaction_id;
        copy.rewind()?;
        (digest, size) = Digest::of_reader(io::BufReader::with_capacity(BUFFER_BYTES, &copy))?;
    }
    let judgement = judge::examine(copy.try_clone()?).map_err(|error| damaged(path, &error))?;
    if judgement.repaired {
        return Err(damaged(
            path,
            &anyhow::anyhow!("redb had to repair it although it was closed"),
        )
        .into());
    }
    let mut record = FileRecord::new(name.clone(), digest, size);
    files::describe(&mut record, path, &metadata);
    record.kind = Some("redb".to_owned());
    record.snapshot = Some(description(&header, &judgement.active));
    Ok(Snapshot {
        staged: Staged {
            name,
            record,
            content: Content::File(copy),
        },
        active: judgement.active,
    })
}

fn copy_hashed(mut from: impl Read, to: &mut File) -> io::Result<(Digest, u64)> {
    let mut hashing = Hashing::new(to);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(hashing.finish()),
            Ok(count) => hashing.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn description(header: &Header, active: &Result<Active, String>) -> Value {
    json!({
        "method": "locked-copy",
        "format": header.format,
        "transaction_id": header.transaction_id,
        "rounds": 1,
        "check_integrity": true,
        "repaired": header.needs_repair,
        "active_deployments": active.as_ref().ok().map(Active::names),
    })
}

fn held(path: &Path, holders: &[holder::Holder]) -> Failure {
    let message = format!(
        "no consistent snapshot: {} is open in {}",
        path.display(),
        holder::describe(holders)
    );
    Failure::new(Kind::Snapshot, message)
        .hint("stop the service, export, and start it again; nothing was written")
}

fn not_a_database(path: &Path) -> Failure {
    Failure::new(Kind::Snapshot, format!("{} is not a redb database", path.display()))
        .hint("is data_dir the folder of the service's state? an empty or overwritten file cannot be exported; restore the last archive with `hookshot import --force`")
}

fn other_format(path: &Path, format: u8) -> Failure {
    let message = format!(
        "{} has redb's file format {format}, and only format {SUPPORTED_FORMAT} can be proven",
        path.display()
    );
    Failure::new(Kind::Snapshot, message)
        .hint("upgrade it once: stop the service and call Database::upgrade() of redb 2.6 on it")
}

fn damaged(path: &Path, error: &anyhow::Error) -> Failure {
    Failure::new(Kind::Snapshot, format!("{} is damaged: {error:#}", path.display()))
        .hint("no archive was written; look at the disk, and restore the last good archive with `hookshot import --force`")
}
