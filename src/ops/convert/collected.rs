//! The content of a tar: its files in a file without a name, and the records of everything else.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write as _},
    sync::Arc,
};

use anyhow::{Context as _, Result};

use super::{
    paths::{Place, place_of},
    tar_file::TarFile,
};
use crate::{
    archive::{
        foreign_tar::{ForeignKind, ForeignMember, ForeignTar},
        manifest_text::too_large,
    },
    context::Context,
    disk::tree::beneath::is_carried,
    error::{Failure, Kind},
    model::{
        digest::{Digest, Hashing, HashingReader},
        entry_name::EntryName,
        limits::MAX_ENTRIES,
        manifest::FileRecord,
        relative::{RelativeName, shown},
        tree::{FolderRecord, LinkRecord, Tree, Xattrs},
    },
    work::{range::FileRange, remark::RemarkKind, remarks::Remarks},
};

/// The content of a tar.
pub struct Collected {
    /// The records of its files.
    pub files: BTreeMap<EntryName, FileRecord>,
    /// Its directories.
    pub trees: BTreeMap<EntryName, Tree>,
    /// The time of its newest change, Unix seconds.
    pub newest: Option<i64>,
    /// SHA-256 of the tar as it lies there.
    pub origin: Digest,
    /// The digest of each file in the order of the tar.
    digests: Vec<Digest>,
    /// The place of the content of each file.
    places: BTreeMap<EntryName, u64>,
    content: Arc<File>,
}

impl Collected {
    /// Returns the content of an entry.
    pub fn content(&self, name: &EntryName) -> Result<FileRange> {
        let record = self.files.get(name).zip(self.places.get(name));
        let (record, place) = record.with_context(|| format!("{name} is not in the tar"))?;
        Ok(FileRange::new(self.content.clone(), *place, record.size))
    }
}

/// Reads the tar, and collects what an archive can have. What it cannot have is left undone.
pub fn collect(
    context: &Context,
    tar: &TarFile,
    directory: Option<&EntryName>,
    remarks: &mut Remarks,
) -> Result<Collected> {
    let scratch = &context.scratch;
    let content = tempfile::tempfile_in(scratch)
        .with_context(|| format!("cannot make a temporary file in {}", scratch.display()))?;
    let mut collecting = Collecting {
        shown: &tar.shown,
        keeping: format!(
            "cannot keep the content in a temporary file in {}",
            scratch.display()
        ),
        directory,
        remarks,
        files: BTreeMap::new(),
        trees: BTreeMap::new(),
        places: BTreeMap::new(),
        digests: Vec::new(),
        newest: None,
        end: 0,
        others: 0,
    };
    let mut content = io::BufWriter::new(content);
    let origin = each_member(context, tar, &mut |member, stream| {
        collecting.take(member, stream, &mut content)
    })?;
    let keeping = collecting.keeping.clone();
    let content = content.into_inner().map_err(io::IntoInnerError::into_error);
    let content = content.with_context(|| keeping)?;
    if collecting.files.is_empty() && collecting.trees.is_empty() {
        let message = format!("{} holds no file and no folder", tar.shown);
        return Err(Failure::new(Kind::Refused, message)
            .hint("look at it with `tar -t`")
            .into());
    }
    Ok(Collected {
        files: collecting.files,
        trees: collecting.trees,
        newest: collecting.newest,
        origin,
        digests: collecting.digests,
        places: collecting.places,
        content: Arc::new(content),
    })
}

/// Reads the tar once more. Fails if it is not what it was.
pub fn compare(context: &Context, tar: &TarFile, collected: &Collected) -> Result<()> {
    let mut expected = collected.digests.iter();
    let changed = || {
        let message = format!("{} is not the same at a second reading", tar.shown);
        Failure::new(Kind::Failed, message).hint(
            "convert it when no process writes to it; if none does, test the disk and the memory",
        )
    };
    let origin = each_member(context, tar, &mut |member, stream| {
        if member.what != ForeignKind::File {
            return Ok(());
        }
        let digest = hash(stream, &mut io::sink(), "")?.0;
        match expected.next() == Some(&digest) {
            true => Ok(()),
            false => Err(changed().into()),
        }
    })?;
    match expected.next().is_none() && origin == collected.origin {
        true => Ok(()),
        false => Err(changed().into()),
    }
}

