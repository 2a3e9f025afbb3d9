//! The archives of the destinations, as the verbs told them last.

use anyhow::Result;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{file::Database, times::moment_or_none};
use crate::model::digest::Digest;

/// The digits of the identifier of an archive: enough to tell a million apart.
pub const ID_DIGITS: usize = 20;

/// The report of a verb, and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The time, in Unix seconds.
    pub at: i64,
    /// Its exit code.
    pub exit_code: u8,
    /// Its report in JSON.
    pub answer: Value,
}

/// A line of the report of `list`.
#[derive(Debug, Clone, Deserialize)]
pub struct SeenArchive {
    /// The destination, as the verb names it.
    pub destination: String,
    /// The archive, as other verbs take it.
    pub location: String,
    /// The name of its file.
    pub name: String,
    /// The beginning of the names of its service.
    pub prefix: String,
    /// The time that it tells.
    pub time: DateTime<Utc>,
    /// The time of the store.
    pub modified: Option<DateTime<Utc>>,
    /// The bytes that it takes there.
    pub size_bytes: u64,
    /// The mark that keeps it, in words.
    pub mark: Option<Value>,
    /// Its standing, in a word.
    pub standing: String,
    /// True if only a key opens it.
    pub sealed: bool,
}

/// An archive, with its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Its identifier: hexadecimal digits.
    pub id: String,
    /// The configuration whose destinations hold it.
    pub config: String,
    /// The name of its file.
    pub name: String,
    /// The beginning of the names of its service.
    pub prefix: String,
    /// The time that it tells, in Unix seconds.
    pub created_at: i64,
    /// Its copies, by destination.
    pub copies: Vec<Copy>,
}

/// An archive at one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Copy {
    /// The destination.
    pub destination: String,
    /// The archive there, as verbs take it.
    pub location: String,
    /// The bytes that it takes there.
    pub size_bytes: u64,
    /// The time of the store, in Unix seconds; RFC 3339 in JSON.
    #[serde(serialize_with = "moment_or_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub modified_at: Option<i64>,
    /// The mark that keeps it, in words.
    pub mark: Option<String>,
    /// Its standing, in a word: `good`, `unproven`, `bad` and others of the report of `list`.
    pub standing: String,
    /// True if only a key opens it.
    #[serde(rename = "sealed")]
    pub is_sealed: bool,
}

/// The archives that are asked for.
#[derive(Debug, Clone, Default)]
pub struct ArchiveFilter {
    /// Those of these services alone, by prefix; `None` for all.
    pub prefixes: Option<Vec<String>>,
    /// Those of this time and later ones, in Unix seconds.
    pub since: Option<i64>,
    /// Those before this one in the order of time: time and identifier.
    pub before: Option<(i64, String)>,
    /// The most archives.
    pub count: u32,
}

impl Archive {
    /// Returns the copy by which the archive is read: a good one, if there is one.
    pub fn best_copy(&self) -> Option<&Copy> {
        let good = self.copies.iter().find(|copy| copy.standing == "good");
        good.or(self.copies.first())
    }
}

