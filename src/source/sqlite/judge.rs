//! What SQLite thinks of a database that nobody else has open.
//!
//! `PRAGMA integrity_check` reads every page and looks up every row in every index. `PRAGMA quick_check` reads every page,
//! and leaves out whether an index holds what its table holds; it is made of what is very large. Rules that the service
//! gave its rows (`CHECK`) are left out here: a row that breaks one is not damage.
//!
//! If the check needs what only the service has (a tokenizer, a module, a collation, a function), every table is
//! checked by itself, as far as that goes, and the others are named.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context as _, Result, bail};
use rusqlite::{
    Connection, ErrorCode,
    functions::FunctionFlags,
    types::{Null, ValueRef},
};
use serde::{Deserialize, Serialize};

use super::{
    Step, companions,
    connection::{self, Access},
    failure::{damaged, is_about_content, said, unlike_table},
    finding::{Fault, Findings, MOST_ROWS, UNORDERED},
    header::Header,
    work::{self, Ended},
};
use crate::{
    disk::{exists, open_regular},
    error::Failure,
    model::{entry_name::printable, limits::MAX_INTEGRITY_CHECK_BYTES, manifest::FileRecord},
};

/// The thoroughness of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// All pages (`PRAGMA quick_check`).
    Quick,
    /// All pages, and that indexes hold what their tables hold (`PRAGMA integrity_check`).
    Integrity,
}

impl Check {
    /// Returns the check of a database of this size.
    pub fn of_size(bytes: u64) -> Check {
        match bytes {
            0..=MAX_INTEGRITY_CHECK_BYTES => Check::Integrity,
            _ => Check::Quick,
        }
    }

    /// Its name in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Check::Quick => "quick",
            Check::Integrity => "integrity",
        }
    }

    /// Returns what SQLite calls it.
    pub fn pragma(self) -> &'static str {
        match self {
            Check::Quick => "quick_check",
            Check::Integrity => "integrity_check",
        }
    }
}

/// A part of a table that a check left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The consistency of a virtual table with itself. Its rows lie in other tables, which were checked.
    Virtual,
    /// The agreement of the indexes with the table.
    Indexes,
    /// All of it.
    Content,
}

/// A table that was not checked, or not as thoroughly as the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchecked {
    /// Its name.
    pub table: String,
    /// The part that was left out.
    pub part: Part,
    /// Why.
    pub reason: String,
}

/// The extent of the check of a database that is not damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The check that was made.
    pub check: Check,
    /// The parts that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<Unchecked>,
    /// Values that break the rules of their columns (`NOT NULL`, types), the first ones: no damage, the service wrote them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub odd_values: Vec<String>,
}

impl Checked {
    /// Reads what the manifest says of a database; `None` where it does not say which check was made.
    pub fn of(record: &FileRecord) -> Option<Checked> {
        serde_json::from_value(record.snapshot.clone()?).ok()
    }

    /// Returns what was not checked at all, a sentence for each table.
    pub fn left_out(&self, name: &str) -> Vec<String> {
        let of_content = |unchecked: &&Unchecked| unchecked.part == Part::Content;
        let sentence = |unchecked: &Unchecked| {
            format!(
                "table {} of {name} was not checked, because it needs what only its service has: {}",
                printable(&unchecked.table),
                printable(&unchecked.reason)
            )
        };
        let unchecked = self.unchecked.iter();
        unchecked.filter(of_content).map(sentence).collect()
    }

