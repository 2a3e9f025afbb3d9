//! The files, folders and links of what is converted, as the records of an archive.

use std::collections::BTreeMap;

use anyhow::Result;

use super::paths::{Place, place_of};
use crate::{
    archive::{
        foreign_tar::{ForeignKind, ForeignMember},
        manifest_text::too_large,
    },
    disk::tree::beneath::is_carried,
    error::{Failure, Kind},
    model::{
        digest::Digest,
        entry_name::EntryName,
        limits::MAX_ENTRIES,
        manifest::FileRecord,
        relative::{RelativeName, shown},
        tree::{FolderRecord, LinkRecord, Tree, Xattrs},
    },
    work::{remark::RemarkKind, remarks::Remarks},
};

/// The records of what is converted.
#[derive(Default)]
pub struct Collected {
    /// The records of its files.
    pub files: BTreeMap<EntryName, FileRecord>,
    /// Its directories.
    pub trees: BTreeMap<EntryName, Tree>,
    /// The time of its newest change, Unix seconds.
    pub newest: Option<i64>,
    /// The place of the content of each file.
    pub places: BTreeMap<EntryName, u64>,
}

/// The content of a file that was read.
pub struct Kept {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The place at which it is found again.
    pub place: u64,
}

/// Collects the members of what is converted, one by one.
pub struct Collecting<'a> {
    /// The thing that is converted, for messages.
    pub shown: &'a str,
    /// The advice if it has something that no archive may have.
    pub advice: &'static str,
    /// The directory that gets everything; `None` if each folder at the top is a directory of its own.
    pub directory: Option<&'a EntryName>,
    /// Gets what no archive can have.
    pub remarks: &'a mut Remarks,
    /// The records so far.
    pub collected: Collected,
    /// The number of folders and links.
    pub others: usize,
}

impl<'a> Collecting<'a> {
    /// Begins with nothing.
    pub fn new(
        shown: &'a str,
        advice: &'static str,
        directory: Option<&'a EntryName>,
        remarks: &'a mut Remarks,
    ) -> Collecting<'a> {
        Collecting {
            shown,
            advice,
            directory,
            remarks,
            collected: Collected::default(),
            others: 0,
        }
    }

    /// Returns the records. Fails if there are none; `hint` says how to look.
    pub fn finish(self, hint: &str) -> Result<Collected, Failure> {
        let collected = self.collected;
        if collected.files.is_empty() && collected.trees.is_empty() {
            let message = format!("{} holds no file and no folder", self.shown);
            return Err(Failure::new(Kind::Refused, message).hint(hint));
        }
        Ok(collected)
    }

    /// Adds a member. `keep` reads its content; it is called for files alone. What an archive cannot have is left undone.
    pub fn take(
        &mut self,
        member: ForeignMember,
        keep: &mut dyn FnMut() -> Result<Kept>,
    ) -> Result<()> {
        let is_folder = member.what == ForeignKind::Folder;
        let place = self.place(&member.path, is_folder)?;
        if self.collected.files.len() + self.others > MAX_ENTRIES {
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
        self.collected.newest = self.collected.newest.max(Some(member.mtime.seconds));
        match (&member.what, place) {
            (_, Place::Top) => {}
            (ForeignKind::Folder, Place::Directory(name)) => {
                self.collected.trees.entry(name).or_default().root = folder(member);
            }
            (ForeignKind::Folder, Place::Below(name, relative)) => {
                self.others += 1;
                let tree = self.collected.trees.entry(name).or_default();
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
                let tree = self.collected.trees.entry(name).or_default();
                tree.links.insert(relative, link);
            }
            (ForeignKind::Link(_), _) => {
                let message = format!(
                    "{path} is a symbolic link at the top, which an archive has only in a directory"
                );
                self.remarks.undone(RemarkKind::Link, path, message);
            }
            (ForeignKind::SameAs(first), place) => self.same_as(&path, first, place)?,
            (_, place) => {
                let kept = keep()?;
                self.file(place, kept.place, |name| recorded(&member, name, &kept));
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
            Failure::new(Kind::Refused, message).hint(self.advice)
        })
    }

    /// Adds a further name of a file that came before.
    fn same_as(&mut self, path: &str, first: &[u8], place: Place) -> Result<(), Failure> {
        let (name, _) = entry_of(&self.place(first, false)?);
        let collected = &self.collected;
        let found = name.and_then(|name| collected.files.get_key_value(&name));
        let found =
            found.map(|(name, record)| (record.clone(), collected.places.get(name).copied()));
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
            self.collected.trees.entry(name.clone()).or_default();
        }
        let (Some(name), escaped) = entry_of(&place) else {
            return;
        };
        let record = FileRecord {
            name: escaped,
            ..record(name.clone())
        };
        self.collected.places.insert(name.clone(), at);
        self.collected.files.insert(name, record);
    }

    /// Forgets a file or a link of the same path that came before.
    fn forget(&mut self, name: &EntryName, relative: &RelativeName) {
        if let Some(tree) = self.collected.trees.get_mut(name) {
            tree.links.remove(relative);
        }
        let (entry, _) = relative.entry(name);
        self.collected.files.remove(&entry);
        self.collected.places.remove(&entry);
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

fn recorded(member: &ForeignMember, name: EntryName, kept: &Kept) -> FileRecord {
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
        ..FileRecord::new(name, kept.digest, kept.size)
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