impl Database {
    /// Keeps what a verb told.
    pub fn keep_look(&self, config: &str, verb: &str, look: &Look) -> Result<()> {
        let answer = serde_json::to_string(&look.answer)?;
        self.change(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO looks (config, verb, at, exit_code, answer) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![config, verb, look.at, look.exit_code, answer],
            )?;
            Ok(())
        })
    }

    /// Returns what a verb told last.
    pub fn look(&self, config: &str, verb: &str) -> Result<Option<Look>> {
        let found = self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT at, exit_code, answer FROM looks WHERE config = ?1 AND verb = ?2",
            )?;
            let row = query.query_row([config, verb], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
            });
            row.optional()
        })?;
        let look = found.map(|(at, exit_code, answer)| {
            let answer = serde_json::from_str(&answer)?;
            Ok(Look {
                at,
                exit_code,
                answer,
            })
        });
        look.transpose()
    }

    /// Forgets what verbs told, and the archives: they are read anew.
    pub fn forget_looks(&self) -> Result<()> {
        self.change(|transaction| {
            transaction
                .execute_batch("DELETE FROM copies; DELETE FROM archives; DELETE FROM looks")?;
            Ok(())
        })
    }

    /// Replaces the archives of a configuration by those that were seen. Those of destinations that did not answer stay.
    pub fn keep_archives(
        &self,
        config: &str,
        seen: &[SeenArchive],
        silent: &[String],
    ) -> Result<()> {
        self.change(|transaction| {
            let mut copies = transaction.prepare(
                "SELECT copies.rowid, destination FROM copies JOIN archives ON id = archive WHERE config = ?1",
            )?;
            let rows = copies.query_map([config], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })?;
            let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
            let mut delete = transaction.prepare("DELETE FROM copies WHERE rowid = ?1")?;
            for (row, destination) in rows {
                if !silent.contains(&destination) {
                    delete.execute([row])?;
                }
            }
            let mut archive = transaction.prepare(
                "INSERT INTO archives (id, config, name, prefix, created_at) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (id) DO UPDATE SET created_at = min(created_at, excluded.created_at)",
            )?;
            let mut copy = transaction.prepare(
                "INSERT OR REPLACE INTO copies \
                 (archive, destination, location, size_bytes, modified_at, mark, standing, is_sealed) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            for seen in seen {
                let id = id_of(config, &seen.name);
                let time = seen.time.timestamp();
                archive.execute(params![id, config, seen.name, seen.prefix, time])?;
                let mark = seen.mark.as_ref().map(|mark| match mark.as_str() {
                    Some(mark) => mark.to_owned(),
                    None => mark.to_string(),
                });
                copy.execute(params![
                    id,
                    seen.destination,
                    seen.location,
                    i64::try_from(seen.size_bytes).unwrap_or(i64::MAX),
                    seen.modified.map(|time| time.timestamp()),
                    mark,
                    seen.standing,
                    seen.sealed
                ])?;
            }
            transaction.execute(
                "DELETE FROM archives WHERE config = ?1 AND id NOT IN (SELECT archive FROM copies)",
                [config],
            )?;
            Ok(())
        })
    }

    /// Returns archives, the newest first.
    pub fn archives(&self, filter: &ArchiveFilter) -> Result<Vec<Archive>> {
        let mut conditions = vec!["TRUE".to_owned()];
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        if let Some(prefixes) = &filter.prefixes {
            let marks = vec!["?"; prefixes.len()].join(", ");
            conditions.push(format!("prefix IN ({marks})"));
            values.extend(
                prefixes
                    .iter()
                    .map(|prefix| Box::new(prefix.clone()) as Box<dyn ToSql>),
            );
        }
        if let Some(since) = filter.since {
            conditions.push("created_at >= ?".to_owned());
            values.push(Box::new(since));
        }
        if let Some((time, id)) = &filter.before {
            conditions.push("(created_at, id) < (?, ?)".to_owned());
            values.push(Box::new(*time));
            values.push(Box::new(id.clone()));
        }
        let conditions = conditions.join(" AND ");
        let text = format!(
            "SELECT * FROM archives WHERE {conditions} ORDER BY created_at DESC, id DESC LIMIT {}",
            filter.count
        );
        self.read(|connection| {
            let mut query = connection.prepare_cached(&text)?;
            let values = rusqlite::params_from_iter(values.iter());
            let archives = query.query_map(values, archive_of)?;
            let mut archives: Vec<Archive> = archives.collect::<rusqlite::Result<_>>()?;
            for archive in &mut archives {
                archive.copies = copies_of(connection, &archive.id)?;
            }
            Ok(archives)
        })
    }

    /// Returns an archive.
    pub fn archive(&self, id: &str) -> Result<Option<Archive>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached("SELECT * FROM archives WHERE id = ?1")?;
            let Some(mut archive) = query.query_row([id], archive_of).optional()? else {
                return Ok(None);
            };
            archive.copies = copies_of(connection, id)?;
            Ok(Some(archive))
        })
    }
}

/// Returns the identifier of an archive or destination of a configuration: it stays as long as its name.
pub fn id_of(config: &str, name: &str) -> String {
    let mut id = Digest::of(format!("{config}\n{name}").as_bytes()).to_string();
    id.truncate(ID_DIGITS);
    id
}

fn archive_of(row: &Row<'_>) -> rusqlite::Result<Archive> {
    Ok(Archive {
        id: row.get("id")?,
        config: row.get("config")?,
        name: row.get("name")?,
        prefix: row.get("prefix")?,
        created_at: row.get("created_at")?,
        copies: Vec::new(),
    })
}

fn copies_of(connection: &Connection, archive: &str) -> rusqlite::Result<Vec<Copy>> {
    let mut query = connection
        .prepare_cached("SELECT * FROM copies WHERE archive = ?1 ORDER BY destination")?;
    let copies = query.query_map([archive], |row| {
        let size: i64 = row.get("size_bytes")?;
        Ok(Copy {
            destination: row.get("destination")?,
            location: row.get("location")?,
            size_bytes: u64::try_from(size).unwrap_or_default(),
            modified_at: row.get("modified_at")?,
            mark: row.get("mark")?,
            standing: row.get("standing")?,
            is_sealed: row.get("is_sealed")?,
        })
    })?;
    copies.collect()
}
