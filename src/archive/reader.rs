//! The one reader of whole archives: everything that it returns passed every check here. ([`super::select`] takes
//! single entries of a large archive, with its own checks.)

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    budget::Budget,
    contents::DirectoryContents,
    fault::{Fault, fault_of, refusal},
    gzip::inflate::Inflated,
    head::{Head, find_manifest, read_head, refuse_other},
    listing::Listing,
    tar::stream::{HeaderAttributes, Member, MemberKind, TarStream},
};
use crate::model::{
    digest::Hashing,
    distinct::Distinct,
    entry_name::{EntryName, NameFault},
    limits::{BUFFER_BYTES, MAX_FAULTS, MAX_MANIFEST_BYTES, TAR_OVERHEAD_BYTES, TAR_SLACK_BYTES},
    manifest::{FileRecord, MANIFEST_NAME, Manifest, ManifestFault},
};
use crate::work::workers::Threads;

/// The beginning of the names that a Mac's tar adds (AppleDouble).
const APPLE: &str = "._";

/// The source of an archive.
pub enum Input {
    /// A source that can be read again from its beginning.
    Seekable(Box<dyn ReadSeek>),
    /// A source that can be read only once, and a folder for a copy of it if it has to be read twice.
    Stream(Box<dyn Read>, PathBuf),
}

/// A seekable reader.
pub trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// The receiver of the entries while they are checked. Nothing that it receives may be used before [`read`] has
/// returned.
pub trait Sink {
    /// Begins: called once, with the manifest, before any entry.
    fn begin(&mut self, manifest: &Manifest) -> Result<()>;
    /// Returns a writer for the content of an entry.
    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>>;
    /// Takes the listing of a directory, which is complete and matches the manifest: called before the files of the
    /// directory come as entries.
    fn listing(&mut self, _directory: &EntryName, _listing: &Listing) -> Result<()> {
        Ok(())
    }
    /// Ends the last entry that was begun: called when its content is complete and matches the manifest.
    fn end(&mut self, _: &EntryName, _: &FileRecord) -> Result<()> {
        Ok(())
    }
}

/// A sink that keeps nothing.
pub struct Discard;

impl Sink for Discard {
    fn begin(&mut self, _: &Manifest) -> Result<()> {
        Ok(())
    }

    fn entry(&mut self, _: &EntryName, _: &FileRecord) -> Result<Box<dyn Write + '_>> {
        Ok(Box::new(io::sink()))
    }
}

/// An archive that was read to its end and matches its manifest. Only [`read`] makes one.
#[derive(Debug, Clone)]
pub struct Verified {
    manifest: Manifest,
    root: String,
    headers: BTreeMap<EntryName, HeaderAttributes>,
    is_plain: bool,
    listings: BTreeMap<EntryName, Listing>,
}

impl Verified {
    /// Returns the contents of the directory called `name`; `None` if the archive has none of that name.
    pub fn directory(&self, name: &EntryName) -> Option<DirectoryContents<'_>> {
        let listing = self.listings.get(name);
        let listed =
            listing.and_then(|listing| DirectoryContents::listed(&self.manifest, name, listing));
        listed.or_else(|| DirectoryContents::in_manifest(&self.manifest, name))
    }

    /// Returns true if the archive was the bare tar: another program had already removed the gzip.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the name of the root folder.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Returns the owner and permissions of an entry in the tar, for entries without these in the manifest, as in
    /// archives of version 1.0. They are less trustworthy than the manifest.
    pub fn header(&self, name: &EntryName) -> HeaderAttributes {
        self.headers.get(name).cloned().unwrap_or_default()
    }
}

/// Reads the archive called `shown` to its very end, passes its entries to `sink`, and names every fault.
pub fn read(shown: &str, input: Input, threads: Threads, sink: &mut dyn Sink) -> Result<Verified> {
    match input {
        Input::Seekable(mut file) => {
            let (head, bytes) =
                read_head(&mut file).with_context(|| format!("cannot read {shown}"))?;
            if head == Head::Unknown {
                refuse_other(shown, &bytes)?;
            }
            let mut known = None;
            if head == Head::ManifestLater {
                file.rewind()?;
                known = find_manifest(shown, &mut file, threads)?;
            }
            file.seek(SeekFrom::Start(0))
                .with_context(|| format!("cannot read {shown}"))?;
            Passage::new(sink, known).run(shown, file, threads)
        }
        Input::Stream(mut stream, scratch) => {
            let (head, bytes) =
                read_head(&mut stream).with_context(|| format!("cannot read {shown}"))?;
            if head == Head::Unknown {
                refuse_other(shown, &bytes)?;
            }
            let whole = Cursor::new(bytes).chain(stream);
            if head == Head::ManifestLater {
                return read(
                    shown,
                    Input::Seekable(Box::new(spool(whole, &scratch)?)),
                    threads,
                    sink,
                );
            }
            Passage::new(sink, None).run(shown, whole, threads)
        }
    }
}

