//! The invariant that a writer to an SQLite database keeps in every commit, and its check in a copy.

use rusqlite::{Connection, params};

/// Accounts, and what each has in the beginning.
pub const ACCOUNTS: i64 = 2000;
pub const BALANCE: i64 = 1000;
/// Entries that the ledger keeps.
const KEPT: i64 = 3000;

/// The order that only the service and its tests know.
pub fn know_order(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_collation("backwards", |one, other| other.cmp(one))
}

/// Makes the tables, unless they are there.
pub fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS accounts(id INTEGER PRIMARY KEY, balance INTEGER, filler BLOB);
         CREATE TABLE IF NOT EXISTS ledger(number INTEGER PRIMARY KEY, amount INTEGER, chain INTEGER, filler BLOB);
         CREATE INDEX IF NOT EXISTS by_amount ON ledger(amount, number);
         CREATE TABLE IF NOT EXISTS book(last INTEGER, chain INTEGER);
         BEGIN;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ACCOUNTS})
         INSERT OR IGNORE INTO accounts SELECT i, {BALANCE}, randomblob(400) FROM n;
         INSERT INTO book SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM book);
         COMMIT"
    ))
}

/// One transaction: amounts go from account to account, each with an entry in the ledger, all over the file.
pub fn transfer(connection: &Connection, random: &mut u64) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let (mut last, mut chain): (i64, i64) =
        connection.query_row("SELECT last, chain FROM book", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let mut account = connection.prepare(
        "UPDATE accounts SET balance = balance + ?2, filler = randomblob(?3) WHERE id = ?1",
    )?;
    let mut entry = connection.prepare("INSERT INTO ledger VALUES (?1, ?2, ?3, randomblob(?4))")?;
    for _ in 0..4 {
        let (from, to) = (1 + next(random) % ACCOUNTS, 1 + next(random) % ACCOUNTS);
        let amount = next(random) % 100;
        account.execute([from, -amount, 200 + next(random) % 400])?;
        account.execute([to, amount, 200 + next(random) % 400])?;
        last += 1;
        chain = link(chain, last, amount);
        entry.execute([last, amount, chain, next(random) % 300])?;
    }
    connection.execute("DELETE FROM ledger WHERE number <= ?1", [last - KEPT])?;
    connection.execute(
        "UPDATE book SET last = ?1, chain = ?2",
        params![last, chain],
    )?;
    connection.execute_batch("COMMIT")
}

/// Checks that a copy is whole page by page and keeps the invariant: returns the last entry's number, or the fault.
pub fn check(connection: &Connection) -> Result<i64, String> {
    look(connection).unwrap_or_else(|error| Err(error.to_string()))
}

fn look(connection: &Connection) -> rusqlite::Result<Result<i64, String>> {
    know_order(connection)?;
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Err(verdict));
    }
    let sum: (i64, i64) =
        connection.query_row("SELECT count(*), sum(balance) FROM accounts", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    if sum != (ACCOUNTS, ACCOUNTS * BALANCE) {
        return Ok(Err(format!("the accounts hold {sum:?}")));
    }
    let (last, end): (i64, i64) =
        connection.query_row("SELECT last, chain FROM book", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let mut entries =
        connection.prepare("SELECT number, amount, chain FROM ledger ORDER BY number")?;
    let mut entries = entries.query([])?;
    let mut before: Option<(i64, i64)> = None;
    while let Some(entry) = entries.next()? {
        let (number, amount, chain) = (entry.get(0)?, entry.get(1)?, entry.get(2)?);
        if let Some((previous, link_before)) = before
            && (number != previous + 1 || chain != link(link_before, number, amount))
        {
            return Ok(Err(format!("entry {number} does not follow {previous}")));
        }
        before = Some((number, chain));
    }
    Ok(match before {
        Some(found) if found == (last, end) => Ok(last),
        None if last == 0 => Ok(0),
        found => Err(format!(
            "the ledger ends with {found:?}, the book with {:?}",
            (last, end)
        )),
    })
}

fn link(chain: i64, number: i64, amount: i64) -> i64 {
    (chain ^ number.wrapping_mul(1_000_003) ^ amount).wrapping_mul(0x0100_0000_01b3)
}

/// Xorshift, without the sign.
fn next(random: &mut u64) -> i64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    (*random >> 1) as i64
}