    /// Returns what is worth knowing, a sentence for each.
    pub fn notes(&self, name: &str) -> Vec<String> {
        let mut notes = Vec::new();
        if self.check == Check::Quick {
            notes.push(format!(
                "{name} is larger than {} GiB: its pages were checked, and not whether its indexes hold what its tables hold (quick_check, not integrity_check)",
                MAX_INTEGRITY_CHECK_BYTES >> 30
            ));
        }
        for unchecked in &self.unchecked {
            let (table, reason) = (printable(&unchecked.table), printable(&unchecked.reason));
            match unchecked.part {
                Part::Virtual => notes.push(format!(
                    "the virtual table {table} of {name} was not checked, only the tables in which its rows lie: {reason}"
                )),
                Part::Indexes => notes.push(format!(
                    "the indexes of table {table} of {name} were not compared with its rows: {reason}"
                )),
                Part::Content => {}
            }
        }
        if !self.odd_values.is_empty() {
            notes.push(format!(
                "{name} holds values that break the rules of their columns, and holds them as they are: {}",
                self.odd_values.join(", ")
            ));
        }
        notes
    }
}

/// The verdict of SQLite.
#[derive(Debug)]
pub enum Verdict {
    /// It is good.
    Good(Checked),
    /// Its rows are good, and an index is not: what is wrong with it.
    Index(Fault, Checked),
    /// It is damaged, or no database.
    Damaged(String),
}

impl Verdict {
    /// The same, if more was `known` before: a quick check does not see what another left out.
    pub fn with_known(mut self, known: &Checked) -> Verdict {
        if let Verdict::Good(checked) | Verdict::Index(_, checked) = &mut self {
            checked.clone_from(known);
        }
        self
    }

    /// Refuses all but a good database for a snapshot of the one at `path`.
    pub(super) fn good(self, path: &Path) -> Result<Checked, Failure> {
        match self {
            Verdict::Good(checked) => Ok(checked),
            Verdict::Index(fault, _) => Err(unlike_table(path, &fault)),
            Verdict::Damaged(finding) => Err(damaged(path, &finding)),
        }
    }
}

/// Checks the database in the file at `path`, which nobody may be writing; the file is not changed, and what lies beside
/// it is not looked at.
///
/// The error names the first findings, or says that it is no database. `step` may end the work.
pub fn check(path: &Path, step: &Step<'_>) -> Result<Checked> {
    let size = path.metadata().map_or(0, |metadata| metadata.len());
    match verdict(path, Check::of_size(size), step)? {
        Verdict::Good(checked) => Ok(checked),
        Verdict::Index(fault, _) => bail!("{fault}"),
        Verdict::Damaged(finding) => bail!(finding),
    }
}

/// Reads every page of the database in the file at `path`, as [`check`] does; an index that does not match its table is no
/// error.
pub fn opens(path: &Path, step: &Step<'_>) -> Result<()> {
    match verdict(path, Check::Quick, step)? {
        Verdict::Good(_) | Verdict::Index(..) => Ok(()),
        Verdict::Damaged(finding) => bail!(finding),
    }
}

/// Has SQLite take in what a crash or a copy left beside the database at `path`, a copy of our own.
pub fn recover(path: &Path) -> Result<()> {
    if !companions(path).iter().any(|companion| exists(companion)) {
        return Ok(());
    }
    let recover = || -> rusqlite::Result<()> {
        let connection =
            connection::open(&path.canonicalize().unwrap_or(path.to_owned()), Access::Own)?;
        let count = "SELECT count(*) FROM sqlite_schema";
        connection.query_row(count, [], |row| row.get::<_, i64>(0))?;
        connection.close().map_err(|(_, error)| error)
    };
    match recover() {
        Ok(()) => Ok(()),
        // What is not a database is found by the check.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Ok(()),
        Err(error) => bail!("SQLite cannot recover it: {}", said(&error)),
    }
}

