//! The snapshot of a database: a copy of one commit, proven by redb, however the original is held.
//!
//! Nobody has it open: it is copied under a lock that keeps every service from starting meanwhile. A service has it
//! open: it is copied along its checksums ([`walk`]). A plain copy of a live file is never taken.

use std::{
    fs::File,
    io::{self, Read, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{
    header::{Header, SUPPORTED_FORMAT},
    judge,
    lock::{self, Against, DatabaseLock},
    walk::{self, Budget, Gave, Walked},
};
use crate::{
    disk::{
        holder::{self, Holder},
        space,
    },
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

/// How a snapshot is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Under a lock where nobody has the database open, else along its checksums.
    Auto,
    /// Under a lock, or not at all.
    Locked,
    /// Along its checksums.
    Walk,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// How.
    pub method: Method,
    /// How long a walk may take; at least five rounds are made.
    pub timeout: Duration,
}

/// Rounds that a walk makes whatever they take.
const LEAST_ROUNDS: u64 = 5;
/// Rounds after which a walk waits a little between them: two that run in step never meet otherwise.
const PATIENT_ROUNDS: u64 = 10;
/// How often a file that is replaced while it is walked is begun anew.
const ATTEMPTS: usize = 3;

/// A database that is ready for the archive, and what is going on in it.
pub struct Snapshot {
    /// The copy.
    pub staged: Staged,
    /// Running work in it; an error where that cannot be told.
    pub active: Result<Active, String>,
}

/// Somebody who follows the work.
pub struct Follow<'a> {
    /// Sees every byte that is copied under the lock.
    pub watch: &'a dyn Fn(File) -> Box<dyn Read>,
    /// Is asked between the rounds of a walk whether to go on.
    pub stop: &'a dyn Fn() -> Result<(), Failure>,
}

/// Copies the database at `path` into a file without a name in `scratch`, and proves the copy.
///
/// Fails with [`Kind::Snapshot`] where that cannot be done, or redb does not find the copy good. The original is only
/// read.
pub fn take(
    path: &Path,
    name: &EntryName,
    scratch: &Path,
    wish: Wish,
    follow: &Follow<'_>,
) -> Result<Snapshot> {
    let original = files::open(path, name)?;
    let header =
        Header::read(&original).with_context(|| format!("cannot read {}", path.display()))?;
    let header = header.ok_or_else(|| not_a_database(path))?;
    if header.format != SUPPORTED_FORMAT {
        return Err(other_format(path, header.format).into());
    }
    space::require(
        scratch,
        original.metadata()?.len(),
        "a copy of the database",
    )?;
    let locking = || format!("cannot lock {}", path.display());
    let holders = match wish.method {
        Method::Walk => lock::probe(path, &original)?,
        Method::Auto | Method::Locked => {
            match DatabaseLock::acquire(&original, Against::Writers).with_context(locking)? {
                Ok(lock) => return locked(path, name, scratch, original, lock, follow),
                Err(holders) if wish.method == Method::Locked => {
                    return Err(held(path, &holders).into());
                }
                Err(holders) => holders,
            }
        }
    };
    walked(path, name, scratch, wish.timeout, &holders, follow)
}

/// A copy while nobody can write.
fn locked(
    path: &Path,
    name: &EntryName,
    scratch: &Path,
    mut original: File,
    lock: DatabaseLock,
    follow: &Follow<'_>,
) -> Result<Snapshot> {
    let metadata = original.metadata()?;
    // Read again under the lock: a service may have closed it since.
    original.rewind()?;
    let mut header = Header::read(&original)?.ok_or_else(|| not_a_database(path))?;
    original.rewind()?;
    let mut copy = temporary(scratch)?;
    let (mut digest, mut size) = copy_hashed((follow.watch)(original), &mut copy)
        .with_context(|| format!("cannot copy {}", path.display()))?;
    drop(lock);
    if header.needs_repair {
        (digest, size) = repaired(path, &mut copy)?;
        // Where the last commit was not whole, redb went back to the one before.
        copy.rewind()?;
        header.transaction_id = Header::read(&copy)?
            .ok_or_else(|| not_a_database(path))?
            .transaction_id;
    }
    let description = json!({
        "method": "locked-copy",
        "format": header.format,
        "transaction_id": header.transaction_id,
        "rounds": 1,
        "repaired": header.needs_repair,
    });
    proven(path, name, copy, digest, size, &metadata, description)
}

/// A copy while a service writes.
fn walked(
    path: &Path,
    name: &EntryName,
    scratch: &Path,
    timeout: Duration,
    holders: &[Holder],
    follow: &Follow<'_>,
) -> Result<Snapshot> {
    let budget = Budget {
        time: timeout,
        rounds: LEAST_ROUNDS,
    };
    let mut between = |round: u64| -> Result<()> {
        (follow.stop)()?;
        if round > PATIENT_ROUNDS {
            std::thread::sleep(Duration::from_millis(1 + round * 7 % 20));
        }
        Ok(())
    };
    for _ in 0..ATTEMPTS {
        let original = files::open(path, name)?;
        let metadata = original.metadata()?;
        let mut copy = temporary(scratch)?;
        let walked = walk::walk(&original, &copy, budget, &mut between)
            .with_context(|| format!("cannot copy {}", path.display()))?;
        // What has the name now must be what was walked.
        if path
            .metadata()
            .is_ok_and(|now| (now.dev(), now.ino()) != (metadata.dev(), metadata.ino()))
        {
            continue;
        }
        let walked = match walked {
            Ok(walked) => walked,
            Err(gave) => return Err(gave_up(path, &gave, timeout, holders).into()),
        };
        let (digest, size) = repaired(path, &mut copy)?;
        return proven(
            path,
            name,
            copy,
            digest,
            size,
            &metadata,
            description(&walked, holders),
        );
    }
    let failure = Failure::new(
        Kind::Snapshot,
        format!(
            "{} is replaced again and again while it is read",
            path.display()
        ),
    );
    Err(failure
        .hint("stop whoever replaces it, and export again")
        .into())
}

fn description(walked: &Walked, holders: &[Holder]) -> Value {
    json!({
        "method": "merkle-walk",
        "format": SUPPORTED_FORMAT,
        "transaction_id": walked.transaction_id,
        "rounds": walked.rounds,
        "live_pages": walked.live_pages,
        "bytes_read": walked.bytes_read,
        "mismatches": walked.mismatches,
        "writer_pid": holders.iter().find_map(|holder| holder.pid),
        "repaired": true,
    })
}

fn temporary(scratch: &Path) -> Result<File> {
    tempfile::tempfile_in(scratch)
        .with_context(|| format!("cannot make a temporary file in {}", scratch.display()))
}

/// Has redb verify the whole tree of a copy and close it; the digest and size of what it is then.
fn repaired(path: &Path, copy: &mut File) -> Result<(Digest, u64)> {
    judge::repair(copy.try_clone()?).map_err(|error| damaged(path, &error))?;
    copy.rewind()?;
    Ok(Digest::of_reader(io::BufReader::with_capacity(
        BUFFER_BYTES,
        copy,
    ))?)
}

/// redb opens the copy and checks every page of it: what it does not find good is no snapshot.
fn proven(
    path: &Path,
    name: &EntryName,
    copy: File,
    digest: Digest,
    size: u64,
    metadata: &std::fs::Metadata,
    mut description: Value,
) -> Result<Snapshot> {
    let judgement = judge::examine(copy.try_clone()?).map_err(|error| damaged(path, &error))?;
    if judgement.repaired {
        let error = anyhow::anyhow!("redb had to repair it although it was closed");
        return Err(damaged(path, &error).into());
    }
    description["check_integrity"] = true.into();
    description["active_deployments"] = json!(judgement.active.as_ref().ok().map(Active::names));
    let mut record = FileRecord::new(name.clone(), digest, size);
    files::describe(&mut record, path, metadata);
    record.kind = Some("redb".to_owned());
    record.snapshot = Some(description);
    let staged = Staged {
        name: name.clone(),
        record,
        content: Content::File(copy),
    };
    Ok(Snapshot {
        staged,
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

fn gave_up(path: &Path, gave: &Gave, timeout: Duration, holders: &[Holder]) -> Failure {
    match gave {
        Gave::Out(reason) => Failure::new(
            Kind::Snapshot,
            format!("no consistent snapshot of {}: {reason}", path.display()),
        )
        .hint("stop the service, export, and start it again; nothing was written"),
        Gave::Up(walked, missed) => {
            let message = format!(
                "no consistent snapshot of {}: {} committed faster than it can be copied ({} rounds, {} s, the last round missed {missed} pages)",
                path.display(),
                holder::describe(holders),
                walked.rounds,
                timeout.as_secs(),
            );
            Failure::new(Kind::Snapshot, message).hint("give it more time with --snapshot-timeout, export when the service is quieter, or stop it meanwhile")
        }
    }
}

fn held(path: &Path, holders: &[holder::Holder]) -> Failure {
    let message = format!(
        "no consistent snapshot: {} is open in {}",
        path.display(),
        holder::describe(holders)
    );
    Failure::new(Kind::Snapshot, message)
        .hint("stop the service, export, and start it again, or leave out --snapshot locked; nothing was written")
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
