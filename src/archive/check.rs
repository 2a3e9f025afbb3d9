//! One reading of an archive, from its first member to its last: every check that an archive must pass.

mod listings;
mod manifest;

use std::{
    collections::BTreeMap,
    io::{self, BufReader, Read, Write},
    rc::Rc,
};

use anyhow::{Context as _, Result};

use super::{
    budget::Budget,
    fault::{Fault, fault_of, refusal},
    gzip::inflate::Inflated,
    incoming::{IncomingListing, ListingStore},
    listed::{ComingFiles, unlisted},
    listing::Listing,
    member_stream::MemberStream,
    root::RootFolder,
    sink::Sink,
    survey::Survey,
    tar::stream::{HeaderAttributes, Member, MemberKind, TarStream},
    verified::Verified,
};
use crate::model::{
    digest::Hashing,
    distinct::Distinct,
    entry_name::EntryName,
    limits::{BUFFER_BYTES, MAX_FAULTS, MAX_MANIFEST_BYTES, TAR_SLACK_BYTES},
    manifest::{FileRecord, MANIFEST_NAME, Manifest},
};
use crate::work::workers::Threads;

/// One reading of an archive.
pub(super) struct ArchiveCheck<'a> {
    sink: &'a mut dyn Sink,
    known: Option<Survey>,
    /// The bytes of the whole archive, if they are known.
    length: Option<u64>,
    manifest: Option<Rc<Manifest>>,
    manifest_seen: bool,
    root: RootFolder,
    /// The entries whose names differ from their paths, by path.
    by_path: BTreeMap<EntryName, EntryName>,
    seen: Distinct<EntryName>,
    headers: BTreeMap<EntryName, HeaderAttributes>,
    /// The directories that have listings, by the names of these.
    directories: BTreeMap<EntryName, EntryName>,
    store: ListingStore,
    listings: BTreeMap<EntryName, Listing>,
    files: ComingFiles,
    faults: Vec<Fault>,
}

/// The reason for which a reading ends early.
enum Abort {
    /// The archive is not good.
    Fault(Fault),
    /// It cannot be read.
    Reading(anyhow::Error),
    /// The sink or the scratch folder failed: the failure explains itself.
    Sink(anyhow::Error),
}

impl From<io::Error> for Abort {
    fn from(error: io::Error) -> Abort {
        match fault_of(&error) {
            Some(fault) => Abort::Fault(fault),
            None => Abort::Reading(error.into()),
        }
    }
}