/// Checks the database in the file at `path` as [`check`] does, with the check that is named; what is wrong with it is no
/// error.
pub fn verdict(path: &Path, check: Check, step: &Step<'_>) -> Result<Verdict> {
    let damaged = |finding: String| Ok(Verdict::Damaged(finding));
    let reading = || format!("cannot read {}", path.display());
    let real = path.canonicalize().with_context(reading)?;
    let file = open_regular(&real).with_context(reading)?;
    match Header::read(&file).with_context(reading)? {
        Header::Database(_) => {}
        Header::Empty => return damaged("it is empty".to_owned()),
        Header::Foreign => {
            return damaged("it is not an SQLite database, or it is encrypted".to_owned());
        }
    }
    let connection = match connection::open(&real, Access::Still) {
        Ok(connection) => connection,
        Err(error) => return damaged(format!("SQLite cannot open it: {}", said(&error))),
    };
    match work::run(connection, step, None, |connection, _| {
        Ok(examine(connection, check))
    }) {
        Ended::Worked(Ok(Ok(found))) => Ok(found),
        Ended::Worked(Ok(Err(error))) => {
            damaged(format!("SQLite cannot check it: {}", said(&error)))
        }
        Ended::Worked(Err(error)) | Ended::Stopped(error) => Err(error),
    }
}

/// Checks what `connection` sees. Afterwards the connection is good for nothing that writes.
pub(super) fn examine(connection: &Connection, check: Check) -> rusqlite::Result<Verdict> {
    connection.execute_batch("PRAGMA ignore_check_constraints = ON")?;
    if check == Check::Quick {
        stand_in(connection)?;
    }
    let mut unchecked = Vec::new();
    let findings = match of_all(connection, check, &mut unchecked) {
        Err(error) if is_damage(&error) => Findings::of_damage(said(&error)),
        result => result?,
    };
    if let Some(finding) = findings.damage() {
        return Ok(Verdict::Damaged(format!(
            "SQLite finds it damaged: {finding}"
        )));
    }
    let mut checked = Checked {
        check,
        unchecked,
        odd_values: findings.odd_values(),
    };
    for table in findings.unordered {
        if !has_service_order(connection, &table)? {
            return Ok(Verdict::Damaged(format!(
                "SQLite finds it damaged: {UNORDERED}{}",
                printable(&table)
            )));
        }
        let reason = "its rows are in an order that is not SQLite's own (a collation that the service replaced)".to_owned();
        checked.unchecked.push(Unchecked {
            table,
            part: Part::Indexes,
            reason,
        });
    }
    for (index, fault) in findings.indexes {
        let (table, reason) = match whose_order(connection, &index, &fault)? {
            Some(table) => (
                table,
                "are those of the table, in an order that is not SQLite's own (a collation that the service replaced)",
            ),
            None => match whose_letters(connection, &index, &fault)? {
                Some(table) => (
                    table,
                    "of rows with letters beyond ASCII are not what SQLite's own functions give (lower and upper, which the service may have replaced)",
                ),
                None => return Ok(Verdict::Index(fault, checked)),
            },
        };
        checked.unchecked.push(Unchecked {
            table,
            part: Part::Indexes,
            reason: format!("the entries of index {index} {reason}"),
        });
    }
    for (table, fault) in findings.inverted {
        if !has_outer_content(connection, &table)? {
            return Ok(Verdict::Index(fault, checked));
        }
        checked.unchecked.push(Unchecked {
            table,
            part: Part::Virtual,
            reason: "its full-text index is not that of the table that it takes its text from, as the service keeps them".to_owned(),
        });
    }
    Ok(Verdict::Good(checked))
}

/// Collations that only the service has get a stand-in: `quick_check` takes no order for granted that depends on them.
fn stand_in(connection: &Connection) -> rusqlite::Result<()> {
    connection.collation_needed(|connection, name| {
        connection.create_collation(name, |one, other| one.cmp(other))
    })
}

fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// Returns true if an error says that the check needs what only the service has.
fn is_missing(error: &rusqlite::Error) -> bool {
    is_about_content(error) && !is_damage(error)
}

