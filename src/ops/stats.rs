//! `stats`: how much destinations hold, how it grows, and how well it is compressed.

use std::{collections::BTreeMap, ffi::OsString};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::{
    catalog::{
        destination::Destination,
        each::{FailedDestination, Hosts, at_each, failure_of},
        repository::{ListedArchive, Manifests},
        vault::VaultFigures,
    },
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::{limits::MAX_LOOKS, written::rfc3339},
    ops::{
        list::{PassedFile, unread_failure},
        repo::ratio,
    },
    store::{Stored, is_cold},
};

/// The days over which the present growth is measured.
const DAYS: i64 = 30;

/// The request for statistics.
#[derive(Debug, Clone)]
pub struct StatsRequest {
    /// The destinations; none for those of `[backup] to`.
    pub destinations: Vec<OsString>,
    /// The hosts whose archives are counted; those of each prefix are counted apart.
    pub hosts: Hosts,
}

/// The figures of all destinations.
#[derive(Debug, Serialize)]
pub struct StatsReport {
    /// One row for each destination and prefix.
    pub destinations: Vec<DestinationStats>,
    /// Files that could not be read, and are not in the figures: each may be an archive.
    pub other_files: Vec<PassedFile>,
    /// Destinations that could not be read.
    pub failed: Vec<FailedDestination>,
    /// The failure of the run, if a destination or a file could not be read.
    #[serde(skip)]
    pub failure: Option<Failure>,
    /// The number of destinations.
    #[serde(skip)]
    pub count: usize,
}

/// The figures of one destination and prefix.
#[derive(Debug, Serialize)]
pub struct DestinationStats {
    /// The destination, as messages name it.
    pub destination: String,
    /// The prefix of the archives.
    pub prefix: String,
    /// The number of archives.
    pub archives: usize,
    /// Their stored bytes; of a repository, those of all that it holds.
    pub size_bytes: u64,
    /// The oldest archive.
    pub oldest: Option<Dated>,
    /// The newest archive.
    pub newest: Option<Dated>,
    /// The bytes that the archives of the last 30 days added, for each day.
    pub bytes_per_day: u64,
    /// The bytes of the entries of those archives whose manifests were read.
    pub content_bytes: u64,
    /// The number of those archives: the newest 100 of a store elsewhere, and all of a folder.
    pub measured: usize,
    /// The bytes before compression for each stored byte; `None` if no manifest could be read.
    pub compression_ratio: Option<f64>,
    /// The bytes of the entries for each byte of content that is stored, each once: 1 if archives share nothing.
    pub dedup_ratio: Option<f64>,
    /// The days on which archives were made, the newest first.
    pub days: Vec<DayStats>,
}

/// An archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dated {
    /// Its name.
    pub name: String,
    /// The time of its snapshot.
    pub time: String,
    /// Its stored size; of a repository, the size of its files.
    pub size_bytes: u64,
}

/// The archives of one day, in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayStats {
    /// The day.
    pub day: String,
    /// The number of archives.
    pub archives: usize,
    /// The bytes by which the destination grew on that day.
    pub size_bytes: u64,
}

/// Counts the archives of every destination.
pub fn stats(
    context: &Context,
    settings: &Settings,
    request: &StatsRequest,
) -> Result<StatsReport> {
    let mut other_files = Vec::new();
    let (rows, failed) = at_each(context, settings, &request.destinations, |destination| {
        let prefix = request.hosts.prefix(settings);
        let listing = destination.repository.list(prefix, Manifests::OfAll)?;
        let mut hosts: BTreeMap<&str, Vec<&ListedArchive>> = BTreeMap::new();
        if let Some(prefix) = prefix {
            hosts.insert(prefix, Vec::new());
        }
        for listed in &listing.archives {
            hosts.entry(listed.prefix()).or_default().push(listed);
        }
        let vault = destination.repository.vault();
        let figures = vault.map(|vault| vault.figures()).transpose()?;
        let rows = hosts.into_iter().map(|(prefix, archives)| {
            let content = match &figures {
                Some(figures) => Content::shared(figures, &archives),
                None => Content::apart(context, &destination, &archives)?,
            };
            Ok(row(&destination, prefix, &archives, content, context.now))
        });
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let unread = listing
            .other_files
            .into_iter()
            .filter(|file| file.is_unread);
        other_files.extend(unread.map(|file| PassedFile::at(&destination, file)));
        Ok(rows)
    })?;
    let count = rows.len() + failed.len();
    let unread = other_files.iter().map(PassedFile::fault).collect();
    Ok(StatsReport {
        destinations: rows.into_iter().flatten().collect(),
        failure: failure_of(&failed, count).or_else(|| unread_failure(unread)),
        other_files,
        failed,
        count,
    })
}

/// Returns the row of one prefix, whose archives come the newest first.
fn row(
    destination: &Destination,
    prefix: &str,
    archives: &[&ListedArchive],
    content: Content,
    now: DateTime<Utc>,
) -> DestinationStats {
    let dated = |listed: &&ListedArchive| Dated {
        name: listed.stored.name.clone(),
        time: rfc3339(listed.time),
        size_bytes: listed.stored.size_bytes,
    };
    DestinationStats {
        destination: destination.shown(),
        prefix: prefix.to_owned(),
        archives: archives.len(),
        size_bytes: content.size_bytes,
        oldest: archives.last().map(dated),
        newest: archives.first().map(dated),
        bytes_per_day: per_day(&content.growth, now),
        content_bytes: content.content_bytes,
        measured: content.measured,
        compression_ratio: content.compression_ratio,
        dedup_ratio: content.dedup_ratio,
        days: days(&content.growth),
    }
}

