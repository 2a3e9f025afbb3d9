//! The schema of `state.redb`: what a service keeps there, and what counts as work in progress.
//!
//! A service links to this module, so that it and hookshot agree. Every value is JSON.

use std::{borrow::Cow, fmt};

use anyhow::{Context as _, Result};
use redb::{ReadTransaction, TableDefinition, TableError};
use serde::{Deserialize, Serialize};

/// Deployments by id; the value is a [`Deployment`].
pub const DEPLOYMENTS: TableDefinition<&str, &str> = TableDefinition::new("deployments");
/// Services by name; the value is JSON of the service's own.
pub const SERVICES: TableDefinition<&str, &str> = TableDefinition::new("services");
/// Locks by service; the value is a [`Lock`].
pub const LOCKS: TableDefinition<&str, &str> = TableDefinition::new("locks");

/// The names of the tables that [`active`] reads.
pub const WORK_TABLES: [&str; 2] = ["deployments", "locks"];

/// The progress of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits for its turn.
    Queued,
    /// It runs.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// A user cancelled it.
    Cancelled,
}

impl Status {
    /// Returns true if the deployment still has work to do.
    pub fn is_active(self) -> bool {
        matches!(self, Status::Queued | Status::Running)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Queued => "queued",
            Status::Running => "running",
            Status::Succeeded => "succeeded",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
        })
    }
}

/// One deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id, the key of the row.
    pub id: String,
    /// The service that is deployed.
    pub service: String,
    /// Its progress.
    pub status: Status,
    /// The deployed version: a branch, a tag, a commit.
    #[serde(default)]
    pub git_ref: Option<String>,
    /// The time at which it began, RFC 3339.
    #[serde(default)]
    pub started_at: Option<String>,
    /// The time at which it ended, RFC 3339.
    #[serde(default)]
    pub finished_at: Option<String>,
    /// Its output.
    #[serde(default)]
    pub log: Option<String>,
}

/// A lock on a service, held by a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The deployment that holds it.
    pub deployment_id: String,
    /// The process that holds it.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The machine of that process.
    #[serde(default)]
    pub host: Option<String>,
    /// The boot of that machine (/proc/sys/kernel/random/boot_id): a lock of an earlier boot is stale.
    #[serde(default)]
    pub boot_id: Option<String>,
    /// The time at which it was taken, RFC 3339.
    #[serde(default)]
    pub acquired_at: Option<String>,
}

/// Work in progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Active {
    /// Deployments that are queued or running.
    pub deployments: Vec<Deployment>,
    /// Locks, with the service that each is for.
    pub locks: Vec<(String, Lock)>,
}

impl Active {
    /// Returns true if nothing is in progress.
    pub fn is_empty(&self) -> bool {
        self.deployments.is_empty() && self.locks.is_empty()
    }

    /// Returns the ids of the deployments in progress, including those that only a lock names.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .deployments
            .iter()
            .map(|deployment| deployment.id.clone())
            .collect();
        names.extend(
            self.locks
                .iter()
                .map(|(_, lock)| lock.deployment_id.clone()),
        );
        names.sort();
        names.dedup();
        names
    }

    /// Returns one line for each, for messages.
    pub fn describe(&self) -> Vec<String> {
        let deployment = |deployment: &Deployment| {
            format!(
                "deployment {} of {} is {}",
                deployment.id, deployment.service, deployment.status
            )
        };
        let lock = |(service, lock): &(String, Lock)| {
            format!("{service} is locked by deployment {}", lock.deployment_id)
        };
        self.deployments
            .iter()
            .map(deployment)
            .chain(self.locks.iter().map(lock))
            .collect()
    }
}

/// Returns the work in progress in a database. A missing table holds nothing. A table of other types, or a row that is
/// not such a record, is an error: the answer is unknown.
pub fn active(transaction: &ReadTransaction) -> Result<Active> {
    let mut active = Active::default();
    each_row(transaction, DEPLOYMENTS, |_, value| {
        // Nearly all of them ended long ago; their logs are not copied.
        let glance: Glance = serde_json::from_str(value)?;
        if glance.status.is_active() {
            active.deployments.push(serde_json::from_str(value)?);
        }
        Ok(())
    })?;
    each_row(transaction, LOCKS, |service, value| {
        let lock = serde_json::from_str(value)?;
        active.locks.push((service.to_owned(), lock));
        Ok(())
    })?;
    Ok(active)
}

/// The fields that every [`Deployment`] must have.
#[derive(Deserialize)]
struct Glance<'a> {
    #[serde(rename = "id", borrow)]
    _id: Cow<'a, str>,
    #[serde(rename = "service", borrow)]
    _service: Cow<'a, str>,
    status: Status,
}

fn each_row(
    transaction: &ReadTransaction,
    definition: TableDefinition<&'static str, &'static str>,
    mut take: impl FnMut(&str, &str) -> serde_json::Result<()>,
) -> Result<()> {
    let table = match transaction.open_table(definition) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error).context("it does not have the schema of hookshot"),
    };
    for row in table.range::<&str>(..)? {
        let (key, value) = row?;
        let key = key.value();
        // The value may hold a log with anything in it: a fault names the row, not its content.
        take(key, value.value())
            .map_err(|_| anyhow::anyhow!("row {key:?} is not a record of hookshot's schema"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::{Database, ReadableDatabase as _, backends::InMemoryBackend};

    fn database() -> Database {
        Database::builder()
            .create_with_backend(InMemoryBackend::new())
            .expect("a database")
    }

    fn put(
        db: &Database,
        table: TableDefinition<'static, &'static str, &'static str>,
        key: &str,
        value: &str,
    ) {
        let tx = db.begin_write().expect("a transaction");
        tx.open_table(table)
            .expect("a table")
            .insert(key, value)
            .expect("a row");
        tx.commit().expect("committed");
    }

    fn found(db: &Database) -> Result<Active> {
        active(&db.begin_read().expect("a transaction"))
    }

    #[test]
    fn tables_that_do_not_exist_hold_nothing() {
        assert!(found(&database()).expect("known").is_empty());
    }

    #[test]
    fn queued_running_and_locked_are_active_and_nothing_else() {
        let db = database();
        for status in ["queued", "running", "succeeded", "failed", "cancelled"] {
            put(
                &db,
                DEPLOYMENTS,
                status,
                &format!(r#"{{"id":"{status}","service":"web","status":"{status}","later":1}}"#),
            );
        }
        put(&db, LOCKS, "api", r#"{"deployment_id":"d9"}"#);
        let active = found(&db).expect("known");
        assert_eq!(active.names(), ["d9", "queued", "running"]);
        assert_eq!(active.describe()[2], "api is locked by deployment d9");
    }

    #[test]
    fn other_types_and_other_rows_mean_that_it_cannot_be_told() {
        let db = database();
        let other: TableDefinition<u64, u64> = TableDefinition::new("locks");
        let tx = db.begin_write().expect("a transaction");
        tx.open_table(other)
            .expect("a table")
            .insert(1, 1)
            .expect("a row");
        tx.commit().expect("committed");
        assert!(found(&db).is_err());
        let db = database();
        put(&db, DEPLOYMENTS, "d1", r#"{"id":"d1","log":"hunter2"}"#);
        let error = format!("{:#}", found(&db).expect_err("no status"));
        assert!(
            error.contains("d1") && !error.contains("hunter2"),
            "{error}"
        );
    }
}