/// Returns all findings; tables that could not be checked, or only in part, go to `unchecked`.
fn of_all(
    connection: &Connection,
    check: Check,
    unchecked: &mut Vec<Unchecked>,
) -> rusqlite::Result<Findings> {
    let tables = tables(connection)?;
    // A virtual table without its module is passed over without a word.
    for table in tables.iter().filter(|table| table.is_virtual) {
        let look = format!("SELECT * FROM {} LIMIT 0", quoted(&table.name));
        match connection.prepare(&look) {
            Ok(_) => {}
            Err(error) if is_missing(&error) => unchecked.push(table.left_out(&said(&error))),
            Err(error) => return Err(error),
        }
    }
    let mut findings = Findings::default();
    match run(connection, check, None, &mut findings) {
        Err(error) if is_missing(&error) => {}
        result => {
            result?;
            unchecked.extend(findings.unable.drain(..).map(|(table, reason)| Unchecked {
                table,
                part: Part::Virtual,
                reason,
            }));
            return Ok(findings);
        }
    }
    one_by_one(connection, check, &tables, unchecked)
}

/// Checks each table by itself.
fn one_by_one(
    connection: &Connection,
    check: Check,
    tables: &[Table],
    unchecked: &mut Vec<Unchecked>,
) -> rusqlite::Result<Findings> {
    let mut findings = Findings::default();
    let mut ahead = Vec::new();
    for table in tables {
        if unchecked.iter().any(|other| other.table == table.name) {
            continue;
        }
        match run(connection, check, Some(&table.name), &mut findings) {
            Err(error) if is_missing(&error) && table.is_virtual => {
                unchecked.push(table.left_out(&said(&error)));
            }
            Err(error) if is_missing(&error) => ahead.push((table, said(&error))),
            result => result?,
        }
    }
    if !ahead.is_empty() {
        stand_in(connection)?;
    }
    let mut given = BTreeSet::new();
    for (table, reason) in ahead {
        let part = match run_by_stand_ins(connection, &table.name, &mut given, &mut findings) {
            Err(error) if is_missing(&error) => Part::Content,
            result => result.map(|()| Part::Indexes)?,
        };
        unchecked.push(Unchecked {
            table: table.name.clone(),
            part,
            reason,
        });
    }
    // Table by table, SQLite does not see a page that two of them use.
    let twice = "SELECT pageno FROM dbstat GROUP BY pageno HAVING count(*) > 1 LIMIT 1";
    let mut twice = connection.prepare(twice)?;
    let mut rows = twice.query([])?;
    while let Some(row) = rows.next()? {
        findings.add(&format!("2nd reference to page {}", row.get::<_, i64>(0)?));
    }
    findings.unable.clear();
    Ok(findings)
}

/// Adds what a quick check says of a table that calls functions which only the service has: each gets a stand-in that
/// gives NULL, and its name goes to `given`.
fn run_by_stand_ins(
    connection: &Connection,
    table: &str,
    given: &mut BTreeSet<String>,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    loop {
        let mut part = Findings::default();
        let error = match run(connection, Check::Quick, Some(table), &mut part) {
            Ok(()) => {
                findings.extend(part, !given.is_empty());
                return Ok(());
            }
            Err(error) if is_missing(&error) => error,
            Err(error) => return Err(error),
        };
        let said = said(&error);
        let name = ["unknown function: ", "no such function: "]
            .iter()
            .find_map(|words| said.strip_prefix(words))
            .map(|name| name.trim_end_matches("()").trim_matches('"').to_owned());
        match name {
            Some(name) if given.insert(name.clone()) => connection.create_scalar_function(
                name.as_str(),
                -1,
                FunctionFlags::SQLITE_UTF8
                    | FunctionFlags::SQLITE_DETERMINISTIC
                    | FunctionFlags::SQLITE_INNOCUOUS,
                |_| Ok(Null),
            )?,
            _ => return Err(error),
        }
    }
}

