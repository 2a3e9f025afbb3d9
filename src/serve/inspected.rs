//! The report of `inspect`, read while it comes: of 190,000 entries only those that are wanted are in memory.

use std::{
    fmt,
    io::{BufReader, Read},
    path::Path,
};

use anyhow::Result;
use chrono::DateTime;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    answer::{Trouble, told},
    database::Copy,
    program::{Asked, Program},
};
use crate::model::written::rfc3339;

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Entry {
    /// Its name.
    pub entry: String,
    /// Its kind: `file`, `redb`, `sqlite`, `command`, `listing`.
    pub kind: String,
    /// Its bytes.
    pub size_bytes: u64,
    /// Its mode, in octal.
    pub mode: Option<String>,
    /// The name of its owner.
    pub user: Option<String>,
    /// The time of its last change.
    #[schema(format = DateTime)]
    pub modified_at: Option<String>,
    /// The SHA-256 of its content.
    pub sha256: Option<String>,
    /// True if it holds secrets.
    pub secret: bool,
}

/// The part of a record of the manifest that is read.
#[derive(Debug, Deserialize)]
struct Record {
    kind: Option<String>,
    #[serde(default)]
    size: u64,
    mode: Option<String>,
    user: Option<String>,
    mtime: Option<i64>,
    checksum: Option<String>,
    #[serde(default)]
    secret: bool,
}

impl Entry {
    fn of(entry: String, record: Record) -> Entry {
        let time = record
            .mtime
            .and_then(|time| DateTime::from_timestamp(time, 0));
        Entry {
            entry,
            kind: record.kind.unwrap_or_else(|| "file".to_owned()),
            size_bytes: record.size,
            mode: record.mode,
            user: record.user,
            modified_at: time.map(rfc3339),
            sha256: record.checksum,
            secret: record.secret,
        }
    }
}

/// The entries that are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Those of this name, and those below it.
    pub path: Option<String>,
    /// Those behind this name, in the order of names.
    pub after: Option<String>,
    /// The most entries.
    pub count: usize,
    /// The way in which entries below folders are given.
    pub depth: Depth,
}

/// The way in which entries below folders are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Depth {
    /// Each by itself.
    #[default]
    All,
    /// Those of a folder as one sum.
    Folders,
}

/// A folder of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The name that the names of its entries begin with.
    pub name: String,
    /// The number of its entries, at any depth.
    pub entries: u64,
    /// The bytes of its entries.
    pub size_bytes: u64,
}

impl Wanted {
    /// Wants this entry alone.
    pub fn one(name: &str) -> Wanted {
        Wanted {
            path: Some(name.to_owned()),
            count: 1,
            ..Wanted::default()
        }
    }

    /// Wants the first entries.
    pub fn first(count: usize) -> Wanted {
        Wanted {
            count,
            ..Wanted::default()
        }
    }

    /// Wants what is directly below a path: the first entries and folders behind a name.
    pub fn below(path: Option<String>, after: Option<String>, count: usize) -> Wanted {
        Wanted {
            path,
            after,
            count,
            depth: Depth::Folders,
        }
    }

    /// Returns the folder, directly below the path, that an entry is in; `None` if it is not in one.
    fn folder<'a>(&self, name: &'a str) -> Option<&'a str> {
        if self.depth == Depth::All {
            return None;
        }
        let start = self.path.as_ref().map_or(0, |path| path.len() + 1);
        let end = start + name.get(start..)?.find('/')?;
        name.get(..end)
    }

    fn takes(&self, name: &str) -> bool {
        let is_below = self.path.as_deref().is_none_or(|path| {
            let below = name.strip_prefix(path);
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        });
        is_below && self.after.as_deref().is_none_or(|after| name > after)
    }
}

/// The report of `inspect` without most of its entries.
#[derive(Debug, Default)]
pub struct Inspected {
    /// The report, whose manifest has no `files`.
    pub report: Map<String, Value>,
    /// The wanted entries, by name.
    pub entries: Vec<Entry>,
    /// The wanted folders, by name.
    pub folders: Vec<Folder>,
    /// The number of all entries.
    pub count: u64,
    /// True if there are more wanted entries than were wanted at once.
    pub has_more: bool,
}

/// Inspects an archive.
///
/// Errors: the failure of the verb.
pub async fn inspect(
    program: &Program,
    config: &Path,
    copy: &Copy,
    wanted: Wanted,
) -> Result<Inspected, Trouble> {
    let read = move |report: &mut dyn Read| read(report, wanted);
    let (_, inspected) = program.read(config, &Asked::Inspect(copy), read).await?;
    let error = inspected.report.get("error").and_then(told);
    match error.filter(|_| !inspected.report.contains_key("manifest")) {
        Some(failure) => Err(failure.into()),
        None => Ok(inspected),
    }
}

fn read(report: &mut dyn Read, wanted: Wanted) -> Result<Inspected> {
    let mut inspected = Inspected::default();
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(report));
    let seed = Part {
        wanted: &wanted,
        inspected: &mut inspected,
        level: Level::Report,
    };
    let report = seed.deserialize(&mut reader)?;
    inspected.report = report;
    Ok(inspected)
}

/// The objects of the report that are read key by key.
#[derive(Debug, Clone, Copy)]
enum Level {
    Report,
    Manifest,
}

/// An object of the report.
struct Part<'a> {
    wanted: &'a Wanted,
    inspected: &'a mut Inspected,
    level: Level,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            match (self.level, key.as_str()) {
                (Level::Report, "manifest") => {
                    let manifest = Part {
                        wanted: self.wanted,
                        inspected: &mut *self.inspected,
                        level: Level::Manifest,
                    };
                    out.insert(key, map.next_value_seed(manifest)?.into());
                }
                (Level::Manifest, "files") => {
                    map.next_value_seed(Files(self.wanted, &mut *self.inspected))?;
                }
                _ => {
                    out.insert(key, map.next_value()?);
                }
            }
        }
        Ok(out)
    }
}

