//! A snapshot of a repository that another program made: its records, and its content once more.

use std::{
    cell::RefCell,
    io::{self, Read},
};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};

use super::collected::{Collected, Collecting, Kept};
use crate::{
    archive::foreign_tar::ForeignKind,
    catalog::{
        destination::Destination,
        snapshots::{Snapshot, SnapshotTree},
    },
    context::Context,
    error::{Failure, Kind},
    model::{
        digest::{Digest, HashingReader},
        entry_name::EntryName,
        relative::shown,
    },
    ops::snapshots::vault_of,
    work::{remark::RemarkKind, remarks::Remarks},
};

/// A snapshot that is converted.
pub struct ForeignSnapshot<'a> {
    /// The repository.
    pub from: &'a Destination,
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// The path in it that is converted; `None` for all of it.
    pub path: Option<&'a str>,
}

/// The content of a snapshot.
pub struct SnapshotContent<'a> {
    /// Its records.
    pub collected: Collected,
    context: &'a Context,
    /// The paths of files by their places.
    paths: Vec<Vec<u8>>,
    tree: RefCell<Box<dyn SnapshotTree>>,
}

impl ForeignSnapshot<'_> {
    /// Returns the location of the snapshot, for messages.
    pub fn shown(&self) -> String {
        let id = self.snapshot.short_id();
        match self.path {
            Some(path) => format!("{}/{id}:{path}", self.from.shown()),
            None => format!("{}/{id}", self.from.shown()),
        }
    }

    /// Returns the time of the snapshot.
    pub fn time(&self, context: &Context) -> DateTime<Utc> {
        self.snapshot.time.unwrap_or(context.now)
    }

    /// Reads the snapshot, and collects what an archive can have. What it cannot have is left undone.
    pub fn collect<'c>(
        &self,
        context: &'c Context,
        directory: Option<&EntryName>,
        remarks: &mut Remarks,
    ) -> Result<SnapshotContent<'c>> {
        let vault = vault_of(self.from)?;
        let mut tree = vault.files(self.snapshot, self.path.unwrap_or_default())?;
        let shown = self.shown();
        let linked = RefCell::new(Vec::new());
        let advice = "--path takes a part of the snapshot; `restic restore` takes the others out";
        let mut collecting = Collecting::new(&shown, advice, directory, remarks);
        let mut paths = Vec::new();
        tree.walk(&mut |member, content| {
            context.stop.check()?;
            let path = member.path.clone();
            if let ForeignKind::SameAs(first) = &member.what {
                linked.borrow_mut().push((path.clone(), first.clone()));
            }
            collecting.take(member, &mut || {
                let reading = || format!("cannot read {}", self::shown(&path));
                let (digest, size) = hash(context, content).with_context(reading)?;
                let place = paths.len() as u64;
                paths.push(path.clone());
                Ok(Kept {
                    digest,
                    size,
                    place,
                })
            })
        })?;
        let collected = collecting.finish("look at it with `restic ls`")?;
        for (path, first) in linked.into_inner() {
            let (path, first) = (self::shown(&path), self::shown(&first));
            let message =
                format!("{path} is a hard link to {first}, and becomes a file of its own");
            remarks.undone(RemarkKind::Link, path, message);
        }
        Ok(SnapshotContent {
            collected,
            context,
            paths,
            tree: RefCell::new(tree),
        })
    }
}

impl SnapshotContent<'_> {
    /// Opens the content of an entry once more.
    pub fn content(&self, name: &EntryName) -> Result<Box<dyn Read>> {
        let place = self.collected.places.get(name);
        let place = place.and_then(|place| self.paths.get(usize::try_from(*place).ok()?));
        let path = place.with_context(|| format!("{name} is not in the snapshot"))?;
        let content = self.tree.borrow_mut().open(path)?;
        Ok(Box::new(self.context.watch(content)))
    }
}

fn hash(context: &Context, content: &mut dyn Read) -> io::Result<(Digest, u64)> {
    let mut hashing = HashingReader::new(context.watch(content));
    io::copy(&mut hashing, &mut io::sink())?;
    Ok(hashing.finish())
}

/// Returns the failure of a snapshot of our own: it is copied as it is.
pub fn is_ours(from: &Destination, snapshot: &Snapshot) -> Option<Failure> {
    let archive = snapshot.archive.as_ref()?;
    let (place, id) = (from.shown(), snapshot.short_id());
    let message = format!("{id} in {place} is an archive of hookshot: {archive}");
    Some(
        Failure::new(Kind::Usage, message)
            .hint(format!("`hookshot copy {place}/{archive} TO` copies it")),
    )
}
