//! The rules for the newest archive hold for every repository, also for one that is not a store.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, Mutex},
};

use anyhow::anyhow;

use super::*;
use crate::{
    archive::{Sink, Verified, select::Selected},
    catalog::{known::KnownHere, repository::ArchiveListing},
    context::Context,
    model::{
        archive_name::ArchiveName,
        digest::Digest,
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
        retention::{Mark, Standing},
    },
    store::{Maker, Stored, Upload},
    work::{
        ReadAt,
        events::{Event, Receiver},
    },
};

/// A repository in memory: archives by name, each with its standing.
struct Memory(BTreeMap<&'static str, Standing>);

fn manifest(is_torn: bool) -> Manifest {
    let name: EntryName = "state.redb".parse().expect("a name");
    let record = FileRecord {
        kind: Some("redb".into()),
        torn: is_torn,
        ..FileRecord::new(name.clone(), Digest::of(b""), 0)
    };
    let files = BTreeMap::from([(name, record)]);
    Manifest::new(0, semver::Version::new(0, 1, 0), files)
}

impl Repository for Memory {
    fn shown(&self) -> String {
        "@memory".to_owned()
    }

    fn address(&self) -> String {
        "memory".to_owned()
    }

    fn list(&self, prefix: Option<&str>, _: Manifests) -> Result<ArchiveListing> {
        let mut listing = ArchiveListing::default();
        for name in self.0.keys() {
            let parsed = ArchiveName::of_file(name).expect("a name");
            let stored = Stored {
                name: (*name).to_owned(),
                size_bytes: 0,
                modified: None,
                etag: None,
            };
            if prefix.is_none_or(|prefix| prefix == parsed.prefix()) {
                listing.archives.push(ListedArchive::named(&parsed, stored));
            }
        }
        listing.sort();
        Ok(listing)
    }

    fn folders(&self) -> Vec<String> {
        vec!["below".to_owned()]
    }

    fn find(&self, _: &str) -> Result<Option<Stored>> {
        Ok(None)
    }

    fn read(&self, _: &Context, _: &'static str, name: &str, _: &mut dyn Sink) -> Result<Verified> {
        Err(anyhow!("{name} has no entries"))
    }

    fn select(
        &self,
        _: &Context,
        _: &'static str,
        _: &str,
        _: &[EntryName],
        _: &mut dyn Sink,
    ) -> Result<Option<Selected>> {
        Ok(None)
    }

    fn open(&self, name: &str) -> Result<Arc<dyn ReadAt + Send + Sync>> {
        Err(anyhow!("{name} has no bytes"))
    }

    fn manifest(&self, name: &str) -> Result<Option<Manifest>> {
        match self.0[name] {
            Standing::Good => Ok(Some(manifest(false))),
            Standing::Torn => Ok(Some(manifest(true))),
            _ => Ok(None),
        }
    }

    fn created(&self, _: &str) -> Result<Option<DateTime<Utc>>> {
        Ok(None)
    }

    fn standing(&self, _: &Context, name: &str) -> Result<Option<Standing>> {
        Ok(self.0.get(name).copied())
    }

    fn records(&self) -> Option<&KnownHere> {
        None
    }

    fn sweep(&self, _: &Maker) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn require_room(&self, _: u64) -> Result<()> {
        Ok(())
    }

    fn put(&self, name: &str, _: RangeInclusive<u64>, _: &Maker) -> Result<Box<dyn Upload>> {
        Err(anyhow!("{name} is not taken"))
    }

    fn remove(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn mark(&self, _: &str) -> Result<Option<Mark>> {
        Ok(None)
    }

    fn put_mark(&self, _: &str, _: Mark, _: &Maker) -> Result<()> {
        Ok(())
    }

    fn remove_mark(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// The events of a run.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<CatalogEvent>>>);

impl Receiver for Seen {
    fn receive(&self, event: Event) {
        if let Event::Catalog(event) = event {
            self.0.lock().expect("not poisoned").push(event);
        }
    }
}

const OLD: &str = "a-20261119-030000.tar.gz";
const FIRST: &str = "a-20261120-030000.tar.gz";
const SECOND: &str = "a-20261120-030000.2.tar.gz";
const TENTH: &str = "a-20261120-030000.10.tar.gz";
const AHEAD: &str = "a-20270101-030000.tar.gz";
const OTHERS: &str = "b-20261121-030000.tar.gz";

fn now() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().expect("a time")
}

fn context(events: Events) -> Context {
    let context = Context::new(now(), ".".into()).expect("facts");
    Context { events, ..context }
}

fn memory(archives: &[(&'static str, Standing)]) -> Box<dyn Repository> {
    Box::new(Memory(archives.iter().copied().collect()))
}

#[test]
fn the_newest_is_the_one_of_the_highest_number_and_not_of_the_future() {
    let all = [OLD, FIRST, SECOND, TENTH, AHEAD, OTHERS].map(|name| (name, Standing::Good));
    let repository = memory(&all);
    assert_eq!(
        repository
            .newest_good(&context(Events::default()), "a")
            .expect("one"),
        TENTH
    );
    assert_eq!(
        repository
            .candidates("a", now(), &Events::default())
            .expect("some"),
        [TENTH, SECOND, FIRST, OLD]
    );
    let newest = |unwanted: &'static str| {
        let is_wanted = |listed: &ListedArchive| listed.stored.name != unwanted;
        repository.newest_named("a", is_wanted).expect("a listing")
    };
    assert_eq!(newest("").as_deref(), Some(AHEAD));
    assert_eq!(newest(AHEAD).as_deref(), Some(TENTH));
    let only_ahead = memory(&[(AHEAD, Standing::Good)]);
    let failure = Failure::of(
        &only_ahead
            .newest_good(&context(Events::default()), "a")
            .expect_err("none"),
    );
    assert!(
        failure.message.contains("dated in the future"),
        "{}",
        failure.message
    );
}

#[test]
fn a_torn_archive_is_the_newest_only_without_another() {
    use Standing::{Damaged, Good, Torn};
    let repository = memory(&[(OLD, Good), (FIRST, Damaged), (SECOND, Torn), (TENTH, Torn)]);
    assert_eq!(
        repository
            .newest_good(&context(Events::default()), "a")
            .expect("one"),
        OLD
    );
    // What cannot be inspected keeps its position: its reader reports the fault.
    let candidates = repository
        .candidates("a", now(), &Events::default())
        .expect("some");
    assert_eq!(candidates, [FIRST, OLD, TENTH, SECOND]);
    let torn = memory(&[(FIRST, Damaged), (SECOND, Torn), (TENTH, Torn)]);
    let seen = Seen::default();
    let newest = torn.newest_good(&context(Events::new(seen.clone())), "a");
    assert_eq!(newest.expect("one"), TENTH);
    let expected = [
        (TENTH, ArchiveFlaw::Torn),
        (SECOND, ArchiveFlaw::Torn),
        (FIRST, ArchiveFlaw::Unreadable),
    ];
    let expected = expected.map(|(name, flaw)| passed_over(name, flaw, NextArchive::Older));
    assert_eq!(*seen.0.lock().expect("not poisoned"), expected);
}

#[test]
fn without_an_archive_the_failure_names_the_repository_and_its_folders() {
    let failure = memory(&[])
        .newest_good(&context(Events::default()), "a")
        .expect_err("none");
    let failure = Failure::of(&failure);
    assert_eq!(failure.kind, Kind::NotFound);
    assert!(
        failure.message.starts_with("@memory has no "),
        "{}",
        failure.message
    );
    assert!(
        failure
            .hint
            .is_some_and(|hint| hint.ends_with("of their own: below"))
    );
}

#[test]
fn archives_that_are_all_damaged_are_no_missing_ones() {
    let newest = |archives| {
        let newest = memory(archives).newest_good(&context(Events::default()), "a");
        Failure::of(&newest.expect_err("none"))
    };
    let one = newest(&[(FIRST, Standing::Damaged), (OTHERS, Standing::Good)]);
    assert_eq!(one.kind, Kind::Refused);
    assert_eq!(
        one.message,
        format!("{FIRST} in @memory is damaged, and no other archive of a is there")
    );
    let two = newest(&[(FIRST, Standing::Damaged), (TENTH, Standing::Damaged)]);
    assert_eq!(two.kind, Kind::Refused);
    assert!(two.message.ends_with(&format!("the newest {TENTH}")));
    assert_eq!(two.faults.len(), 2, "{:?}", two.faults);
}
