//! The services whose archives are known: counts, ages, days and sizes.

use std::collections::HashMap;

use anyhow::Result;

use super::file::Database;

/// The archives of a service, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCount {
    /// The beginning of the names of its archives.
    pub prefix: String,
    /// The configuration whose destinations hold them.
    pub config: String,
    /// The number of its archives.
    pub archives: u64,
    /// The time of the newest one, in Unix seconds.
    pub newest_at: i64,
    /// The bytes of all copies.
    pub size_bytes: u64,
}

/// A day with archives of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// The day, in UTC, counted from the epoch.
    pub day: i64,
    /// The number of its archives.
    pub archives: u64,
    /// True if a copy of one of them is not known to be damaged or incomplete.
    pub is_usable: bool,
}

/// The size of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sized {
    /// Its identifier.
    pub id: String,
    /// The time that it tells, in Unix seconds.
    pub created_at: i64,
    /// The bytes of its largest copy.
    pub size_bytes: u64,
}

impl Database {
    /// Returns the numbers of all services, by prefix.
    pub fn service_counts(&self) -> Result<Vec<ServiceCount>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT prefix, config, count(DISTINCT id), max(created_at), total(size_bytes) \
                 FROM archives LEFT JOIN copies ON archive = id GROUP BY prefix, config ORDER BY prefix, config",
            )?;
            let rows = query.query_map([], |row| {
                Ok(ServiceCount {
                    prefix: row.get(0)?,
                    config: row.get(1)?,
                    archives: positive(row.get(2)?),
                    newest_at: row.get(3)?,
                    size_bytes: row.get::<_, f64>(4)? as u64,
                })
            })?;
            rows.collect()
        })
    }

    /// Returns the days with archives of these services since a day, the oldest first.
    pub fn days(&self, prefixes: &[&str], since: i64) -> Result<HashMap<String, Vec<Day>>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT created_at / 86400 AS day, count(DISTINCT id), max(standing NOT IN ('damaged', 'incomplete')) \
                 FROM archives JOIN copies ON archive = id WHERE prefix = ?1 AND created_at >= ?2 * 86400 \
                 GROUP BY day ORDER BY day",
            )?;
            let mut all = HashMap::new();
            for prefix in prefixes {
                let rows = query.query_map((prefix, since), |row| {
                    Ok(Day {
                        day: row.get(0)?,
                        archives: positive(row.get(1)?),
                        is_usable: row.get(2)?,
                    })
                })?;
                let days = rows.collect::<rusqlite::Result<_>>()?;
                all.insert((*prefix).to_owned(), days);
            }
            Ok(all)
        })
    }

    /// Returns the sizes of the newest archives of a service, the oldest of them first.
    pub fn sizes(&self, prefix: &str, count: u32) -> Result<Vec<Sized>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT id, created_at, max(size_bytes) FROM archives JOIN copies ON archive = id \
                 WHERE prefix = ?1 GROUP BY id ORDER BY created_at DESC, id DESC LIMIT ?2",
            )?;
            let rows = query.query_map((prefix, count), |row| {
                Ok(Sized {
                    id: row.get(0)?,
                    created_at: row.get(1)?,
                    size_bytes: positive(row.get(2)?),
                })
            })?;
            let mut sizes: Vec<Sized> = rows.collect::<rusqlite::Result<_>>()?;
            sizes.reverse();
            Ok(sizes)
        })
    }
}

fn positive(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::serve::database::SeenArchive;

    fn seen(destination: &str, name: &str, seconds: i64, standing: &str) -> SeenArchive {
        let archive = json!({
            "destination": destination, "location": format!("{destination}/{name}"), "name": name, "prefix": "a",
            "time": DateTime::from_timestamp(seconds, 0), "modified": null, "size_bytes": seconds % 1000, "mark": null,
            "standing": standing, "sealed": false
        });
        serde_json::from_value(archive).expect("an archive")
    }

    #[test]
    fn an_archive_at_two_destinations_counts_once_and_one_usable_copy_makes_a_usable_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&folder.path().join("state")).expect("made");
        let all = [
            seen("d1", "x", 86_405, "unproven"),
            seen("d2", "x", 86_405, "damaged"),
            seen("d1", "y", 86_409, "damaged"),
            seen("d1", "z", 172_805, "damaged"),
        ];
        database.keep_archives("c", &all, &[]).expect("kept");
        let counts = database.service_counts().expect("counts");
        let count = ServiceCount {
            prefix: "a".to_owned(),
            config: "c".to_owned(),
            archives: 3,
            newest_at: 172_805,
            size_bytes: 405 + 405 + 409 + 805,
        };
        assert_eq!(counts, [count]);
        let day = |day, archives, is_usable| Day {
            day,
            archives,
            is_usable,
        };
        let days = database.days(&["a", "b"], 1).expect("days");
        assert_eq!(days["a"], [day(1, 2, true), day(2, 1, false)]);
        assert!(days["b"].is_empty());
        assert_eq!(database.days(&["a"], 2).expect("days")["a"].len(), 1);
        let sizes = database.sizes("a", 2).expect("sizes");
        let sizes: Vec<_> = sizes
            .iter()
            .map(|one| (one.created_at, one.size_bytes))
            .collect();
        assert_eq!(sizes, [(86_409, 409), (172_805, 805)]);
    }
}
