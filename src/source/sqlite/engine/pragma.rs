//! One run of a SQLite check, over all tables or over one.

use rusqlite::{Connection, ErrorCode};

use super::{
    failure::is_about_content,
    finding::{Findings, quoted},
    verdict::CheckDepth,
};

/// Adds SQLite's findings on all tables, or on one.
pub(super) fn run(
    connection: &Connection,
    check: CheckDepth,
    table: Option<&str>,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    // All findings are asked for: a column's odd values must not hide an index after them.
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

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// Returns true if an error says that the check needs what only the service has.
pub(super) fn is_missing(error: &rusqlite::Error) -> bool {
    is_about_content(error) && !is_damage(error)
}
