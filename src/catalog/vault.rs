//! The care of a repository whose states share their content: what archives of their own do not need.

use std::{any::Any, collections::BTreeMap, str::FromStr, sync::Arc};

use anyhow::Result;
use serde::Serialize;

use super::snapshots::{Snapshot, SnapshotTree};
use crate::{error::Failure, model::chunks::Chunks, store::Secret};

/// A repository whose states share their content.
///
/// Errors of all that opens it: `Kind::NotFound` if there is none; `Kind::Key` if the password is missing or another one.
/// Errors of all that changes it: `Kind::Blocked` if the lock of another process is in the way; `Kind::Usage` if it only
/// grows (`append_only`).
pub trait Vault: Send + Sync {
    /// Opens it.
    fn open(&self) -> Result<()>;

    /// Returns true if there is one. Needs no password.
    fn exists(&self) -> Result<bool>;

    /// Returns the size of its chunks that the configuration asks for.
    fn wanted_chunks(&self) -> Option<Chunks>;

    /// Fails if it only grows.
    fn require_removable(&self) -> Result<(), Failure>;

    /// Returns a new random password: 32 bytes, in hexadecimal digits.
    fn invent_password(&self) -> Secret;

    /// Makes it. It must not exist.
    fn create(&self, chunks: Chunks) -> Result<()>;

    /// Returns its properties.
    fn facts(&self) -> Result<VaultFacts>;

    /// Returns its figures.
    fn figures(&self) -> Result<VaultFigures>;

    /// Checks records, indexes and the presence of content, and reads as much content as `read` says. Returns the faults.
    fn check(&self, read: ReadContent) -> Result<Vec<String>>;

    /// Takes the repository for this process alone, until the result is dropped: one lock for several removals. Fails
    /// with [`Kind::Blocked`](crate::error::Kind::Blocked) if another process works there.
    fn alone(&self) -> Result<Alone>;

    /// Removes content that no state has any more. No other process may work there.
    fn reclaim(&self) -> Result<()>;

    /// Removes locks that processes of this machine left behind, or all locks, and returns their number.
    fn unlock(&self, all: bool) -> Result<usize>;

    /// Returns its identifier.
    fn identifier(&self) -> Result<String>;

    /// Returns its snapshots, those of other programs as well, in any order.
    fn snapshots(&self) -> Result<Vec<Snapshot>>;

    /// Opens the folder at `path` of a snapshot, or all of it, or a file in it.
    ///
    /// Errors: [`Kind::NotFound`](crate::error::Kind::NotFound) if nothing lies there.
    fn files(&self, snapshot: &Snapshot, path: &str) -> Result<Box<dyn SnapshotTree>>;

    /// Returns its keys: each is the content key, sealed by a password.
    fn keys(&self) -> Result<Vec<VaultKey>>;

    /// Adds a key for one more password, and returns its ID.
    fn add_key(&self, password: &Secret) -> Result<String>;

    /// Removes the key whose ID begins with `id`, and returns its ID. The key in use stays.
    fn remove_key(&self, id: &str) -> Result<String>;

    /// Brings it to the newest version of the format, and to the configured level. Returns true if something changed.
    fn upgrade(&self) -> Result<bool>;
}

/// A repository that this process has for itself, until this value is dropped.
pub struct Alone {
    /// The lock.
    _lock: Arc<dyn Any + Send + Sync>,
}

impl Alone {
    /// Holds `lock`.
    pub fn by(lock: Arc<dyn Any + Send + Sync>) -> Alone {
        Alone { _lock: lock }
    }
}

/// The properties of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultFacts {
    /// Its identifier.
    pub id: String,
    /// The version of its format.
    pub version: u32,
    /// The size of its chunks.
    pub chunks: Chunks,
    /// The level of compression, if it has one of its own.
    pub level: Option<i32>,
    /// The properties that differ from the wishes of the configuration.
    pub notes: Vec<String>,
}

/// The figures of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VaultFigures {
    /// The number of states, those of other programs too.
    pub states: usize,
    /// The bytes of the files of all states.
    pub content_bytes: u64,
    /// The bytes of the content that is stored, each chunk once, before compression.
    pub unique_bytes: u64,
    /// The bytes of the same after compression and encryption.
    pub packed_bytes: u64,
    /// The bytes of all files of the repository.
    pub size_bytes: u64,
    /// The bytes that each archive of ours added, by its name.
    pub added: BTreeMap<String, u64>,
}

/// A key of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VaultKey {
    /// Its ID.
    pub id: String,
    /// True if the password of this run opens it.
    pub current: bool,
    /// True if no password opens it: its file is damaged, or not one that restic writes.
    pub damaged: bool,
    /// The time at which it was made.
    pub created: Option<String>,
    /// The machine on which it was made.
    pub host: Option<String>,
    /// The user that made it.
    pub user: Option<String>,
}

/// The part of the content that a check reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ReadContent {
    /// None of it.
    Nothing,
    /// All of it.
    All,
    /// Files that are chosen at random, about this many percent of the bytes, and one at least.
    Percent(f64),
    /// The files of one of several parts. All parts together have every file.
    Part(u32, u32),
}

impl ReadContent {
    /// The most parts.
    const MOST_PARTS: u32 = 256;
}

impl FromStr for ReadContent {
    type Err = String;

    fn from_str(text: &str) -> Result<ReadContent, String> {
        if text == "all" {
            return Ok(ReadContent::All);
        }
        let part = || match (text.strip_suffix('%'), text.split_once('/')) {
            (Some(percent), _) => {
                let percent: f64 = percent.parse().ok()?;
                (percent > 0.0 && percent <= 100.0).then_some(ReadContent::Percent(percent))
            }
            (None, Some((part, of))) => {
                let (part, of): (u32, u32) = (part.parse().ok()?, of.parse().ok()?);
                let is_good = (1..=of).contains(&part) && of <= ReadContent::MOST_PARTS;
                is_good.then_some(ReadContent::Part(part, of))
            }
            (None, None) => None,
        };
        part().ok_or_else(|| {
            "it is a percentage such as 5%, a part such as 1/7 (of 256 at most), or `all`"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_content_is_a_percentage_or_one_of_several() {
        for (text, read) in [
            ("all", ReadContent::All),
            ("5%", ReadContent::Percent(5.0)),
            ("2.5%", ReadContent::Percent(2.5)),
            ("100%", ReadContent::Percent(100.0)),
            ("1/7", ReadContent::Part(1, 7)),
            ("7/7", ReadContent::Part(7, 7)),
        ] {
            assert_eq!(text.parse::<ReadContent>().expect(text), read);
        }
        for wrong in [
            "", "5", "0%", "101%", "NaN%", "0/7", "8/7", "1/257", "1/0", "-1/2", "a/b",
        ] {
            assert!(wrong.parse::<ReadContent>().is_err(), "{wrong}");
        }
    }
}
