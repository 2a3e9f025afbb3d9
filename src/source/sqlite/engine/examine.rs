//! The checks by SQLite, of all tables at once or of one after the other.
//!
//! `PRAGMA integrity_check` reads every page and looks up every row in every index. `PRAGMA quick_check` reads every
//! page, but does not compare indexes with their tables; very large databases get it. Rules that the service gave its
//! rows (`CHECK`) are not checked: a row that breaks one is not damage.
//!
//! The check may need a part that only the service has: a tokenizer, a module, a collation, a function. Then every
//! table is checked by itself, as far as possible, and the others are named.

use std::collections::BTreeSet;

use rusqlite::{Connection, functions::FunctionFlags, types::Null};

use super::{
    failure::said,
    finding::{Findings, UNORDERED, quoted},
    foreign::{has_outer_content, has_service_order, whose_letters, whose_order},
    pragma::{is_damage, is_missing, run},
    verdict::{CheckDepth, CheckExtent, Part, SqliteVerdict, Unchecked},
};
use crate::model::entry_name::printable;

/// Checks the state that `connection` sees. Afterwards the connection must not be used to write.
pub(super) fn examine(
    connection: &Connection,
    check: CheckDepth,
) -> rusqlite::Result<SqliteVerdict> {
    connection.execute_batch("PRAGMA ignore_check_constraints = ON")?;
    if check == CheckDepth::Quick {
        stand_in(connection)?;
    }
    let mut unchecked = Vec::new();
    let findings = match of_all(connection, check, &mut unchecked) {
        Err(error) if is_damage(&error) => Findings::of_damage(said(&error)),
        result => result?,
    };
    if let Some(finding) = findings.damage() {
        return Ok(SqliteVerdict::Damaged(format!(
            "SQLite finds it damaged: {finding}"
        )));
    }
    let mut checked = CheckExtent {
        check,
        unchecked,
        odd_values: findings.odd_values(),
    };
    for table in findings.unordered {
        if !has_service_order(connection, &table)? {
            return Ok(SqliteVerdict::Damaged(format!(
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
                    "of rows with letters beyond ASCII are not what SQLite's own functions give (lower and upper, \
                    which the service may have replaced)",
                ),
                None => return Ok(SqliteVerdict::Index(fault, checked)),
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
            return Ok(SqliteVerdict::Index(fault, checked));
        }
        checked.unchecked.push(Unchecked {
            table,
            part: Part::Virtual,
            reason: "its full-text index is not that of the table that it takes its text from, as the service keeps them".to_owned(),
        });
    }
    Ok(SqliteVerdict::Good(checked))
}

/// Gives collations that only the service has a stand-in: `quick_check` does not rely on any order that depends on
/// them.
fn stand_in(connection: &Connection) -> rusqlite::Result<()> {
    connection.collation_needed(|connection, name| {
        connection.create_collation(name, |one, other| one.cmp(other))
    })
}

/// Returns all findings; tables that could not be checked, or only in part, go to `unchecked`.
fn of_all(
    connection: &Connection,
    check: CheckDepth,
    unchecked: &mut Vec<Unchecked>,
) -> rusqlite::Result<Findings> {
    let tables = tables(connection)?;
    // SQLite skips a virtual table without its module silently.
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
    check: CheckDepth,
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

/// Adds the findings of a quick check of a table that calls functions which only the service has. Each such function
/// gets a stand-in that gives NULL, and its name goes to `given`.
fn run_by_stand_ins(
    connection: &Connection,
    table: &str,
    given: &mut BTreeSet<String>,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    loop {
        let mut part = Findings::default();
        let error = match run(connection, CheckDepth::Quick, Some(table), &mut part) {
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
