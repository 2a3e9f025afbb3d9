//! The file of the state: opened, read and changed.

use std::{
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tracing::warn;

use crate::{
    disk::create_folders,
    error::{Failure, Kind},
};

/// The version of the schema, as `PRAGMA user_version` keeps it.
const VERSION: i64 = 1;
/// The time for which a writer waits for another one: a command line beside the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// The state of the server.
pub struct Database {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens the file, and makes it if it is missing: 0600 from its first byte.
    pub fn open(path: &Path) -> Result<Database> {
        let opening = || format!("cannot open the state of the server, {}", path.display());
        if let Some(folder) = path.parent() {
            create_folders(folder).with_context(opening)?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        options.open(path).with_context(opening)?;
        let connection = Connection::open(path).with_context(opening)?;
        let database = Database {
            path: path.to_owned(),
            connection: Mutex::new(connection),
        };
        database.prepare().with_context(opening)?;
        Ok(database)
    }

    fn prepare(&self) -> Result<()> {
        let mut connection = self.lock();
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "synchronous", "full")?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: i64 =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        anyhow::ensure!(
            version <= VERSION,
            "a newer hookshot made it (schema {version}, this one knows {VERSION})"
        );
        if version == 0 {
            transaction.execute_batch(include_str!("schema.sql"))?;
            transaction.pragma_update(None, "user_version", VERSION)?;
        }
        Ok(transaction.commit()?)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a query.
    pub fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        query(&self.lock()).with_context(|| format!("cannot read {}", self.path.display()))
    }

    /// Runs a change, whole or not at all.
    pub fn change<T>(&self, change: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.lock();
        let writing = || format!("cannot write {}", self.path.display());
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .with_context(writing)?;
        let result = change(&transaction).and_then(|result| {
            transaction.commit()?;
            Ok(result)
        });
        result.map_err(|error| match error.downcast_ref::<rusqlite::Error>() {
            Some(rusqlite::Error::SqliteFailure(cause, _)) if cause.code == ErrorCode::DiskFull => {
                let message = format!("{}: the disk is full", writing());
                let failure = Failure::new(Kind::Space, message);
                failure.hint("free some space, then try again").into()
            }
            Some(_) => error.context(writing()),
            None => error,
        })
    }

    /// Changes what is only for show, if possible: reading goes on if the disk is full.
    pub fn note(&self, change: &str, values: impl rusqlite::Params) {
        let changed = self.change(|transaction| Ok(transaction.execute(change, values)?));
        if let Err(error) = changed {
            warn!("{error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_file_is_private_and_one_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state/serve.sqlite");
        let database = Database::open(&path).expect("made");
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let newer = |connection: &Connection| connection.pragma_update(None, "user_version", 99);
        database.read(newer).expect("written");
        drop(database);
        let error = Database::open(&path).err().expect("refused");
        assert!(
            format!("{error:#}").contains("a newer hookshot made it"),
            "{error:#}"
        );
    }
}
