//! Orders, functions and indexes that a service made its own: SQLite reports them, but they are not damage.

use rusqlite::{Connection, types::ValueRef};

use super::{
    finding::{Findings, IndexFault, MOST_ROWS, quoted},
    pragma::{is_damage, is_missing, run},
    verdict::CheckDepth,
};

/// Returns the tables with an index in the order of a SQLite collation that a service may replace, as many do with
/// `NOCASE`.
pub(super) fn ordered_tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT DISTINCT t.name FROM sqlite_schema t, pragma_index_list(t.name) l, pragma_index_xinfo(l.name) x
                 WHERE t.type = 'table' AND coalesce(t.rootpage, 0) <> 0 AND x.key AND upper(x.coll) IN ('NOCASE', 'RTRIM')";
    let mut statement = connection.prepare(query)?;
    let tables = statement.query_map([], |row| row.get(0))?;
    tables.collect()
}

/// Returns true if the rows of a table without rowids may be in an order of the service's own.
pub(super) fn has_service_order(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let query = "SELECT count(*) FROM pragma_index_list(?1) l, pragma_index_xinfo(l.name) x
                 WHERE l.origin = 'pk' AND x.key AND upper(x.coll) IN ('NOCASE', 'RTRIM')";
    let columns = connection.query_row(query, [table], |row| row.get::<_, i64>(0))?;
    Ok(columns > 0)
}

/// Returns true if SQLite would rebuild the database that `connection` sees in another order than the service keeps: a
/// service replaced a collation of SQLite's. A very large database is not checked for that: if such a collation is in
/// use, the answer is true.
pub(super) fn is_reordered(connection: &Connection, bytes: u64) -> rusqlite::Result<bool> {
    let tables = ordered_tables(connection)?;
    if tables.is_empty() || CheckDepth::of_size(bytes) == CheckDepth::Quick {
        return Ok(!tables.is_empty());
    }
    for table in tables {
        let mut findings = Findings::default();
        match run(
            connection,
            CheckDepth::Integrity,
            Some(&table),
            &mut findings,
        ) {
            // The check of all tables finds the meaning of that.
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
/// collations do not give: a service may replace `NOCASE`. Returns `None` if the index is not like that.
pub(super) fn whose_order(
    connection: &Connection,
    index: &str,
    fault: &IndexFault,
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

/// The functions that services replace to support letters beyond ASCII (SQLite's ext/icu).
const OF_LETTERS: [&str; 3] = ["lower", "upper", "like"];

/// Returns the table of an index on such a function, if all rows that it is said to miss hold letters beyond ASCII:
/// then the service has another function of that name. Returns `None` if that cannot be shown.
pub(super) fn whose_letters(
    connection: &Connection,
    index: &str,
    fault: &IndexFault,
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
pub(super) fn has_outer_content(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
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