type Stream<'a> = ForeignTar<&'a mut HashingReader<crate::work::cancel::Watched<FileRange>>>;

/// Passes each member of the tar to `take`, and returns the digest of the whole file.
fn each_member(
    context: &Context,
    tar: &TarFile,
    take: &mut dyn FnMut(ForeignMember, &mut Stream<'_>) -> Result<()>,
) -> Result<Digest> {
    let reading = || format!("cannot read {}", tar.shown);
    let first = tar.first().with_context(reading)?;
    let mut hashing = HashingReader::new(context.watch(tar.reader()));
    let mut stream = ForeignTar::open(&tar.shown, &first, &mut hashing, context.threads)?;
    while let Some(member) = stream.next_member()? {
        take(member, &mut stream)?;
    }
    drop(stream);
    io::copy(&mut hashing, &mut io::sink()).with_context(reading)?;
    Ok(hashing.finish().0)
}

/// Writes the content of the current member to `out`; returns its digest and size.
fn hash(stream: &mut Stream<'_>, out: &mut dyn io::Write, keeping: &str) -> Result<(Digest, u64)> {
    let mut hashing = Hashing::new(out);
    stream.content(&mut |bytes| {
        let kept = hashing.write_all(bytes);
        kept.with_context(|| keeping.to_owned())
    })?;
    Ok(hashing.finish())
}

struct Collecting<'a> {
    shown: &'a str,
    /// The context of a failure to keep the content.
    keeping: String,
    directory: Option<&'a EntryName>,
    remarks: &'a mut Remarks,
    files: BTreeMap<EntryName, FileRecord>,
    trees: BTreeMap<EntryName, Tree>,
    places: BTreeMap<EntryName, u64>,
    digests: Vec<Digest>,
    newest: Option<i64>,
    /// The end of the content so far.
    end: u64,
    /// The number of folders and links.
    others: usize,
}

