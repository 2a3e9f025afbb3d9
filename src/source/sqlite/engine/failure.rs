//! The meaning of SQLite's errors, and the failures that they become.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use super::{
    finding::IndexFault,
    holders,
    verdict::{CheckExtent, SqliteVerdict},
};
use crate::{
    disk::holder,
    error::{Failure, Kind},
};

/// Returns true if an error is about the request or the content of the database, and not about access to it.
pub fn is_about_content(error: &Error) -> bool {
    let code = match error {
        Error::SqlInputError { error, .. } | Error::SqliteFailure(error, _) => error.code,
        _ => return false,
    };
    !matches!(
        code,
        ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OperationInterrupted
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::NotADatabase
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed
    )
}

/// Returns SQLite's message, without the statement.
pub fn said(error: &Error) -> String {
    match error {
        Error::SqlInputError { msg, .. } | Error::SqliteFailure(_, Some(msg)) => msg.clone(),
        _ => error.to_string(),
    }
}

/// Returns true if an error only shows that another process is at work on the index or the log, or has to be.
pub fn is_passing(error: &anyhow::Error) -> bool {
    let code = error
        .downcast_ref::<Error>()
        .and_then(Error::sqlite_error)
        .map(|error| error.extended_code & 0xff);
    matches!(
        code,
        Some(ffi::SQLITE_BUSY | ffi::SQLITE_READONLY | ffi::SQLITE_CANTOPEN | ffi::SQLITE_PROTOCOL)
    )
}

/// Converts an error of reading the database at `path` for the caller: SQLite's errors become a [`Failure`], all others
/// stay unchanged.
pub fn explained(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let Some(cause) = error.downcast_ref::<Error>() else {
        return error;
    };
    let failure = match cause.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => busy(path),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(path, &said(cause)),
        Some(ErrorCode::DiskFull) => {
            let message = format!("not enough space for a copy of {}", path.display());
            Failure::new(Kind::Space, message)
                .hint("free some space and try again; nothing was changed")
        }
        _ => {
            let message = format!(
                "no consistent snapshot of {}: SQLite says: {}",
                path.display(),
                said(cause)
            );
            Failure::new(Kind::Snapshot, message).hint("nothing was written")
        }
    };
    failure.into()
}

impl SqliteVerdict {
    /// Refuses all but a good database for a snapshot of the one at `path`.
    pub(super) fn good(self, path: &Path) -> Result<CheckExtent, Failure> {
        match self {
            SqliteVerdict::Good(checked) => Ok(checked),
            SqliteVerdict::Index(fault, _) => Err(unlike_table(path, &fault)),
            SqliteVerdict::Damaged(finding) => Err(damaged(path, &finding)),
        }
    }
}

/// Returns the failure of a damaged database at `path`, with the finding.
pub(super) fn damaged(path: &Path, finding: &str) -> Failure {
    Failure::new(
        Kind::Snapshot,
        format!("{} is damaged: {finding}", path.display()),
    )
    .hint("no archive was written; look at the disk, and restore the last good archive")
}

/// Returns the failure of an index that does not match its table.
fn unlike_table(path: &Path, fault: &IndexFault) -> Failure {
    let message = format!("{}: {fault}", path.display());
    Failure::new(Kind::Snapshot, message).hint(format!(
        "{}; stop the service, do so with `sqlite3 {}`, and export again; no archive was written",
        fault.remedy(),
        path.display()
    ))
}

/// Returns the failure of a database that another process keeps locked.
pub fn busy(path: &Path) -> Failure {
    let message = format!(
        "no consistent snapshot of {}: {} keeps it locked",
        path.display(),
        holder::describe(&holders(path).unwrap_or_default()),
    );
    Failure::new(Kind::Snapshot, message).hint(
        "try again when the service is quieter; one with locking_mode = \
        EXCLUSIVE has to be stopped meanwhile; nothing was written",
    )
}

/// Returns the failure of an empty file.
pub fn empty(path: &Path) -> Failure {
    Failure::new(Kind::Snapshot, format!("{} is empty: no table was ever written to it", path.display()))
        .hint("is it the service's database? start the service once, so that it makes its tables, or restore the last archive")
}

/// Returns the failure of a file that is not a readable SQLite database.
pub fn foreign(path: &Path) -> Failure {
    Failure::new(
        Kind::Snapshot,
        format!("{} is not an SQLite database, or it is encrypted", path.display()),
    )
    .hint("is it the service's database? what is encrypted can only be exported as a plain file, while the service stands still")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn of(code: std::ffi::c_int) -> anyhow::Error {
        Error::SqliteFailure(ffi::Error::new(code), Some("said".to_owned())).into()
    }

    #[test]
    fn what_sqlite_says_becomes_a_failure_that_somebody_can_branch_on() {
        let path = Path::new("/data/app.db");
        for (code, kind, says) in [
            (ffi::SQLITE_BUSY, Kind::Snapshot, "keeps it locked"),
            (
                ffi::SQLITE_CORRUPT,
                Kind::Snapshot,
                "/data/app.db is damaged: said",
            ),
            (
                ffi::SQLITE_NOTADB,
                Kind::Snapshot,
                "/data/app.db is damaged: said",
            ),
            (
                ffi::SQLITE_FULL,
                Kind::Space,
                "not enough space for a copy of /data/app.db",
            ),
            (
                ffi::SQLITE_IOERR,
                Kind::Snapshot,
                "no consistent snapshot of /data/app.db",
            ),
        ] {
            let failure = Failure::of(&explained(of(code).context("at work"), path));
            assert_eq!(failure.kind, kind, "{code}");
            assert!(failure.message.contains(says), "{failure}");
        }
        let other = explained(io::Error::from(io::ErrorKind::StorageFull).into(), path);
        assert_eq!(Failure::of(&other).kind, Kind::Space);
    }

    #[test]
    fn only_what_somebody_else_may_mend_is_tried_in_another_way() {
        for code in [
            ffi::SQLITE_READONLY_RECOVERY,
            ffi::SQLITE_READONLY_CANTINIT,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_BUSY_RECOVERY,
        ] {
            assert!(is_passing(&of(code)), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_FULL, ffi::SQLITE_ERROR] {
            assert!(!is_passing(&of(code)), "{code}");
        }
    }
}
