//! SQLite's verdict on a database that no process has open.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rusqlite::ErrorCode;

use super::{
    companions,
    connection::{self, ConnectionMode},
    examine::examine,
    failure::said,
    header::SqliteHeader,
    verdict::{CheckDepth, CheckExtent, SqliteVerdict},
    work::{self, WorkEnd},
};
use crate::{
    disk::{exists, open_regular},
    work::Advance,
};

/// Checks the database in the file at `path`, which no process may be writing. The file is not changed, and its
/// companions are not inspected.
///
/// The error names the first findings, or says that the file is not a database. `step` may end the work.
pub fn check(path: &Path, step: &Advance<'_>) -> Result<CheckExtent> {
    let size = path.metadata().map_or(0, |metadata| metadata.len());
    match verdict(path, CheckDepth::of_size(size), step)? {
        SqliteVerdict::Good(checked) => Ok(checked),
        SqliteVerdict::Index(fault, _) => bail!("{fault}"),
        SqliteVerdict::Damaged(finding) => bail!(finding),
    }
}

/// Reads every page of the database in the file at `path`, as [`check`] does; an index that does not match its table is
/// not an error.
pub fn opens(path: &Path, step: &Advance<'_>) -> Result<()> {
    match verdict(path, CheckDepth::Quick, step)? {
        SqliteVerdict::Good(_) | SqliteVerdict::Index(..) => Ok(()),
        SqliteVerdict::Damaged(finding) => bail!(finding),
    }
}

/// Has SQLite recover the leftovers of a crash or a copy beside the database at `path`, a copy of our own.
pub fn recover(path: &Path) -> Result<()> {
    if !companions(path).iter().any(|companion| exists(companion)) {
        return Ok(());
    }
    let recover = || -> rusqlite::Result<()> {
        let connection = connection::open(
            &path.canonicalize().unwrap_or(path.to_owned()),
            ConnectionMode::Own,
        )?;
        let count = "SELECT count(*) FROM sqlite_schema";
        connection.query_row(count, [], |row| row.get::<_, i64>(0))?;
        connection.close().map_err(|(_, error)| error)
    };
    match recover() {
        Ok(()) => Ok(()),
        // The check finds a file that is not a database.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Ok(()),
        Err(error) => bail!("SQLite cannot recover it: {}", said(&error)),
    }
}

/// Checks the database in the file at `path` as [`check`] does, with the check `check`. Faults of the database are in
/// the verdict; they are not errors.
pub fn verdict(path: &Path, check: CheckDepth, step: &Advance<'_>) -> Result<SqliteVerdict> {
    let damaged = |finding: String| Ok(SqliteVerdict::Damaged(finding));
    let reading = || format!("cannot read {}", path.display());
    let real = path.canonicalize().with_context(reading)?;
    let file = open_regular(&real).with_context(reading)?;
    match SqliteHeader::read(&file).with_context(reading)? {
        SqliteHeader::Database(_) => {}
        SqliteHeader::Empty => return damaged("it is empty".to_owned()),
        SqliteHeader::Foreign => {
            return damaged("it is not an SQLite database, or it is encrypted".to_owned());
        }
    }
    let connection = match connection::open(&real, ConnectionMode::Still) {
        Ok(connection) => connection,
        Err(error) => return damaged(format!("SQLite cannot open it: {}", said(&error))),
    };
    match work::run(connection, step, None, |connection, _| {
        Ok(examine(connection, check))
    }) {
        WorkEnd::Worked(Ok(Ok(found))) => Ok(found),
        WorkEnd::Worked(Ok(Err(error))) => {
            damaged(format!("SQLite cannot check it: {}", said(&error)))
        }
        WorkEnd::Worked(Err(error)) | WorkEnd::Stopped(error) => Err(error),
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests may do what hookshot may not"
)]
mod tests {
    use super::*;
    use std::fs;

    use rusqlite::Connection;