/// Copies a stream to a file without a name: the manifest must be known before the entries are read.
fn spool(mut stream: impl Read, scratch: &Path) -> Result<std::fs::File> {
    let mut file = tempfile::tempfile_in(scratch)
        .with_context(|| format!("cannot make a temporary file in {}", scratch.display()))?;
    io::copy(&mut stream, &mut file).with_context(|| {
        let scratch = scratch.display();
        format!("cannot keep the stream in a temporary file in {scratch}")
    })?;
    file.rewind()?;
    Ok(file)
}

/// One reading of an archive.
struct Passage<'a> {
    sink: &'a mut dyn Sink,
    known: Option<Vec<u8>>,
    manifest: Option<Manifest>,
    manifest_seen: bool,
    root: Option<String>,
    /// The entries whose names differ from their paths, by path.
    by_path: BTreeMap<EntryName, EntryName>,
    seen: Distinct<EntryName>,
    headers: BTreeMap<EntryName, HeaderAttributes>,
    faults: Vec<Fault>,
}

/// The reason for which a reading ends early.
enum Stop {
    /// The archive is not good.
    Fault(Fault),
    /// It cannot be read.
    Reading(anyhow::Error),
    /// The sink failed: its failure explains itself.
    Sink(anyhow::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        match fault_of(&error) {
            Some(fault) => Stop::Fault(fault),
            None => Stop::Reading(error.into()),
        }
    }
}

type Tar<R> = TarStream<Budget<Inflated<BufReader<R>>>>;