/// Adds what SQLite says of all tables, or of one.
fn run(
    connection: &Connection,
    check: Check,
    table: Option<&str>,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    // As many as there are: a column's odd values must not hide an index that is behind them.
    let argument = table.map_or_else(|| i32::MAX.to_string(), quoted);
    let pragma = format!("PRAGMA {}({argument})", check.pragma());
    let mut statement = connection.prepare(&pragma)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        findings.add(&row.get::<_, String>(0)?);
        if findings.are_enough() {
            break;
        }
    }
    Ok(())
}

/// A table of a database.
struct Table {
    name: String,
    is_virtual: bool,
}

impl Table {
    fn left_out(&self, reason: &str) -> Unchecked {
        let reason = match reason {
            "SQL logic error" => "it needs what only its service has, a tokenizer perhaps",
            reason => reason,
        };
        Unchecked {
            table: self.name.clone(),
            part: Part::Virtual,
            reason: printable(reason),
        }
    }
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let query = "SELECT name, coalesce(rootpage, 0) = 0 FROM sqlite_schema WHERE type = 'table'
                 UNION ALL SELECT 'sqlite_schema', 0";
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], |row| {
        Ok(Table {
            name: row.get(0)?,
            is_virtual: row.get(1)?,
        })
    })?;
    rows.collect()
}

/// The tables with an index in the order of a collation of SQLite's that a service may replace, as many do with `NOCASE`.
fn ordered_tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT DISTINCT t.name FROM sqlite_schema t, pragma_index_list(t.name) l, pragma_index_xinfo(l.name) x
                 WHERE t.type = 'table' AND coalesce(t.rootpage, 0) <> 0 AND x.key AND upper(x.coll) IN ('NOCASE', 'RTRIM')";
    let mut statement = connection.prepare(query)?;
    let tables = statement.query_map([], |row| row.get(0))?;
    tables.collect()
}

/// Returns true if the rows of a table without rowids may be in an order of the service's own.
fn has_service_order(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let query = "SELECT count(*) FROM pragma_index_list(?1) l, pragma_index_xinfo(l.name) x
                 WHERE l.origin = 'pk' AND x.key AND upper(x.coll) IN ('NOCASE', 'RTRIM')";
    let columns = connection.query_row(query, [table], |row| row.get::<_, i64>(0))?;
    Ok(columns > 0)
}

