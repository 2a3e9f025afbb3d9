//! One reading of an archive, from its first member to its last: every check that an archive must pass.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    rc::Rc,
};

use anyhow::{Context as _, Result};

use super::{
    budget::{Budget, impossible, promise},
    fault::{Fault, fault_of, refusal},
    gzip::inflate::Inflated,
    incoming::{IncomingListing, ListingStore},
    listed::{ComingFiles, unlisted},
    listing::Listing,
    root::RootFolder,
    sink::Sink,
    survey::Survey,
    tar::stream::{HeaderAttributes, Member, MemberKind, TarStream},
    verified::Verified,
};
use crate::error::{Failure, Kind};
use crate::model::{
    digest::Hashing,
    distinct::Distinct,
    entry_name::EntryName,
    limits::{BUFFER_BYTES, MAX_FAULTS, MAX_MANIFEST_BYTES, TAR_SLACK_BYTES},
    manifest::{FileRecord, MANIFEST_NAME, Manifest, ManifestFault},
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

type Tar<R> = TarStream<Budget<Inflated<BufReader<R>>>>;

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
        mut self,
        shown: &str,
        compressed: R,
        threads: Threads,
    ) -> Result<Verified> {
        let compressed = BufReader::with_capacity(BUFFER_BYTES, compressed);
        let inflated = Inflated::new(compressed, threads);
        let most = MAX_MANIFEST_BYTES + TAR_SLACK_BYTES;
        let mut tar = TarStream::new(Budget::new(inflated, most));
        let read = self.members(&mut tar);
        match read.and_then(|()| self.complete(&mut tar)) {
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
        match (self.manifest, self.root.name()) {
            (Some(manifest), Some(root)) if self.faults.is_empty() => Ok(Verified {
                manifest: Rc::unwrap_or_clone(manifest),
                root: root.to_owned(),
                headers: self.headers,
                listings: self.listings,
                is_plain: tar.inner().inner().is_plain(),
            }),
            _ => Err(refusal(shown, &self.faults).into()),
        }
    }

    fn members<R: Read>(&mut self, tar: &mut Tar<R>) -> Result<(), Abort> {
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

    /// Takes the listings that are known before any member comes.
    fn take_listings(&mut self, listings: BTreeMap<EntryName, Listing>) -> Result<(), Abort> {
        let directories = self.directories.values().cloned();
        for directory in directories {
            let Some(listing) = listings.get(&directory) else {
                self.files.refuse(directory);
                continue;
            };
            self.sink
                .listing(&directory, listing)
                .map_err(Abort::Sink)?;
            self.files
                .begin_any(&directory, listing, self.store.scratch())
                .map_err(Abort::Sink)?;
        }
        self.listings = listings;
        Ok(())
    }

    /// Takes the record of the file that comes next in the listing, if the member is that file.
    fn next_listed(&mut self, member: &Member) -> Result<Option<Box<FileRecord>>, Abort> {
        let root = self.root.name();
        let below = root.and_then(|root| member.path.strip_prefix(root));
        match below.and_then(|below| below.strip_prefix('/')) {
            Some(inside) if member.what == MemberKind::File => {
                self.files.take_next(inside).map_err(Abort::Sink)
            }
            _ => Ok(None),
        }
    }

    fn member<R: Read>(&mut self, member: Member, tar: &mut Tar<R>) -> Result<(), Abort> {
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
        let is_good = self.has_size(name, record, &member)?
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
            Some(incoming) => self.listing(incoming, is_good),
            None => Ok(()),
        }
    }

    /// Compares the size of a member with its record; a larger one ends the reading.
    fn has_size(
        &mut self,
        name: &EntryName,
        record: &FileRecord,
        member: &Member,
    ) -> Result<bool, Abort> {
        if member.size == record.size {
            return Ok(true);
        }
        let fault = Fault::Size {
            name: name.clone(),
            expected: record.size,
            found: member.size,
        };
        if member.size > record.size {
            return Err(Abort::Fault(fault));
        }
        self.faults.push(fault);
        Ok(false)
    }

    /// Gives the content of a member to the sink; true if it matches its record.
    fn content<R: Read>(
        &mut self,
        name: &EntryName,
        record: &FileRecord,
        tar: &mut Tar<R>,
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

    /// Reads a file of a listed directory.
    fn listed_file<R: Read>(
        &mut self,
        record: &FileRecord,
        member: &Member,
        tar: &mut Tar<R>,
    ) -> Result<(), Abort> {
        if self.has_size(&record.path, record, member)? {
            self.content(&record.path, record, tar, None)?;
        }
        self.files.count_one();
        Ok(())
    }

    /// Begins a listing if the entry called `name`, which has `bytes`, is one.
    fn incoming(
        &mut self,
        name: &EntryName,
        bytes: u64,
        manifest: &Manifest,
    ) -> Result<Option<IncomingListing>, Abort> {
        let directory = self.directories.get(name);
        let directory = directory.filter(|name| !self.listings.contains_key(*name));
        let listed = directory.and_then(|name| manifest.directories.get_key_value(name));
        let incoming = listed.map(|(name, listed)| self.store.begin(name, listed, bytes));
        incoming.transpose().map_err(Abort::Sink)
    }

    /// Ends a listing; `is_good` if its bytes match the manifest.
    fn listing(&mut self, mut incoming: IncomingListing, is_good: bool) -> Result<(), Abort> {
        let directory = incoming.directory().clone();
        if !is_good {
            self.files.refuse(directory);
            return Ok(());
        }
        let Some(listing) = self.store.finish(&mut incoming) else {
            self.faults.append(&mut incoming.faults());
            self.files.refuse(directory);
            return Ok(());
        };
        if self.files.has_refused(&directory) {
            // Its files were not checked against it.
            let reason = format!("listing of {directory}: it was not found when it was searched");
            self.faults.push(Fault::Listing(reason));
            return Ok(());
        }
        self.sink
            .listing(&directory, &listing)
            .map_err(Abort::Sink)?;
        self.files.begin(&directory, incoming.files(), &listing);
        self.listings.insert(directory, listing);
        Ok(())
    }

    fn manifest_member<R: Read>(&mut self, member: &Member, tar: &mut Tar<R>) -> Result<(), Abort> {
        if std::mem::replace(&mut self.manifest_seen, true) {
            self.faults.push(Fault::Twice(member.path.clone()));
            return Ok(());
        }
        if member.size > MAX_MANIFEST_BYTES {
            return Err(Abort::Fault(Fault::Manifest(format!(
                "is larger than {MAX_MANIFEST_BYTES} bytes"
            ))));
        }
        let mut bytes = Vec::new();
        tar.read_to_end(&mut bytes)?;
        match &self.known {
            None => self.take_manifest(&bytes, tar),
            Some(known) if known.manifest == bytes => Ok(()),
            Some(_) => Err(Abort::Fault(Fault::Manifest(
                "changed while it was read".into(),
            ))),
        }
    }

    fn take_manifest<R: Read>(&mut self, bytes: &[u8], tar: &mut Tar<R>) -> Result<(), Abort> {
        let manifest = Manifest::parse(bytes).map_err(|mut faults| {
            let last = faults.pop();
            self.faults.extend(faults.into_iter().map(manifest_fault));
            Abort::Fault(last.map_or(Fault::NoManifest, manifest_fault))
        })?;
        if let Err(error) = self.sink.begin(&manifest) {
            // Room that the archive cannot need is not what it lacks.
            let is_space = Failure::of(&error).kind == Kind::Space;
            let lie = self.length.filter(|_| is_space);
            let lie = lie.and_then(|length| impossible(&manifest, length));
            return Err(lie.map_or(Abort::Sink(error), Abort::Fault));
        }
        let directories = manifest.directories.iter();
        self.directories = directories
            .map(|(name, listed)| (listed.listing.clone(), name.clone()))
            .collect();
        let files = manifest.files.iter();
        self.by_path = files
            .filter(|(name, record)| record.path != **name)
            .map(|(name, record)| (record.path.clone(), name.clone()))
            .collect();
        let before = self.known.as_ref().map_or(0, |_| bytes.len() as u64);
        let most = promise(&manifest, before);
        tar.inner().allow(manifest.total_bytes(), most);
        self.manifest = Some(Rc::new(manifest));
        Ok(())
    }

    /// Adds the faults that are known only at the end.
    fn complete<R: Read>(&mut self, tar: &mut Tar<R>) -> Result<(), Abort> {
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
        let inflated = tar.inner().inner();
        // Format 1.1 as written by hookshot ends with an index; the same content packed again by plain tar has none.
        if inflated.is_sized() && manifest.version.minor >= 1 && !inflated.has_index() {
            self.faults.push(Fault::NoIndex);
        }
        Ok(())
    }
}

fn manifest_fault(fault: ManifestFault) -> Fault {
    match fault {
        ManifestFault::Malformed(reason) => Fault::Manifest(reason),
        ManifestFault::Version(reason) => Fault::Version(reason),
    }
}

fn too_many() -> Abort {
    Abort::Fault(Fault::Tar("too many faults to go on".into()))
}
