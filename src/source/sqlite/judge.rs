//! What SQLite thinks of a database that nobody else has open.
//!
//! `PRAGMA quick_check` reads every page: b-trees, cells, free pages, the values that a column may hold. What it leaves
//! out, against `integrity_check`, is whether an index lists what its table holds. Rules that the service gave its rows
//! (`CHECK`) are left out here: a row that breaks one is no damage.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rusqlite::{Connection, ErrorCode};

use super::{
    Step,
    connection::{self, Access},
    failure::said,
    header::Header,
    work::{self, Ended},
};
use crate::{disk::open_regular, model::entry_name::printable};

/// Findings that are asked for, and how many of them a message names.
const ASKED: usize = 20;
const NAMED: usize = 3;

/// Checks the database in the file at `path`, which nobody may be writing; the file is not changed, and what lies beside
/// it is not looked at.
///
/// The error names the first findings, or says that it is no database. `step` may end the work.
pub fn check(path: &Path, step: &Step<'_>) -> Result<()> {
    match verdict(path, step)? {
        None => Ok(()),
        Some(finding) => bail!(finding),
    }
}

/// The same, where what is wrong with it is no error: `None` for a good one.
pub(super) fn verdict(path: &Path, step: &Step<'_>) -> Result<Option<String>> {
    let reading = || format!("cannot read {}", path.display());
    let real = path.canonicalize().with_context(reading)?;
    let file = open_regular(&real).with_context(reading)?;
    match Header::read(&file).with_context(reading)? {
        Header::Database(_) => {}
        Header::Empty => return Ok(Some("it is empty".to_owned())),
        Header::Foreign => {
            return Ok(Some(
                "it is not an SQLite database, or it is encrypted".to_owned(),
            ));
        }
    }
    let connection = match connection::open(&real, Access::Still) {
        Ok(connection) => connection,
        Err(error) => return Ok(Some(format!("SQLite cannot open it: {}", said(&error)))),
    };
    match work::run(connection, step, None, |connection, _| {
        Ok(examine(connection))
    }) {
        Ended::Worked(Ok(Ok(found))) => Ok(found),
        Ended::Worked(Ok(Err(error))) => {
            Ok(Some(format!("SQLite cannot check it: {}", said(&error))))
        }
        Ended::Worked(Err(error)) | Ended::Stopped(error) => Err(error),
    }
}

/// Checks what `connection` sees: `None` for a good one.
///
/// Afterwards the connection is good for nothing that writes. Collations that only the service has got a stand-in: the
/// check takes no order for granted that depends on them.
pub(super) fn examine(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection.collation_needed(|connection, name| {
        connection.create_collation(name, |one, other| one.cmp(other))
    })?;
    connection.execute_batch("PRAGMA ignore_check_constraints = ON")?;
    let read = || -> rusqlite::Result<Vec<String>> {
        let mut check = connection.prepare(&format!("PRAGMA quick_check({ASKED})"))?;
        let rows = check.query_map([], |row| row.get(0))?;
        rows.collect()
    };
    let rows = match read() {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            vec![said(&error)]
        }
        result => result?,
    };
    let findings: Vec<String> = rows
        .iter()
        .flat_map(|row| row.lines())
        .filter(|line| !line.starts_with("*** in database") && *line != "ok")
        .map(printable)
        .collect();
    let more = match findings.len() {
        0 => return Ok(None),
        1..=NAMED => "",
        _ => ", and more",
    };
    let first = findings[..findings.len().min(NAMED)].join(", ");
    Ok(Some(format!("SQLite finds it damaged: {first}{more}")))
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests may do what hookshot may not"
)]
mod tests {
    use super::*;
    use std::fs;

    /// A database of some pages with an index, in WAL mode or not; closed.
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