/// Returns true if SQLite would rebuild the database that `connection` sees in another order than the service keeps: a
/// service replaced a collation of SQLite's. If that is not asked, because the database is very large, it is taken
/// for granted.
pub(super) fn is_reordered(connection: &Connection, bytes: u64) -> rusqlite::Result<bool> {
    let tables = ordered_tables(connection)?;
    if tables.is_empty() || Check::of_size(bytes) == Check::Quick {
        return Ok(!tables.is_empty());
    }
    for table in tables {
        let mut findings = Findings::default();
        match run(connection, Check::Integrity, Some(&table), &mut findings) {
            // Whatever that means is found by the check of all.
            Err(error) if is_missing(&error) || is_damage(&error) => continue,
            result => result?,
        }
        if !findings.unordered.is_empty() {
            return Ok(true);
        }
        for (index, fault) in &findings.indexes {
            if whose_order(connection, index, fault)?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Returns the table of an index that holds exactly the entries that it should hold, in an order that SQLite's own
/// collations do not give: a service may replace `NOCASE`. `None` if that cannot be said of the index.
fn whose_order(
    connection: &Connection,
    index: &str,
    fault: &Fault,
) -> rusqlite::Result<Option<String>> {
    if fault.is_counted {
        return Ok(None);
    }
    let query = "SELECT tbl_name FROM sqlite_schema WHERE type = 'index' AND name = ?1";
    let table = match connection.query_row(query, [index], |row| row.get::<_, String>(0)) {
        Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(None),
        result => result?,
    };
    let mut statement = connection.prepare("SELECT cid, name, coll FROM pragma_index_xinfo(?1)")?;
    let columns = statement.query_map([index], |row| {
        let (cid, name): (i64, Option<String>) = (row.get(0)?, row.get(1)?);
        Ok((cid, name, row.get::<_, String>(2)?))
    })?;
    let (mut shown, mut is_plain, mut is_known) = (Vec::new(), true, true);
    for column in columns {
        let (cid, name, collation) = column?;
        is_plain &= collation.eq_ignore_ascii_case("BINARY");
        match (cid, name) {
            (-1, _) => shown.push("rowid".to_owned()),
            (_, Some(name)) => shown.push(format!("{} COLLATE BINARY", quoted(&name))),
            (_, None) => is_known = false,
        }
    }
    if is_plain || !is_known {
        return Ok(None);
    }
    let (columns, from, by) = (shown.join(", "), quoted(&table), quoted(index));
    let differing = format!(
        "SELECT count(*) FROM (SELECT {columns} FROM {from} NOT INDEXED EXCEPT SELECT {columns} FROM {from} INDEXED BY {by})"
    );
    match connection.query_row(&differing, [], |row| row.get::<_, i64>(0)) {
        Ok(0) => Ok(Some(table)),
        Ok(_) => Ok(None),
        // A partial index, say, cannot be read as a whole.
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Functions that services replace so that they know more letters than ASCII's (SQLite's ext/icu).
const OF_LETTERS: [&str; 3] = ["lower", "upper", "like"];

/// Returns the table of an index on such a function, if all rows that it is said to miss hold letters beyond ASCII: then
/// the service has another function of that name. `None` if that cannot be said.
fn whose_letters(
    connection: &Connection,
    index: &str,
    fault: &Fault,
) -> rusqlite::Result<Option<String>> {
    if fault.is_counted || fault.rows.is_empty() || fault.rows.len() == MOST_ROWS {
        return Ok(None);
    }
    let query = "SELECT tbl_name, lower(sql) FROM sqlite_schema WHERE type = 'index' AND name = ?1";
    let found = connection.query_row(query, [index], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
    });
    let (table, text) = match found {
        Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(None),
        result => result?,
    };
    let text = text.unwrap_or_default();
    if !OF_LETTERS.iter().any(|function| text.contains(function)) {
        return Ok(None);
    }
    let mut statement =
        connection.prepare(&format!("SELECT * FROM {} NOT INDEXED", quoted(&table)))?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let (mut at, mut missing) = (0, fault.rows.iter().peekable());
    while let (Some(next), Some(row)) = (missing.peek(), rows.next()?) {
        at += 1;
        if **next != at {
            continue;
        }
        missing.next();
        let is_beyond = |column| -> rusqlite::Result<bool> {
            Ok(match row.get_ref(column)? {
                ValueRef::Text(text) => !text.is_ascii(),
                _ => false,
            })
        };
        if !(0..columns).try_fold(false, |found, column| {
            Ok::<_, rusqlite::Error>(found || is_beyond(column)?)
        })? {
            return Ok(None);
        }
    }
    Ok(Some(table))
}

/// Returns true if a full-text table takes its text from another table, or has none of its own.
fn has_outer_content(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let query = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let sql = match connection.query_row(query, [table], |row| row.get::<_, Option<String>>(0)) {
        Err(rusqlite::Error::QueryReturnedNoRows) => None,
        result => result?,
    };
    let sql: String = sql.unwrap_or_default().to_lowercase();
    let dense: String = sql
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .collect();
    Ok([",content=", "(content="]
        .iter()
        .any(|option| dense.contains(option)))
}

/// A name as SQL writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
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
    fn what_is_very_large_gets_the_quick_check_and_that_is_said() {
        assert_eq!(Check::of_size(0), Check::Integrity);
        assert_eq!(Check::of_size(4 << 30), Check::Integrity);
        assert_eq!(Check::of_size((4 << 30) + 1), Check::Quick);
        let (_folder, path) = database("wal");
        let verdict = verdict(&path, Check::Quick, &|_| Ok(())).expect("read");
        let Verdict::Good(checked) = verdict else {
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