impl<'a> ArchiveCheck<'a> {
    /// Makes one that gives the entries to `sink` and keeps listings in `store`. `known` was found before,
    /// if the archive may be in any order.
    pub(super) fn new(
        sink: &'a mut dyn Sink,
        known: Option<Survey>,
        store: ListingStore,
    ) -> ArchiveCheck<'a> {
        ArchiveCheck {
            sink,
            known,
            length: None,
            manifest: None,
            manifest_seen: false,
            root: RootFolder::default(),
            by_path: BTreeMap::new(),
            seen: Distinct::default(),
            headers: BTreeMap::new(),
            directories: BTreeMap::new(),
            store,
            listings: BTreeMap::new(),
            files: ComingFiles::default(),
            faults: Vec::new(),
        }
    }

    /// Tells the bytes of the whole archive.
    pub(super) fn of_length(self, bytes: u64) -> ArchiveCheck<'a> {
        ArchiveCheck {
            length: Some(bytes),
            ..self
        }
    }

    /// Reads the archive called `shown` to its end.
    pub(super) fn run<R: Read>(
        self,
        shown: &str,
        compressed: R,
        threads: Threads,
    ) -> Result<Verified> {
        let compressed = BufReader::with_capacity(BUFFER_BYTES, compressed);
        let inflated = Inflated::new(compressed, threads);
        let most = MAX_MANIFEST_BYTES + TAR_SLACK_BYTES;
        self.read_members(shown, TarStream::new(Budget::new(inflated, most)))
    }

    /// Reads the members of the archive called `shown` to the last.
    pub(super) fn read_members(
        mut self,
        shown: &str,
        mut stream: impl MemberStream,
    ) -> Result<Verified> {
        let read = self.members(&mut stream);
        match read.and_then(|()| self.complete(&stream)) {
            Ok(()) => {}
            Err(Abort::Reading(error)) => {
                return Err(error.context(format!("cannot read {shown}")));
            }
            Err(Abort::Sink(error)) => return Err(error),
            Err(Abort::Fault(fault)) => {
                self.faults.push(fault);
                let reached = (self.seen.count() as u64).saturating_add(self.files.count());
                let promised = self
                    .manifest
                    .as_ref()
                    .map_or(0, |manifest| manifest.count());
                if promised > reached {
                    self.faults.push(Fault::NotReached(promised - reached));
                }
            }
        }
        let is_plain = stream.is_plain();
        drop(stream);
        match (self.manifest, self.root.name()) {
            (Some(manifest), Some(root)) if self.faults.is_empty() => Ok(Verified {
                manifest: Rc::unwrap_or_clone(manifest),
                root: root.to_owned(),
                headers: self.headers,
                listings: self.listings,
                is_plain,
            }),
            _ => Err(refusal(shown, &self.faults).into()),
        }
    }

    fn members(&mut self, tar: &mut impl MemberStream) -> Result<(), Abort> {
        if let Some(known) = &mut self.known {
            let listings = std::mem::take(&mut known.listings);
            let bytes = known.manifest.clone();
            self.take_manifest(&bytes, tar)?;
            self.take_listings(listings)?;
        }
        while let Some(member) = tar.next_member()? {
            if self.faults.len() > MAX_FAULTS {
                return Err(too_many());
            }
            match self.next_listed(&member)? {
                Some(record) => self.listed_file(&record, &member, tar)?,
                None => self.member(member, tar)?,
            }
        }
        Ok(())
    }

    fn member(&mut self, member: Member, tar: &mut impl MemberStream) -> Result<(), Abort> {
        if let MemberKind::Special(what) = member.what {
            self.faults.push(Fault::Special {
                path: member.path,
                what,
            });
            return Ok(());
        }
        let Some(inside) = self.root.inside(&member, &mut self.faults) else {
            return Ok(());
        };
        if member.what == MemberKind::Folder {
            return Ok(());
        }
        if inside.as_str() == MANIFEST_NAME {
            return self.manifest_member(&member, tar);
        }
        let Some(manifest) = self.manifest.clone() else {
            return Err(Abort::Fault(Fault::NoManifest));
        };
        let first = inside.as_str().split_once('/').map(|(first, _)| first);
        let directory = first.and_then(|first| manifest.directories.get_key_value(first));
        if let Some((directory, listed)) = directory {
            let found = self
                .files
                .find(directory, &listed.listing, &inside, &mut self.faults)
                .map_err(Abort::Sink)?;
            return match found {
                Some(record) => self.listed_file(&record, &member, tar),
                None => Ok(()),
            };
        }
        let name = self.by_path.get(&inside).unwrap_or(&inside);
        let listed = manifest.files.get_key_value(name);
        let Some((name, record)) = listed.filter(|(_, record)| record.path == inside) else {
            self.faults.push(unlisted(inside.as_str(), None));
            return Ok(());
        };
        if !self.seen.insert(name.clone()) {
            self.faults.push(Fault::Twice(member.path));
            return Ok(());
        }
        self.files.end(&mut self.faults).map_err(Abort::Sink)?;
        let mut incoming = self.incoming(name, record.size.min(member.size), &manifest)?;
        let is_good = self.has_size(name, record, &member, tar)?
            && match self.content(name, record, tar, incoming.as_mut()) {
                Err(abort) => {
                    self.seen.remove(name);
                    return Err(abort);
                }
                Ok(is_good) => is_good,
            };
        let is_silent = record.mode.is_none() || record.user.is_none() || record.group.is_none();
        if is_good && is_silent {
            self.headers.insert(name.clone(), member.attributes());
        }
        match incoming {
            Some(incoming) => self.listing(incoming, is_good, tar),
            None => Ok(()),
        }
    }

    /// Compares the size of a member with its record; a larger one ends the reading of a tar.
    fn has_size(
        &mut self,
        name: &EntryName,
        record: &FileRecord,
        member: &Member,
        stream: &impl MemberStream,
    ) -> Result<bool, Abort> {
        if member.size == record.size {
            return Ok(true);
        }
        let fault = Fault::Size {
            name: name.clone(),
            expected: record.size,
            found: member.size,
        };
        if member.size > record.size && !stream.may_skip() {
            return Err(Abort::Fault(fault));
        }
        self.faults.push(fault);
        Ok(false)
    }

    /// Gives the content of a member to the sink; true if it matches its record.
    fn content(
        &mut self,
        name: &EntryName,
        record: &FileRecord,
        tar: &mut impl MemberStream,
        mut incoming: Option<&mut IncomingListing>,
    ) -> Result<bool, Abort> {
        let mut hashing = Hashing::new(self.sink.entry(name, record).map_err(Abort::Sink)?);
        loop {
            let bytes = match tar.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            hashing
                .write_all(bytes)
                .with_context(|| format!("cannot write {name}"))
                .map_err(Abort::Sink)?;
            if let Some(incoming) = &mut incoming {
                incoming.take(bytes).map_err(Abort::Sink)?;
                if incoming.is_hopeless() {
                    self.faults.append(&mut incoming.faults());
                    return Err(self.faults.pop().map_or_else(too_many, Abort::Fault));
                }
            }
            let count = bytes.len();
            tar.consume(count);
        }
        let (found, _) = hashing.finish();
        if found == record.checksum {
            self.sink.end(name, record).map_err(Abort::Sink)?;
            return Ok(true);
        }
        self.faults.push(Fault::Checksum {
            name: name.clone(),
            expected: record.checksum,
            found,
        });
        Ok(false)
    }

    /// Adds the faults that are known only at the end.
    fn complete(&mut self, tar: &impl MemberStream) -> Result<(), Abort> {
        self.files.end_all(&mut self.faults).map_err(Abort::Sink)?;
        let Some(manifest) = &self.manifest else {
            self.faults.push(Fault::NoManifest);
            return Ok(());
        };
        let missing = manifest
            .files
            .keys()
            .filter(|name| !self.seen.contains(*name));
        self.faults.extend(missing.cloned().map(Fault::Missing));
        if tar.lacks_index(manifest) {
            self.faults.push(Fault::NoIndex);
        }
        Ok(())
    }
}

fn too_many() -> Abort {
    Abort::Fault(Fault::Tar("too many faults to go on".into()))
}