    /// Returns a closed database of some pages with an index, in the given journal mode.
    fn database(mode: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.db");
        let connection = Connection::open(&path).expect("a database");
        connection
            .query_row(&format!("PRAGMA journal_mode = {mode}"), [], |_| Ok(()))
            .expect("set");
        connection
            .execute_batch(
                "CREATE TABLE notes(id INTEGER PRIMARY KEY, text UNIQUE, CHECK (length(text) > 5));
                 PRAGMA ignore_check_constraints = ON;
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
                 INSERT INTO notes SELECT i, 'note ' || (i * 7919) FROM n;
                 INSERT INTO notes VALUES(9999, 'short')",
            )
            .expect("filled");
        drop(connection);
        (folder, path)
    }

    #[test]
    fn checking_changes_nothing_and_makes_nothing() {
        for mode in ["wal", "delete"] {
            let (folder, path) = database(mode);
            let before = fs::read(&path).expect("readable");
            check(&path, &|_| Ok(())).expect("a good database");
            assert!(fs::read(&path).expect("readable") == before);
            assert_eq!(folder.path().read_dir().expect("readable").count(), 1);
        }
    }

    #[test]
    fn damage_is_named_and_nothing_panics() {
        let (_folder, path) = database("delete");
        let good = fs::read(&path).expect("readable");
        let mut found = 0;
        for page in (0..good.len()).step_by(4096) {
            let mut bad = good.clone();
            bad[page..page + 64].fill(0x5a);
            fs::write(&path, &bad).expect("written");
            let error = check(&path, &|_| Ok(())).expect_err("damaged").to_string();
            assert!(!error.contains('\n'), "{error}");
            found += 1;
        }
        assert!(found > 20, "{found} pages are too few to say anything");
        for length in [1, 99, 100, 4096, good.len() / 2, good.len() - 4096] {
            fs::write(&path, &good[..length]).expect("written");
            check(&path, &|_| Ok(())).expect_err("cut short");
        }
    }

    #[test]
    fn what_is_no_database_is_called_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.db");
        for (bytes, message) in [
            (&b""[..], "it is empty"),
            (
                &[0x5a; 8192],
                "it is not an SQLite database, or it is encrypted",
            ),
        ] {
            fs::write(&path, bytes).expect("written");
            let error = check(&path, &|_| Ok(())).expect_err("no database");
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn what_is_very_large_gets_the_quick_check_and_that_is_said() {
        assert_eq!(CheckDepth::of_size(0), CheckDepth::Integrity);
        assert_eq!(CheckDepth::of_size(4 << 30), CheckDepth::Integrity);
        assert_eq!(CheckDepth::of_size((4 << 30) + 1), CheckDepth::Quick);
        let (_folder, path) = database("wal");
        let verdict = verdict(&path, CheckDepth::Quick, &|_| Ok(())).expect("read");
        let SqliteVerdict::Good(checked) = verdict else {
            panic!("a good database");
        };
        let notes = checked.notes("app.db");
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("larger than 4 GiB"), "{notes:?}");
        assert!(notes[0].contains("quick_check"), "{notes:?}");
        let value = serde_json::to_value(&checked).expect("JSON");
        assert_eq!(value, serde_json::json!({ "check": "quick" }));
    }

    #[test]
    fn a_collation_that_only_the_service_has_is_no_damage() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.db");
        let connection = Connection::open(&path).expect("a database");
        connection
            .create_collation("backwards", |one, other| other.cmp(one))
            .expect("a collation");
        connection
            .execute_batch(
                "CREATE TABLE notes(text, note TEXT COLLATE backwards);
                 CREATE INDEX by_text ON notes(text COLLATE backwards);
                 CREATE TABLE words(word TEXT COLLATE backwards PRIMARY KEY) WITHOUT ROWID;
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
                 INSERT INTO words SELECT 'word ' || i FROM n;
                 INSERT INTO notes SELECT word, word FROM words",
            )
            .expect("filled");
        drop(connection);
        check(&path, &|_| Ok(())).expect("a good database");
    }
}
