//! The users or jobs at work in a service, as a query of its own finds them: a row for each.

use std::{
    fs::File,
    io,
    path::Path,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use anyhow::Result;
use rusqlite::{
    Connection, ErrorCode, Row,
    hooks::{AuthAction, AuthContext, Authorization},
    types::ValueRef,
};

use super::{
    SqliteContext,
    failure::{is_about_content, said},
    reading,
};
use crate::{
    disk::open_regular,
    error::{Failure, Kind},
    model::entry_name::printable,
};

/// The most rows that are shown.
const SHOWN: usize = 5;
/// The longest time that the query may take.
const LONGEST: Duration = Duration::from_secs(30);

/// Returns the rows that `query` gives in the database at `path`, a line for each: its columns, joined by commas. If
/// there are more than five, the last line counts the others.
///
/// The query sees one committed state, and can only read. It fails with [`Kind::Usage`] if it is not one statement,
/// would change anything or open another file, fails, or takes longer than 30 s. Its text is not shown in full, but its
/// rows are: neither should hold a secret.
pub fn active(path: &Path, query: &str, caller: &SqliteContext<'_>) -> Result<Vec<String>> {
    let open = || open(path);
    let begun = Instant::now();
    let step = |bytes| {
        (caller.step)(bytes)?;
        match begun.elapsed() {
            elapsed if elapsed < LONGEST + caller.patience => Ok(()),
            _ => Err(unusable(query, "it takes too long").into()),
        }
    };
    let caller = SqliteContext {
        step: &step,
        ..*caller
    };
    let work = |connection: &mut Connection, _: &AtomicBool| -> Result<Vec<String>> {
        connection.authorizer(Some(only_reads))?;
        match rows(connection, query) {
            Ok(lines) => Ok(lines),
            Err(Refusal::Query(reason)) => Err(unusable(query, &reason).into()),
            Err(Refusal::Sqlite(error)) => Err(error.into()),
        }
    };
    let (lines, _) = reading::one_state(path, &open, &caller, None, &work)?;
    Ok(lines)
}

/// The reason why a query has no answer.
enum Refusal {
    /// The query cannot be used.
    Query(String),
    /// The database could not be read.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Refusal {
        let is_damage = error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt);
        match error.sqlite_error() {
            Some(_) if is_damage || !is_about_content(&error) => Refusal::Sqlite(error),
            _ => Refusal::Query(said(&error)),
        }
    }
}

fn open(path: &Path) -> Result<File> {
    open_regular(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let message = format!("the database {} does not exist", path.display());
            anyhow::Error::new(Failure::new(Kind::NotFound, message))
        }
        _ => anyhow::Error::new(error).context(format!("cannot read {}", path.display())),
    })
}

