//! The archives that this machine proved: `known.jsonl`, beside the history of runs. A host that has public keys only
//! tells by it which sealed archives are good.
//!
//! Promised: a record is whole or missing. Not promised: that the archive still has the bytes that were proven; size
//! and tag are compared when it is listed, and `verify` reads all of it.

use std::{collections::BTreeMap, sync::OnceLock};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};

use super::record_folders::RecordFolders;
use crate::{
    config::{Settings, elsewhere::tidy},
    context::Context,
    disk::{line_file::LineFile, real},
    model::{
        archive_name::ArchiveName,
        known_archive::{KnownArchive, KnownContent},
    },
    store::{Address, Options, Stored},
};

/// The file's name.
const FILE: &str = "known.jsonl";
/// The most records that are kept; those of archives that are gone are dropped before.
const MOST_LINES: usize = 100_000;
/// The age from which the record of an archive that is not listed is dropped. A younger one may have arrived after the
/// listing, or lie on a disk that takes turns with the one that is here.
const SETTLED: TimeDelta = TimeDelta::days(60);

/// The records of a configuration.
#[derive(Debug, Clone)]
pub struct KnownArchives(RecordFolders);

impl KnownArchives {
    /// Returns the records of the configuration; reads nothing yet.
    pub fn of(context: &Context, settings: &Settings) -> KnownArchives {
        KnownArchives(RecordFolders::of(context, settings))
    }

    /// Returns the records of the archives at one destination; reads nothing yet. Buckets of one name may lie behind
    /// different endpoints.
    pub fn at<S>(&self, address: &Address, options: &Options<S>) -> KnownHere {
        let address = match address {
            Address::Folder(folder) => {
                let whole = std::path::absolute(folder);
                let whole = tidy(&whole.unwrap_or_else(|_| folder.clone()));
                // A link leads to the same archives.
                real(&whole).display().to_string()
            }
            other => other.to_string(),
        };
        // The name of a user is left out.
        let host = |endpoint: &str| endpoint.rsplit('@').next().map(str::to_owned);
        let endpoint = options.endpoint().and_then(host);
        KnownHere {
            all: self.clone(),
            destination: match endpoint {
                Some(endpoint) => format!("{address} at {endpoint}"),
                None => address,
            },
            records: OnceLock::new(),
        }
    }

    fn append(&self, known: &KnownArchive) -> Result<()> {
        let file = LineFile::new(self.0.writable()?.join(FILE));
        file.append(&serde_json::to_string(known)?, MOST_LINES)
    }
}

/// The records of the archives at one destination, read when the first is asked for.
#[derive(Debug)]
pub struct KnownHere {
    all: KnownArchives,
    destination: String,
    records: OnceLock<BTreeMap<String, KnownArchive>>,
}

impl KnownHere {
    /// Returns the record of the archive of this name. What cannot be read is not known.
    pub fn get(&self, name: &str) -> Option<&KnownArchive> {
        self.records.get_or_init(|| self.read()).get(name)
    }

    /// Notes an archive that was proven there, with the digest and the size of its file. `stored` is the file as the
    /// destination lists it, for its tag.
    pub fn note(
        &self,
        name: &str,
        (sha256, size_bytes): (String, u64),
        stored: Option<Stored>,
        content: &KnownContent,
    ) -> Result<()> {
        self.all.append(&KnownArchive {
            destination: self.destination.clone(),
            name: name.to_owned(),
            size_bytes,
            etag: stored.and_then(|stored| stored.etag).map(String::from),
            sha256,
            content: content.clone(),
        })
    }

    fn read(&self) -> BTreeMap<String, KnownArchive> {
        let mut records = BTreeMap::new();
        for folder in self.all.0.existing() {
            let mut take = |line: &[u8]| {
                let record = serde_json::from_slice::<KnownArchive>(line).ok();
                let record = record.filter(|record| record.destination == self.destination);
                records.extend(record.map(|record| (record.name.clone(), record)));
            };
            // Without its record, an archive counts as sealed.
            let _ = LineFile::new(folder.join(FILE)).read(&mut take);
        }
        records
    }

    /// Drops the records of archives of `prefix`, or of every one, that are not among those that are `listed`.
    pub fn forget(
        &self,
        context: &Context,
        prefix: Option<&str>,
        is_listed: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let is_gone = |known: &KnownArchive| {
            let name = ArchiveName::of_file(&known.name);
            let is_meant = name.is_some_and(|name| prefix.is_none_or(|one| one == name.prefix()));
            let made = DateTime::<Utc>::from_timestamp(known.content.created_at, 0);
            let age = made.map(|made| context.now.signed_duration_since(made));
            is_meant && age.is_none_or(|age| age > SETTLED) && !is_listed(&known.name)
        };
        let records = self.records.get_or_init(|| self.read());
        if !records.values().any(is_gone) {
            return Ok(());
        }
        for folder in self.all.0.existing() {
            LineFile::new(folder.join(FILE)).retain(&mut |line| {
                let known = serde_json::from_slice::<KnownArchive>(line).ok();
                let known = known.filter(|known| known.destination == self.destination);
                !known.is_some_and(|known| is_gone(&known))
            })?;
        }
        Ok(())
    }
}
