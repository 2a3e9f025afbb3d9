//! The audit trail: each change, with its name and time. Each record's digest covers the record before it.

use anyhow::Result;
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::{file::Database, times::moment};
use crate::model::digest::Digest;

/// An act, as the trail keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Deed<'a> {
    /// The name of the user or token; `unknown` for a login with the name of no account.
    pub actor: &'a str,
    /// The address that it came from.
    pub address: &'a str,
    /// The act.
    pub action: &'a str,
    /// The object of the act.
    pub target: &'a str,
    /// The way it ended: `done`, or the kind of the failure.
    pub outcome: &'a str,
}

/// A change by the command line: the user of the machine, and the time.
#[derive(Debug, Clone, Copy)]
pub struct ByHand<'a> {
    /// The name of the user of the machine.
    pub user: &'a str,
    /// The time.
    pub now: DateTime<Utc>,
}

impl ByHand<'_> {
    /// Appends a record of what this user did.
    pub fn record(&self, transaction: &Transaction<'_>, action: &str, target: &str) -> Result<()> {
        let deed = Deed {
            actor: self.user,
            address: "command line",
            action,
            target,
            outcome: "done",
        };
        append(transaction, deed, self.now)
    }
}

/// A record of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AuditRecord {
    /// Its number; they count from 1 without a gap.
    pub number: i64,
    /// Its time, in Unix seconds; RFC 3339 in JSON.
    #[serde(serialize_with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub at: i64,
    /// The name of the user or token; `unknown` for a login with the name of no account.
    pub actor: String,
    /// The address that it came from.
    pub address: String,
    /// The act.
    pub action: String,
    /// The object of the act.
    pub target: String,
    /// The way it ended.
    pub outcome: String,
    /// The digest of this record and of all before it.
    pub digest: String,
}

impl AuditRecord {
    fn of(row: &Row<'_>) -> rusqlite::Result<AuditRecord> {
        Ok(AuditRecord {
            number: row.get("number")?,
            at: row.get("at")?,
            actor: row.get("actor")?,
            address: row.get("address")?,
            action: row.get("action")?,
            target: row.get("target")?,
            outcome: row.get("outcome")?,
            digest: row.get("digest")?,
        })
    }

    /// Returns the digest that this record has after one with the digest `before`.
    fn digest_after(&self, before: &str) -> Result<String> {
        let told = (before, self.number, self.at, &self.actor, &self.address);
        let told = serde_json::to_vec(&(told, &self.action, &self.target, &self.outcome))?;
        Ok(Digest::of(&told).to_string())
    }
}

impl Database {
    /// Appends a record.
    pub fn record(&self, deed: Deed<'_>, now: DateTime<Utc>) -> Result<()> {
        self.change(|transaction| append(transaction, deed, now))
    }

    /// Returns records, the newest first: at most `count`, older than the number `before`.
    pub fn audit(&self, before: Option<i64>, count: u32) -> Result<Vec<AuditRecord>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT * FROM audit WHERE number < ?1 ORDER BY number DESC LIMIT ?2",
            )?;
            let records =
                query.query_map(params![before.unwrap_or(i64::MAX), count], AuditRecord::of)?;
            records.collect()
        })
    }

    /// Returns the number of the first record that is not as it was written; `None` if all are, and none is missing.
    pub fn audit_fault(&self) -> Result<Option<i64>> {
        let (records, last) = self.read(|connection| {
            let mut query = connection.prepare("SELECT * FROM audit ORDER BY number")?;
            let records: Vec<AuditRecord> = query
                .query_map([], AuditRecord::of)?
                .collect::<rusqlite::Result<_>>()?;
            Ok((records, end(connection)?))
        })?;
        let mut before = (0, String::new());
        for record in records {
            let is_next = record.number == before.0 + 1;
            if !is_next || record.digest != record.digest_after(&before.1)? {
                return Ok(Some(before.0 + 1));
            }
            before = (record.number, record.digest);
        }
        let is_whole = last.unwrap_or_default() == before;
        Ok((!is_whole).then_some(before.0 + 1))
    }
}

/// Appends a record within a change, so that neither is without the other.
pub fn append(transaction: &Transaction<'_>, deed: Deed<'_>, now: DateTime<Utc>) -> Result<()> {
    let last = end(transaction)?;
    let (number, before) = last.unwrap_or_default();
    let mut record = AuditRecord {
        number: number + 1,
        at: now.timestamp(),
        actor: deed.actor.to_owned(),
        address: deed.address.to_owned(),
        action: deed.action.to_owned(),
        target: deed.target.to_owned(),
        outcome: deed.outcome.to_owned(),
        digest: String::new(),
    };
    record.digest = record.digest_after(&before)?;
    transaction.execute(
        "INSERT INTO audit (number, at, actor, address, action, target, outcome, digest) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            record.number,
            record.at,
            record.actor,
            record.address,
            record.action,
            record.target,
            record.outcome,
            record.digest
        ],
    )?;
    transaction.execute(
        "INSERT OR REPLACE INTO audit_end (one, number, digest) VALUES (1, ?1, ?2)",
        params![record.number, record.digest],
    )?;
    Ok(())
}

/// Returns number and digest of the last record, which are kept a second time: a trail that was cut is noticed.
fn end(connection: &rusqlite::Connection) -> rusqlite::Result<Option<(i64, String)>> {
    let mut query = connection.prepare_cached("SELECT number, digest FROM audit_end")?;
    let row = query.query_row([], |row| Ok((row.get(0)?, row.get(1)?)));
    row.optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_a_cut_and_a_swap_are_found() {
        let now = DateTime::from_timestamp(1_796_040_000, 0).expect("a time");
        for (harm, fault) in [
            ("", None),
            ("UPDATE audit SET actor = 'eve' WHERE number = 2", Some(2)),
            ("UPDATE audit SET at = at + 1 WHERE number = 3", Some(3)),
            ("DELETE FROM audit WHERE number = 2", Some(2)),
            ("DELETE FROM audit WHERE number = 3", Some(3)),
            ("DELETE FROM audit", Some(1)),
            (
                "UPDATE audit SET number = -1 WHERE number = 1; UPDATE audit SET number = 1 WHERE number = 2; \
                 UPDATE audit SET number = 2 WHERE number = -1",
                Some(1),
            ),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let database = Database::open(&folder.path().join("serve.sqlite")).expect("made");
            for actor in ["anna", "ben", "cleo"] {
                let deed = Deed {
                    actor,
                    address: "127.0.0.1",
                    action: "login",
                    target: "",
                    outcome: "done",
                };
                database.record(deed, now).expect("recorded");
            }
            database
                .read(|connection| connection.execute_batch(harm))
                .expect("harmed");
            assert_eq!(database.audit_fault().expect("read"), fault, "{harm}");
        }
    }
}