/// Allows a query to read tables and to compute, and nothing else.
fn only_reads(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Recursive
        | AuthAction::Function { .. } => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

fn rows(connection: &Connection, query: &str) -> Result<Vec<String>, Refusal> {
    let mut statement = connection.prepare(query)?;
    let columns = statement.column_count();
    // Text that is not a query, such as a comment alone, has no columns either.
    if columns == 0 || !statement.readonly() {
        return Err(Refusal::Query(
            "it must be a query that gives rows".to_owned(),
        ));
    }
    let mut rows = statement.query([])?;
    let (mut lines, mut more) = (Vec::new(), 0u64);
    while let Some(row) = rows.next()? {
        if lines.len() < SHOWN {
            lines.push(line(row, columns)?);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    Ok(lines)
}

fn line(row: &Row<'_>, columns: usize) -> rusqlite::Result<String> {
    let shown: rusqlite::Result<Vec<String>> = (0..columns)
        .map(|column| {
            Ok(match row.get_ref(column)? {
                ValueRef::Null => "NULL".to_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(text) => printable(&String::from_utf8_lossy(text)),
                ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
            })
        })
        .collect();
    Ok(shown?.join(", "))
}

fn unusable(query: &str, reason: &str) -> Failure {
    let message = format!(
        "the query `{}` cannot be used: {}",
        printable(query),
        printable(reason)
    );
    Failure::new(Kind::Usage, message).hint(
        "it must be one SELECT that is answered at once, and each row of it must name active work",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.db");
        let connection = Connection::open(&path).expect("a database");
        connection
            .execute_batch(
                "CREATE TABLE jobs(id INTEGER, name TEXT, load REAL, note);
                 INSERT INTO jobs VALUES (1, 'web', 0.5, NULL), (2, 'a' || char(27) || '[2J', 2.0, x'0102')",
            )
            .expect("filled");
        (folder, path)
    }

    fn ask(path: &Path, query: &str) -> Result<Vec<String>> {
        let scratch = tempfile::tempdir().expect("a folder");
        let caller = SqliteContext {
            step: &|_| Ok(()),
            scratch: scratch.path(),
            patience: Duration::ZERO,
        };
        let result = active(path, query, &caller);
        assert_eq!(scratch.path().read_dir().expect("readable").count(), 0);
        result
    }

    #[test]
    fn each_row_is_a_line_that_cannot_drive_a_terminal() {
        let (_folder, path) = database();
        let lines = ask(&path, "SELECT * FROM jobs ORDER BY id; -- that is all").expect("rows");
        assert_eq!(lines, ["1, web, 0.5, NULL", "2, a\\u{1b}[2J, 2, 2 bytes"]);
        assert_eq!(
            ask(&path, "SELECT 1 FROM jobs WHERE id > 9").expect("none"),
            [""; 0]
        );
    }

    #[test]
    fn after_five_rows_the_others_are_counted() {
        let (_folder, path) = database();
        let numbers = |last| {
            format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT i FROM n"
            )
        };
        assert_eq!(ask(&path, &numbers(5)).expect("rows").len(), 5);
        let lines = ask(&path, &numbers(1000)).expect("rows");
        assert_eq!(lines, ["1", "2", "3", "4", "5", "and 995 more"]);
    }

    #[test]
    fn a_query_that_is_more_than_a_query_is_refused_and_changes_nothing() {
        let (folder, path) = database();
        let before = std::fs::read(&path).expect("readable");
        let other = folder.path().join("other.db");
        let attach = format!("ATTACH '{}' AS other", other.display());
        let vacuum = format!("VACUUM INTO '{}'", other.display());
        for query in [
            "",
            "-- nothing",
            "DELETE FROM jobs",
            "DELETE FROM jobs RETURNING id",
            "INSERT INTO jobs(id) VALUES (3) RETURNING id",
            "SELECT 1; SELECT 2",
            "SELECT 1; DELETE FROM jobs",
            "SELECT * FROM nothing",
            "SELECT id FROM jobs WHERE",
            "SELECT load_extension('/tmp/x')",
            "SELECT abs(-9223372036854775808)",
            "PRAGMA journal_mode = WAL",
            "PRAGMA writable_schema = ON",
            "PRAGMA table_list",
            "CREATE TEMP TABLE t(a)",
            "BEGIN EXCLUSIVE",
            &attach,
            &vacuum,
        ] {
            let failure = Failure::of(&ask(&path, query).expect_err(query));
            assert_eq!(failure.kind, Kind::Usage, "{query}: {failure}");
        }
        assert!(std::fs::read(&path).expect("readable") == before);
        assert_eq!(folder.path().read_dir().expect("readable").count(), 1);
    }

    #[test]
    fn a_query_without_an_end_is_ended_by_its_caller() {
        let (folder, path) = database();
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let caller = SqliteContext {
            step: &|_| match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0..3 => Ok(()),
                _ => Err(Failure::new(Kind::Interrupted(15), "stopped").into()),
            },
            scratch: folder.path(),
            patience: Duration::ZERO,
        };
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let error = active(&path, endless, &caller).expect_err("ended");
        assert_eq!(Failure::of(&error).kind, Kind::Interrupted(15));
    }

    #[test]
    fn a_database_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = ask(&folder.path().join("app.db"), "SELECT 1").expect_err("missing");
        assert_eq!(Failure::of(&error).kind, Kind::NotFound);
        assert_eq!(folder.path().read_dir().expect("readable").count(), 0);
    }
}