/// The object of all entries.
struct Files<'a>(&'a Wanted, &'a mut Inspected);

impl<'de> DeserializeSeed<'de> for Files<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Files<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Files(wanted, inspected) = self;
        let mut last: Option<String> = None;
        while let Some(name) = map.next_key::<String>()? {
            // A page goes on behind a name, so names have to come in order.
            if last.as_deref().is_some_and(|last| name.as_str() <= last) {
                return Err(A::Error::custom("the entries are not in order"));
            }
            inspected.count += 1;
            let is_full = inspected.entries.len() + inspected.folders.len() == wanted.count;
            let folder = wanted.folder(&name);
            let last_folder = inspected.folders.last_mut();
            let same_folder = last_folder.filter(|known| folder == Some(known.name.as_str()));
            if !wanted.takes(&name) {
                map.next_value::<IgnoredAny>()?;
            } else if let Some(known) = same_folder {
                let record: Record = map.next_value()?;
                known.entries += 1;
                known.size_bytes = known.size_bytes.saturating_add(record.size);
            } else if is_full {
                inspected.has_more = true;
                map.next_value::<IgnoredAny>()?;
            } else if let Some(folder) = folder {
                let record: Record = map.next_value()?;
                inspected.folders.push(Folder {
                    name: folder.to_owned(),
                    entries: 1,
                    size_bytes: record.size,
                });
            } else {
                let record = map.next_value()?;
                inspected.entries.push(Entry::of(name.clone(), record));
            }
            last = Some(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"archive": "a", "manifest": {"app": "shop", "files": {
        "a": {"kind": "redb", "size": 7, "mtime": 0, "mode": "0600", "checksum": "ab", "secret": true},
        "data/x": {"size": 1}, "data/y": {"size": 2}, "database": {"size": 3}, "z": {}
        }, "version": "1.1"}, "verified": true}"#;

    fn names(wanted: Wanted) -> (Vec<String>, bool) {
        let inspected = read(&mut REPORT.as_bytes(), wanted).expect("read");
        assert_eq!(inspected.count, 5);
        let names = inspected.entries.into_iter().map(|entry| entry.entry);
        (names.collect(), inspected.has_more)
    }

    #[test]
    fn a_page_has_the_entries_below_a_path_and_behind_a_name() {
        let own = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(Wanted::first(2)), (own(&["a", "data/x"]), true));
        let behind = Wanted {
            after: Some("data/x".to_owned()),
            ..Wanted::first(9)
        };
        assert_eq!(names(behind), (own(&["data/y", "database", "z"]), false));
        let below = Wanted {
            path: Some("data".to_owned()),
            ..Wanted::first(9)
        };
        assert_eq!(names(below), (own(&["data/x", "data/y"]), false));
        assert_eq!(names(Wanted::one("a")), (own(&["a"]), false));
        assert_eq!(names(Wanted::one("dat")), (own(&[]), false));
    }

    #[test]
    fn a_folder_is_one_sum_and_a_page_goes_on_behind_it() {
        let below = |path: Option<&str>, after: Option<&str>, count| {
            let wanted = Wanted::below(path.map(str::to_owned), after.map(str::to_owned), count);
            let inspected = read(&mut REPORT.as_bytes(), wanted).expect("read");
            let entries = inspected.entries.into_iter().map(|entry| entry.entry);
            let folders = inspected.folders.into_iter();
            let folders = folders.map(|one| (one.name, one.entries, one.size_bytes));
            (entries.collect(), folders.collect(), inspected.has_more)
        };
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let data = ("data".to_owned(), 2, 3);
        let (all, folders, more): (Vec<String>, Vec<_>, bool) = below(None, None, 9);
        assert_eq!(
            (all, folders, more),
            (own(&["a", "database", "z"]), vec![data.clone()], false)
        );
        assert_eq!(below(None, None, 2), (own(&["a"]), vec![data], true));
        let after = format!("data/{}", char::MAX);
        assert_eq!(
            below(None, Some(&after), 9),
            (own(&["database", "z"]), vec![], false)
        );
        let data = below(Some("data"), None, 9);
        assert_eq!(data, (own(&["data/x", "data/y"]), vec![], false));
    }

    #[test]
    fn the_rest_of_the_report_stays_and_an_entry_has_its_record() {
        let inspected = read(&mut REPORT.as_bytes(), Wanted::one("a")).expect("read");
        let report = Value::from(inspected.report);
        let rest = serde_json::json!({"archive": "a", "manifest": {"app": "shop", "version": "1.1"}, "verified": true});
        assert_eq!(report, rest);
        let entry = &inspected.entries[0];
        assert_eq!(
            (entry.kind.as_str(), entry.size_bytes, entry.secret),
            ("redb", 7, true)
        );
        assert_eq!(entry.modified_at.as_deref(), Some("1970-01-01T00:00:00Z"));
        let swapped = REPORT.replace("\"z\"", "\"b\"");
        assert!(read(&mut swapped.as_bytes(), Wanted::first(1)).is_err());
    }

    #[test]
    fn the_failure_of_the_verb_is_in_the_report() {
        let text = r#"{"error": {"kind": "archive_refused", "message": "damaged"}}"#;
        let inspected = read(&mut text.as_bytes(), Wanted::first(1)).expect("read");
        let failure = inspected
            .report
            .get("error")
            .and_then(told)
            .expect("a failure");
        assert_eq!(failure.message, "damaged");
    }
}
