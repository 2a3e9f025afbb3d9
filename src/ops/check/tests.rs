//! Stores that cannot do what they must be able to do are found out, and their probes removed where that can be.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta};

use super::*;
use crate::{
    model::digest::Digest,
    store::{self, Proof, Stored, Upload},
    work::ReadAt,
};

/// The fault of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Overwrites,
    Garbles,
    ListsNothing,
    KeepsWhatIsRemoved,
    RefusesToRemove,
    IsNotThere,
    RefusesToWrite,
    RefusesParts,
    KeepsParts,
    NamesWhatIsAborted,
    HasNoParts,
}

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A store in memory.
struct Double(Objects, Wrong);

struct DoubleUpload {
    objects: Objects,
    name: String,
    bytes: Vec<u8>,
    wrong: Wrong,
}

fn locked(objects: &Objects) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
    objects.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed<T>(kind: Kind, message: &str) -> Result<T> {
    Err(Failure::new(kind, message).into())
}

struct Bytes(Vec<u8>);

impl ReadAt for Bytes {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = offset as usize;
        buffer.copy_from_slice(&self.0[from..from + buffer.len()]);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
}

impl Store for Double {
    fn shown(&self) -> String {
        "mem".to_owned()
    }

    fn list(&self, take: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()> {
        if self.1 == Wrong::ListsNothing {
            return Ok(());
        }
        for (name, bytes) in locked(&self.0).iter() {
            take(Stored {
                name: name.clone(),
                size_bytes: bytes.len() as u64,
                modified: Some(DateTime::UNIX_EPOCH),
                etag: None,
            })?;
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Result<Option<Stored>> {
        let objects = locked(&self.0);
        Ok(objects.get(name).map(|bytes| Stored {
            name: name.to_owned(),
            size_bytes: bytes.len() as u64,
            modified: None,
            etag: None,
        }))
    }

    fn open(&self, name: &str) -> Result<Box<dyn ReadAt + Send + Sync>> {
        let mut bytes = locked(&self.0).get(name).cloned().context("not there")?;
        if self.1 == Wrong::Garbles {
            bytes.reverse();
        }
        Ok(Box::new(Bytes(bytes)))
    }

    fn create(&self, name: &str, _: u64, _: &Maker) -> Result<Box<dyn Upload>> {
        if self.1 == Wrong::RefusesToWrite {
            return failed(Kind::Failed, "forbidden");
        }
        if locked(&self.0).contains_key(name) {
            return Err(store::taken("mem", name).into());
        }
        Ok(Box::new(DoubleUpload {
            objects: self.0.clone(),
            name: name.to_owned(),
            bytes: Vec::new(),
            wrong: self.1,
        }))
    }

    fn part_bytes(&self) -> Option<usize> {
        (self.1 != Wrong::HasNoParts).then_some(100)
    }

    fn create_in_parts(&self, name: &str, maker: &Maker) -> Result<Box<dyn Upload>> {
        if self.1 == Wrong::RefusesParts {
            return failed(Kind::Failed, "forbidden");
        }
        self.create(name, 0, maker)
    }

    fn remove(&self, name: &str) -> Result<()> {
        match self.1 {
            Wrong::RefusesToRemove => return failed(Kind::Failed, "locked"),
            Wrong::KeepsWhatIsRemoved => {}
            _ => drop(locked(&self.0).remove(name)),
        }
        Ok(())
    }

    fn sweep(&self, _: &Maker) -> Result<Vec<String>> {
        match self.1 {
            Wrong::IsNotThere => failed(Kind::NotFound, "no such bucket"),
            _ => Ok(vec!["old.tar.gz".to_owned()]),
        }
    }

    fn below(&self, _: &str) -> Result<Box<dyn Store>> {
        failed(Kind::Failed, "no folders")
    }
}

impl Write for DoubleUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for DoubleUpload {
    fn finish(self: Box<Self>, _: &Digest) -> Result<Proof> {
        let mut objects = locked(&self.objects);
        if self.wrong != Wrong::Overwrites && objects.contains_key(&self.name) {
            return Err(store::taken("mem", &self.name).into());
        }
        objects.insert(self.name, self.bytes);
        Ok(Proof::Checksum)
    }

    fn abandon(self: Box<Self>) -> Result<()> {
        match self.wrong {
            Wrong::KeepsParts => failed(Kind::Failed, "it takes parts all the same"),
            Wrong::NamesWhatIsAborted => {
                locked(&self.objects).insert(self.name, self.bytes);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn examined(wrong: Wrong) -> (Examination, Objects) {
    let objects = Objects::default();
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(2);
    let context = Context {
        threads: crate::work::Threads::ONE,
        ..Context::new(now, ".".into()).expect("a context")
    };
    let mut examination = Examination {
        stop: Stop::default(),
        events: Events::default(),
        capabilities: Vec::new(),
        swept: Vec::new(),
        written: Vec::new(),
        failure: None,
    };
    let store = Double(objects.clone(), wrong);
    examination
        .run(&context, &store, "hookshot-check-1-2")
        .expect("not stopped");
    (examination, objects)
}

#[test]
fn each_thing_that_a_store_cannot_do_is_named() {
    for (wrong, bad, kind, left) in [
        (Wrong::Nothing, &[][..], None, 0),
        (Wrong::Overwrites, &["create_once"], Some(Kind::Failed), 0),
        (
            Wrong::Garbles,
            &["read", "create_once", "parts", "abort_parts"],
            Some(Kind::Failed),
            0,
        ),
        (Wrong::HasNoParts, &[], None, 0),
        (
            Wrong::RefusesParts,
            &["parts", "abort_parts"],
            Some(Kind::Failed),
            0,
        ),
        (Wrong::KeepsParts, &["abort_parts"], Some(Kind::Failed), 0),
        (
            Wrong::NamesWhatIsAborted,
            &["abort_parts"],
            Some(Kind::Failed),
            0,
        ),
        (Wrong::ListsNothing, &["list"], Some(Kind::Failed), 0),
        (
            Wrong::KeepsWhatIsRemoved,
            &["delete", "parts", "abort_parts"],
            Some(Kind::Failed),
            1,
        ),
        (
            Wrong::RefusesToRemove,
            &["delete", "parts", "abort_parts"],
            Some(Kind::Failed),
            1,
        ),
        (
            Wrong::RefusesToWrite,
            &[
                "write",
                "find",
                "read",
                "create_once",
                "delete",
                "parts",
                "abort_parts",
            ],
            Some(Kind::Failed),
            0,
        ),
        (
            Wrong::IsNotThere,
            &[
                "sweep",
                "write",
                "find",
                "read",
                "list",
                "create_once",
                "delete",
                "parts",
                "abort_parts",
            ],
            Some(Kind::NotFound),
            0,
        ),
    ] {
        let (examination, objects) = examined(wrong);
        let found = examination.capabilities.iter();
        let found: Vec<&str> = found
            .filter(|capability| !capability.good)
            .map(|capability| capability.name.name())
            .collect();
        assert_eq!(found, bad, "{wrong:?}");
        let failure = examination.failure.map(|failure| failure.kind);
        assert_eq!(failure, kind, "{wrong:?}");
        assert_eq!(locked(&objects).len(), left, "{wrong:?}");
        let all = if wrong == Wrong::HasNoParts { 7 } else { 9 };
        assert_eq!(examination.capabilities.len(), all, "{wrong:?}");
    }
}

#[test]
fn some_of_several_is_partial_and_one_alone_is_itself() {
    let failure = |kind| ("x".to_owned(), Failure::new(kind, "it failed"));
    let kind = |failures: &[_], all| summary(failures, all).map(|failure| failure.kind);
    assert_eq!(kind(&[], 2), None);
    assert_eq!(kind(&[failure(Kind::NotFound)], 1), Some(Kind::NotFound));
    assert_eq!(kind(&[failure(Kind::NotFound)], 2), Some(Kind::Partial));
    let both = [failure(Kind::Unproven), failure(Kind::Failed)];
    assert_eq!(kind(&both, 2), Some(Kind::Unproven));
}
