//! The failures of snapshots, with their remedies.

use std::{error::Error, io, path::Path, time::Duration};

use redb::{DatabaseError, StorageError};

use super::{
    header::SUPPORTED_FORMAT,
    live::unfit,
    walk::{Missed, Walked},
};
use crate::{
    disk::holder::{self, Holder},
    error::{Failure, Kind},
};

/// Returns the failure of a walk that the service outran.
pub(super) fn gave_up(
    path: &Path,
    walked: &Walked,
    missed: &Missed,
    timeout: Duration,
    holders: &[Holder],
) -> Failure {
    if holders.is_empty() {
        let reason = format!(
            "no process is seen to have it open, and {} of its pages do not match",
            missed.pages
        );
        return unfit(path, &reason);
    }
    let message = format!(
        "no consistent snapshot of {}: {} committed faster than it can be copied ({} rounds, {} s, the last round missed {} pages)",
        path.display(),
        holder::describe(holders),
        walked.rounds,
        timeout.as_secs(),
        missed.pages,
    );
    Failure::new(Kind::Snapshot, message).hint(
        "give it more time with --snapshot-timeout, export when the service is quieter, let it stand still for a \
        moment with --snapshot pause, stop it meanwhile, or put the database on btrfs or xfs",
    )
}

/// Returns the failure of a locked copy of a database that is open.
pub(super) fn held(path: &Path, holders: &[holder::Holder]) -> Failure {
    let message = format!(
        "no consistent snapshot: {} is open in {}",
        path.display(),
        holder::describe(holders)
    );
    Failure::new(Kind::Snapshot, message)
        .hint("stop the service, export, and start it again, or leave out --snapshot locked; nothing was written")
}

/// Returns the failure of a file that is not a redb database.
pub(super) fn not_a_database(path: &Path) -> Failure {
    Failure::new(Kind::Snapshot, format!("{} is not a redb database", path.display()))
        .hint("is data_dir the folder of the service's state? an empty or overwritten file cannot be exported; restore \
            the last archive with `hookshot import --force`")
}

/// Returns the failure of a database in another format than the supported one.
pub(super) fn other_format(path: &Path, format: u8) -> Failure {
    let message = format!(
        "{} has redb's file format {format}, and only format {SUPPORTED_FORMAT} can be proven",
        path.display()
    );
    Failure::new(Kind::Snapshot, message)
        .hint("upgrade it once: stop the service and call Database::upgrade() of redb 2.6 on it")
}

/// Returns the error for a copy that failed verification: damage, unless a system call failed, for example because of
/// too many open files.
pub(super) fn damaged(path: &Path, error: anyhow::Error) -> anyhow::Error {
    if error.chain().any(is_of_system) {
        return error.context(format!("cannot check the copy of {}", path.display()));
    }
    Failure::new(Kind::Snapshot, format!("{} is damaged: {error:#}", path.display()))
        .hint("no archive was written; look at the disk, and restore the last good archive with `hookshot import --force`")
        .into()
}

/// Returns true if a system call failed. An end that comes too soon has no error number: that is damage.
fn is_of_system(cause: &(dyn Error + 'static)) -> bool {
    let within = match cause.downcast_ref() {
        Some(DatabaseError::Storage(StorageError::Io(error))) => Some(error),
        _ => match cause.downcast_ref() {
            Some(StorageError::Io(error)) => Some(error),
            _ => cause.downcast_ref(),
        },
    };
    within.and_then(io::Error::raw_os_error).is_some()
}