/// The bytes of archives: of their entries, and as they are stored.
struct Content {
    size_bytes: u64,
    content_bytes: u64,
    measured: usize,
    compression_ratio: Option<f64>,
    dedup_ratio: Option<f64>,
    /// The bytes that each archive added, with its time.
    growth: Vec<(DateTime<Utc>, u64)>,
}

impl Content {
    /// Measures archives that share their content with others of their repository.
    fn shared(figures: &VaultFigures, archives: &[&ListedArchive]) -> Content {
        let added = |listed: &ListedArchive| {
            let added = figures.added.get(&listed.stored.name);
            added.copied().unwrap_or_default()
        };
        let growth = archives.iter().map(|listed| (listed.time, added(listed)));
        Content {
            size_bytes: figures.size_bytes,
            content_bytes: sum(archives.iter().map(|listed| listed.stored.size_bytes)),
            measured: archives.len(),
            compression_ratio: ratio(figures.unique_bytes, figures.packed_bytes),
            dedup_ratio: ratio(figures.content_bytes, figures.unique_bytes),
            growth: growth.collect(),
        }
    }

    /// Measures archives that lie side by side. Reads the manifests of the newest ones.
    fn apart(
        context: &Context,
        destination: &Destination,
        archives: &[&ListedArchive],
    ) -> Result<Content> {
        let most = match destination.folder() {
            Some(_) => archives.len(),
            None => MAX_LOOKS,
        };
        let (mut content_bytes, mut stored_bytes, mut measured) = (0u64, 0u64, 0);
        for listed in archives.iter().take(most) {
            context.stop.check()?;
            if let Some(bytes) = content_of(context, destination, &listed.stored)? {
                content_bytes = content_bytes.saturating_add(bytes);
                stored_bytes = stored_bytes.saturating_add(listed.stored.size_bytes);
                measured += 1;
            }
        }
        let sizes = archives
            .iter()
            .map(|listed| (listed.time, listed.stored.size_bytes));
        let growth: Vec<(DateTime<Utc>, u64)> = sizes.collect();
        Ok(Content {
            size_bytes: sum(growth.iter().map(|(_, bytes)| *bytes)),
            content_bytes,
            measured,
            compression_ratio: ratio(content_bytes, stored_bytes),
            dedup_ratio: (stored_bytes > 0).then_some(1.0),
            growth,
        })
    }
}

/// Returns the bytes of the entries of an archive; `None` if its manifest cannot be read, and this machine does not know
/// it.
fn content_of(
    context: &Context,
    destination: &Destination,
    stored: &Stored,
) -> Result<Option<u64>> {
    match destination.repository.inside(context, stored) {
        Ok(inside) => Ok(inside.content_bytes()),
        Err(error) => match Failure::of(&error) {
            failure if failure.kind == Kind::NotFound || is_cold(&failure) => Ok(None),
            _ => Err(error),
        },
    }
}

fn sum(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

/// Returns the bytes of the archives of the last 30 days for each day; of fewer days if the oldest one is younger.
fn per_day(sizes: &[(DateTime<Utc>, u64)], now: DateTime<Utc>) -> u64 {
    let begin = now - TimeDelta::days(DAYS);
    let recent = sizes.iter().filter(|(time, _)| *time > begin);
    let bytes = sum(recent.map(|(_, bytes)| *bytes));
    let first = sizes.iter().map(|(time, _)| *time).min().unwrap_or(now);
    let days = (now - first).num_days().saturating_add(1).clamp(1, DAYS);
    bytes / days.unsigned_abs()
}

/// Groups archives by their days, the newest first.
fn days(sizes: &[(DateTime<Utc>, u64)]) -> Vec<DayStats> {
    let mut days: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for (time, bytes) in sizes {
        let day = days.entry(time.date_naive().to_string()).or_default();
        *day = (day.0 + 1, day.1.saturating_add(*bytes));
    }
    let newest_first = days.into_iter().rev();
    newest_first
        .map(|(day, (archives, size_bytes))| DayStats {
            day,
            archives,
            size_bytes,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_that_of_the_last_thirty_days() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().expect("a time");
        let at = |days: i64, bytes: u64| (now - TimeDelta::days(days), bytes);
        assert_eq!(per_day(&[], now), 0);
        assert_eq!(per_day(&[at(0, 100)], now), 100);
        assert_eq!(per_day(&[at(0, 100), at(1, 100)], now), 100);
        assert_eq!(per_day(&[at(0, 300), at(29, 300), at(400, 9999)], now), 20);
        let days = days(&[at(0, 1), at(0, 2), at(3, 4)]);
        let shown: Vec<_> = days
            .iter()
            .map(|day| (day.day.as_str(), day.archives, day.size_bytes))
            .collect();
        assert_eq!(shown, [("2026-11-21", 2, 3), ("2026-11-18", 1, 4)]);
    }
}