impl Collecting<'_> {
    fn take(
        &mut self,
        member: ForeignMember,
        stream: &mut Stream<'_>,
        content: &mut dyn io::Write,
    ) -> Result<()> {
        let is_folder = member.what == ForeignKind::Folder;
        let place = self.place(&member.path, is_folder)?;
        if self.files.len() + self.others > MAX_ENTRIES {
            return Err(too_large(None).into());
        }
        let path = shown(&member.path);
        if let ForeignKind::Special(kind) = member.what {
            let message = format!("{path} is {kind}, which no archive has");
            self.remarks.undone(RemarkKind::Special, path, message);
            return Ok(());
        }
        if member.what == ForeignKind::Sparse {
            let message = format!(
                "{} has a sparse file, {path}, whose holes are not stored",
                self.shown
            );
            return Err(Failure::new(Kind::Refused, message)
                .hint("unpack it, and pack it again without --sparse (-S)")
                .into());
        }
        if member.has_acl {
            let message = format!("the access control list of {path} is left out");
            self.remarks
                .undone(RemarkKind::Attribute, path.clone(), message);
        }
        self.newest = self.newest.max(Some(member.mtime.seconds));
        match (&member.what, place) {
            (_, Place::Top) => {}
            (ForeignKind::Folder, Place::Directory(name)) => {
                self.trees.entry(name).or_default().root = folder(member);
            }
            (ForeignKind::Folder, Place::Below(name, relative)) => {
                self.others += 1;
                let tree = self.trees.entry(name).or_default();
                tree.folders.insert(relative, folder(member));
            }
            (ForeignKind::Link(target), Place::Below(name, relative)) => {
                self.forget(&name, &relative);
                self.others += 1;
                let link = LinkRecord {
                    target: target.clone(),
                    owner: member.owner,
                    mtime: Some(member.mtime),
                };
                self.trees
                    .entry(name)
                    .or_default()
                    .links
                    .insert(relative, link);
            }
            (ForeignKind::Link(_), _) => {
                let message = format!(
                    "{path} is a symbolic link at the top, which an archive has only in a directory"
                );
                self.remarks.undone(RemarkKind::Link, path, message);
            }
            (ForeignKind::SameAs(first), place) => self.same_as(&path, first, place)?,
            (_, place) => {
                let (digest, size) = hash(stream, content, &self.keeping)?;
                self.digests.push(digest);
                let at = self.end;
                self.end += size;
                self.file(place, at, |name| recorded(&member, name, digest, size));
            }
        }
        Ok(())
    }

    fn place(&self, path: &[u8], is_folder: bool) -> Result<Place, Failure> {
        place_of(path, is_folder, self.directory).map_err(|fault| {
            let message = format!(
                "{} has a forbidden path {}: it {fault}",
                self.shown,
                shown(path)
            );
            Failure::new(Kind::Refused, message)
                .hint("unpack it, and pack again what is to be kept")
        })
    }

    /// Adds a further name of a file that came before.
    fn same_as(&mut self, path: &str, first: &[u8], place: Place) -> Result<(), Failure> {
        let (name, _) = entry_of(&self.place(first, false)?);
        let found = name.and_then(|name| self.files.get_key_value(&name));
        let found = found.map(|(name, record)| (record.clone(), self.places.get(name).copied()));
        let Some((record, Some(at))) = found else {
            let message = format!(
                "{} has a hard link, {path}, to {}, which does not come before it",
                self.shown,
                shown(first)
            );
            return Err(Failure::new(Kind::Refused, message)
                .hint("pack the file it leads to as well, before it"));
        };
        self.file(place, at, |name| FileRecord {
            path: name,
            name: None,
            ..record
        });
        Ok(())
    }

    /// Adds a file whose content begins at `at`. A later file of the same path takes the place of an earlier one, as it
    /// does for tar.
    fn file(&mut self, place: Place, at: u64, record: impl FnOnce(EntryName) -> FileRecord) {
        if let Place::Below(name, relative) = &place {
            self.forget(name, relative);
            self.trees.entry(name.clone()).or_default();
        }
        let (Some(name), escaped) = entry_of(&place) else {
            return;
        };
        let record = FileRecord {
            name: escaped,
            ..record(name.clone())
        };
        self.places.insert(name.clone(), at);
        self.files.insert(name, record);
    }

    /// Forgets a file or a link of the same path that came before.
    fn forget(&mut self, name: &EntryName, relative: &RelativeName) {
        if let Some(tree) = self.trees.get_mut(name) {
            tree.links.remove(relative);
        }
        let (entry, _) = relative.entry(name);
        self.files.remove(&entry);
        self.places.remove(&entry);
    }
}

/// Returns the entry of a place, and the path below its directory if the name of the entry is escaped.
fn entry_of(place: &Place) -> (Option<EntryName>, Option<Vec<u8>>) {
    match place {
        Place::Entry(name) => (Some(name.clone()), None),
        Place::Below(name, relative) => {
            let (entry, is_escaped) = relative.entry(name);
            (
                Some(entry),
                is_escaped.then(|| relative.as_bytes().to_vec()),
            )
        }
        Place::Top | Place::Directory(_) => (None, None),
    }
}

fn recorded(member: &ForeignMember, name: EntryName, digest: Digest, size: u64) -> FileRecord {
    let owner = &member.owner;
    FileRecord {
        mode: Some(member.mode),
        user: owner.user.clone(),
        group: owner.group.clone(),
        uid: owner.uid,
        gid: owner.gid,
        mtime: Some(member.mtime.seconds),
        mtime_ns: Some(member.mtime.nanoseconds).filter(|count| *count > 0),
        kind: Some("file".into()),
        xattrs: carried(&member.xattrs),
        ..FileRecord::new(name, digest, size)
    }
}

fn folder(member: ForeignMember) -> FolderRecord {
    FolderRecord {
        mode: Some(member.mode),
        xattrs: carried(&member.xattrs),
        owner: member.owner,
        mtime: Some(member.mtime),
    }
}

/// Returns the extended attributes that an archive has.
fn carried(xattrs: &Xattrs) -> Xattrs {
    let kept = xattrs.iter().filter(|(name, _)| is_carried(name));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
