//! The file of the state: opened, read and changed.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
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
    /// Opens a file that is there.
    ///
    /// Errors: [`Kind::NotFound`] if it is missing.
    pub fn open_old(path: &Path) -> Result<Database> {
        let is_missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
        if path.metadata().is_err_and(is_missing) {
            let message = format!(
                "the state of the server, {}, does not exist",
                path.display()
            );
            return Err(Failure::new(Kind::NotFound, message)
                .hint("`hookshot serve user add` makes it; --state names another file")
                .into());
        }
        Database::open(path)
    }

    /// Opens the file, and makes it if it is missing: 0600 from its first byte.
    ///
    /// Errors: [`Kind::Usage`] for a file of something else, which stays as it is.
    pub fn open(path: &Path) -> Result<Database> {
        let opening = || format!("cannot open the state of the server, {}", path.display());
        if let Some(folder) = path.parent() {
            create_folders(folder).with_context(opening)?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let file = options.open(path).with_context(opening)?;
        let connection = Connection::open(path).with_context(opening)?;
        let database = Database {
            path: path.to_owned(),
            connection: Mutex::new(connection),
        };
        database.prepare().map_err(|error| of_damage(error, path))?;
        // One that was brought back, or made by hand, may be open to others.
        let mode = file.metadata().with_context(opening)?.permissions().mode();
        if mode & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))
                .with_context(opening)?;
        }
        Ok(database)
    }

    fn prepare(&self) -> Result<()> {
        let mut connection = self.lock();
        connection.busy_timeout(PATIENCE)?;
        require_own(&connection, &self.path)?;
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

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
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

/// Refuses the database of something else.
fn require_own(connection: &Connection, path: &Path) -> Result<()> {
    let (tables, own): (i64, i64) = connection.query_row(
        "SELECT count(*), count(*) FILTER (WHERE name IN ('users', 'tokens', 'sessions', 'audit')) \
         FROM sqlite_master WHERE type = 'table'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if tables == 0 || own == 4 {
        return Ok(());
    }
    let message = format!("{} is the database of something else", path.display());
    Err(Failure::new(Kind::Usage, message)
        .hint("nothing was changed; give --state a file of its own")
        .into())
}

/// Tells what to do about a file that is damaged.
fn of_damage(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let code = error.downcast_ref::<rusqlite::Error>();
    let code = code.and_then(rusqlite::Error::sqlite_error_code);
    let opening = format!("cannot open the state of the server, {}", path.display());
    match code {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            let message = format!("{opening}: it is damaged, or no database");
            let failure = Failure::new(Kind::Failed, message);
            failure
                .hint("bring it back from an archive, or move it away and add users and tokens anew; backups go on without it")
                .into()
        }
        _ if error.is::<Failure>() => error,
        _ => error.context(opening),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

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

    #[test]
    fn files_of_others_stay_as_they_are_and_own_ones_become_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shop.sqlite");
        let shop = Connection::open(&path).expect("made");
        shop.execute_batch("CREATE TABLE orders (id); PRAGMA user_version = 1")
            .expect("written");
        drop(shop);
        let before = std::fs::read(&path).expect("bytes");
        let error = Database::open(&path).err().expect("refused");
        assert!(error.to_string().contains("of something else"), "{error:#}");
        assert_eq!(std::fs::read(&path).expect("bytes"), before);
        let own = folder.path().join("serve.sqlite");
        assert!(Database::open_old(&own).is_err() && !own.exists());
        drop(Database::open(&own).expect("made"));
        std::fs::set_permissions(&own, Permissions::from_mode(0o644)).expect("open to others");
        drop(Database::open_old(&own).expect("there"));
        let mode = own.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let file = std::fs::OpenOptions::new().write(true).open(&own);
        (file.expect("there").write_all(&[7; 9000])).expect("damaged");
        let error = Database::open(&own).err().expect("refused");
        assert!(error.to_string().contains("it is damaged"), "{error:#}");
    }
}