impl<'a> Passage<'a> {
    fn new(sink: &'a mut dyn Sink, known: Option<Vec<u8>>) -> Passage<'a> {
        Passage {
            sink,
            known,
            manifest: None,
            manifest_seen: false,
            root: None,
            by_path: BTreeMap::new(),
            seen: Distinct::default(),
            headers: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    fn run<R: Read>(mut self, shown: &str, compressed: R, threads: Threads) -> Result<Verified> {
        let compressed = BufReader::with_capacity(BUFFER_BYTES, compressed);
        let inflated = Inflated::new(compressed, threads);
        let most = MAX_MANIFEST_BYTES + TAR_SLACK_BYTES;
        let mut tar = TarStream::new(Budget::new(inflated, most));
        match self.members(&mut tar) {
            Ok(()) => self.complete(&mut tar),
            Err(Stop::Reading(error)) => return Err(error.context(format!("cannot read {shown}"))),
            Err(Stop::Sink(error)) => return Err(error),
            Err(Stop::Fault(fault)) => {
                self.faults.push(fault);
                let reached = self.seen.count();
                if let Some(listed) = self.manifest.as_ref().map(|manifest| manifest.files.len())
                    && listed > reached
                {
                    self.faults.push(Fault::NotReached(listed - reached));
                }
            }
        }
        match (self.manifest, self.root) {
            (Some(manifest), Some(root)) if self.faults.is_empty() => Ok(Verified {
                manifest,
                root,
                headers: self.headers,
                listings: BTreeMap::new(),
                is_plain: tar.inner().inner().is_plain(),
            }),
            _ => Err(refusal(shown, &self.faults).into()),
        }
    }

    fn members<R: Read>(&mut self, tar: &mut Tar<R>) -> Result<(), Stop> {
        if let Some(bytes) = self.known.clone() {
            self.take_manifest(&bytes, tar)?;
        }
        while let Some(member) = tar.next_member()? {
            if self.faults.len() > MAX_FAULTS {
                return Err(Stop::Fault(Fault::Tar("too many faults to go on".into())));
            }
            self.member(member, tar)?;
        }
        Ok(())
    }

    fn member<R: Read>(&mut self, member: Member, tar: &mut Tar<R>) -> Result<(), Stop> {
        if let MemberKind::Special(what) = member.what {
            self.faults.push(Fault::Special {
                path: member.path,
                what,
            });
            return Ok(());
        }
        let Some(inside) = self.inside_root(&member) else {
            return Ok(());
        };
        if member.what == MemberKind::Folder {
            return Ok(());
        }
        if inside.as_str() == MANIFEST_NAME {
            return self.manifest_member(&member, tar);
        }
        let Some(manifest) = &self.manifest else {
            return Err(Stop::Fault(Fault::NoManifest));
        };
        let name = self.by_path.get(&inside).unwrap_or(&inside);
        let listed = manifest.files.get_key_value(name);
        let Some((name, record)) = listed.filter(|(_, record)| record.path == inside) else {
            let path = inside.as_str();
            let is_apple = path
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .starts_with(APPLE);
            self.faults.push(match is_apple {
                true => Fault::Apple(path.to_owned()),
                false => Fault::Unlisted(path.to_owned()),
            });
            return Ok(());
        };
        if !self.seen.insert(name.clone()) {
            self.faults.push(Fault::Twice(member.path));
            return Ok(());
        }
        if member.size != record.size {
            let fault = Fault::Size {
                name: name.clone(),
                expected: record.size,
                found: member.size,
            };
            if member.size > record.size {
                return Err(Stop::Fault(fault));
            }
            self.faults.push(fault);
            return Ok(());
        }
        let mut hashing = Hashing::new(self.sink.entry(name, record).map_err(Stop::Sink)?);
        loop {
            let bytes = match tar.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.seen.remove(name);
                    return Err(error.into());
                }
            };
            hashing
                .write_all(bytes)
                .with_context(|| format!("cannot write {name}"))
                .map_err(Stop::Sink)?;
            let count = bytes.len();
            tar.consume(count);
        }
        let (found, _) = hashing.finish();
        if found == record.checksum {
            self.sink.end(name, record).map_err(Stop::Sink)?;
        } else {
            self.faults.push(Fault::Checksum {
                name: name.clone(),
                expected: record.checksum,
                found,
            });
        }
        let is_silent = record.mode.is_none() || record.user.is_none() || record.group.is_none();
        if is_silent {
            self.headers.insert(name.clone(), member.attributes());
        }
        Ok(())
    }

    /// Returns the member's path below the root folder; `None` if there is nothing to check, or a fault was noted.
    fn inside_root(&mut self, member: &Member) -> Option<EntryName> {
        let mut path = member.path.as_str();
        while let Some(rest) = path.strip_prefix("./") {
            path = rest.trim_start_matches('/');
        }
        if member.what == MemberKind::Folder {
            path = path.trim_end_matches('/');
            if path.is_empty() || path == "." {
                return None;
            }
        }
        // The root folder precedes the name and is checked as a name of its own.
        let (root, inside) = path
            .split_once('/')
            .map_or((path, None), |(root, inside)| (root, Some(inside)));
        let is_known = self.root.as_deref() == Some(root);
        let checked = match inside {
            _ if root.is_empty() => Err(NameFault::Absolute),
            Some(inside) if is_known => EntryName::new(inside),
            Some(inside) => EntryName::new(root).and_then(|_| EntryName::new(inside)),
            None => EntryName::new(root),
        };
        let name = match checked {
            Ok(name) => name,
            Err(fault) => {
                self.faults.push(Fault::Path {
                    path: member.path.clone(),
                    reason: fault.to_string(),
                });
                return None;
            }
        };
        if inside.is_none() && member.what == MemberKind::File && root.starts_with(APPLE) {
            self.faults.push(Fault::Apple(member.path.clone()));
            return None;
        }
        let expected = self.root.get_or_insert_with(|| root.to_owned());
        if expected != root {
            self.faults.push(Fault::SecondRoot {
                path: member.path.clone(),
                root: expected.clone(),
            });
            return None;
        }
        if inside.is_none() {
            if member.what == MemberKind::File {
                self.faults.push(Fault::Path {
                    path: member.path.clone(),
                    reason: "lies outside a root folder".into(),
                });
            }
            return None;
        }
        Some(name)
    }

    fn manifest_member<R: Read>(&mut self, member: &Member, tar: &mut Tar<R>) -> Result<(), Stop> {
        if std::mem::replace(&mut self.manifest_seen, true) {
            self.faults.push(Fault::Twice(member.path.clone()));
            return Ok(());
        }
        if member.size > MAX_MANIFEST_BYTES {
            return Err(Stop::Fault(Fault::Manifest(format!(
                "is larger than {MAX_MANIFEST_BYTES} bytes"
            ))));
        }
        let mut bytes = Vec::new();
        tar.read_to_end(&mut bytes)?;
        match &self.known {
            None => self.take_manifest(&bytes, tar),
            Some(known) if *known == bytes => Ok(()),
            Some(_) => Err(Stop::Fault(Fault::Manifest(
                "changed while it was read".into(),
            ))),
        }
    }

    fn take_manifest<R: Read>(&mut self, bytes: &[u8], tar: &mut Tar<R>) -> Result<(), Stop> {
        let manifest = Manifest::parse(bytes).map_err(|mut faults| {
            let last = faults.pop();
            self.faults.extend(faults.into_iter().map(manifest_fault));
            Stop::Fault(last.map_or(Fault::NoManifest, manifest_fault))
        })?;
        self.sink.begin(&manifest).map_err(Stop::Sink)?;
        let files = manifest.files.iter();
        self.by_path = files
            .filter(|(name, record)| record.path != **name)
            .map(|(name, record)| (record.path.clone(), name.clone()))
            .collect();
        let content = manifest.total_bytes();
        let overhead = (manifest.files.len() as u64)
            .saturating_mul(TAR_OVERHEAD_BYTES)
            .saturating_add(TAR_SLACK_BYTES);
        let manifest_bytes = if self.known.is_some() {
            bytes.len() as u64
        } else {
            0
        };
        tar.inner().allow(
            content,
            content
                .saturating_add(overhead)
                .saturating_add(manifest_bytes),
        );
        self.manifest = Some(manifest);
        Ok(())
    }

    /// Adds the faults that are known only at the end.
    fn complete<R: Read>(&mut self, tar: &mut Tar<R>) {
        let Some(manifest) = &self.manifest else {
            self.faults.push(Fault::NoManifest);
            return;
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
    }
}

fn manifest_fault(fault: ManifestFault) -> Fault {
    match fault {
        ManifestFault::Malformed(reason) => Fault::Manifest(reason),
        ManifestFault::Version(reason) => Fault::Version(reason),
    }
}
