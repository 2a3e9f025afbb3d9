//! Owners, modes, times and extended attributes that this process may give, to what is open and to links.
//!
//! Set-id bits let whoever runs a file act as its owner, capabilities and `trusted.*` attributes act for root: they
//! come back only if root restores them, and set-id bits only with the owner for whom they were meant. What does not
//! come back for that reason is said by [`super::foresight`] before anything is tried.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::fs::{self as sys, AtFlags};

use super::{
    beneath::{Look, is_carried, is_privileged},
    given::{
        GivenAttributes, NO_OWNER, NO_TIME, NewFile, ORDINARY_BITS, Refusals, new_owner,
        not_restored, timestamps,
    },
    owners::Owners,
    powers::Powers,
};
use crate::model::{
    limits::MAX_OWNERS,
    manifest::FileRecord,
    plan,
    tree::{FolderRecord, LinkRecord, Modified, Owner, Xattrs},
};
use crate::work::remark::RemarkKind;

/// The right to give owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// We are root: everything belongs to whom it belonged.
    Root,
    /// Everything is our own.
    Ours,
}

/// Returns the kind of a refusal, in the words of [`AttributeWriter`].
pub fn kind_of(refused: &str) -> RemarkKind {
    match refused {
        _ if refused.starts_with(NO_OWNER) => RemarkKind::Owner,
        _ if refused.starts_with(NO_TIME) => RemarkKind::Time,
        _ => RemarkKind::Attribute,
    }
}

/// The bits that mean something for a folder: set-gid and sticky among them.
pub const FOLDER_BITS: u32 = 0o3777;

/// Gives attributes; each function that does returns what the file system refuses, in words. What this process may not
/// restore at all it leaves out without a word.
#[derive(Debug)]
pub struct AttributeWriter {
    privilege: Privilege,
    owners: Owners,
    /// The owners that the file system refused, each of which is said once, unless there are very many.
    refused: BTreeSet<(u32, u32)>,
}

impl AttributeWriter {
    /// Creates the value for a process of this privilege.
    pub fn new(privilege: Privilege) -> AttributeWriter {
        AttributeWriter {
            privilege,
            owners: Owners::default(),
            refused: BTreeSet::new(),
        }
    }

    /// Returns the powers of this process.
    pub fn powers(&self) -> &Powers {
        self.owners.powers()
    }

    /// Returns the mode with which a file is made: set-id bits come when it has its content and its owner.
    pub fn mode_of_new_file(record: &FileRecord) -> Option<u32> {
        record.mode.map(|mode| mode & ORDINARY_BITS)
    }

    /// Returns the mode that a file of `owner` gets here, of those bits that the archive says. Set-id bits stay only if
    /// root restores them and this machine knows the owner and the group.
    pub fn mode_of_file(&mut self, mode: u32, owner: &Owner) -> u32 {
        let is_known = self.privilege == Privilege::Root && self.owners.knows(owner);
        let is_given = |(uid, gid): (Option<u32>, Option<u32>)| uid.is_some() && gid.is_some();
        match is_known && is_given(self.owner(owner)) {
            true => mode,
            false => mode & ORDINARY_BITS,
        }
    }

    /// Returns the mode that a folder gets: its set-uid bit means nothing.
    pub fn mode_of_folder(mode: u32) -> u32 {
        mode & FOLDER_BITS
    }

    /// Returns what of a file's mode does not come back here, in words.
    pub fn unrestored_mode(&mut self, mode: u32, owner: &Owner) -> Option<String> {
        let allowed = self.mode_of_file(mode, owner);
        (allowed != mode).then(|| {
            let reason = match self.privilege {
                Privilege::Ours => "only an import by root restores them",
                Privilege::Root if self.owners.knows(owner) => {
                    "the root of this container cannot give it to its owner and its group"
                }
                Privilege::Root => "this machine does not know its owner or its group",
            };
            format!("its special bits are not restored, {mode:04o} becomes {allowed:04o}: {reason}")
        })
    }

    /// Returns true if this process may restore the extended attribute called `name`.
    pub fn may_set(&self, name: &str) -> bool {
        let is_ours = || self.privilege == Privilege::Root && self.powers().may_set(name);
        is_carried(name) && (!is_privileged(name) || is_ours())
    }

    /// Returns what of the attributes does not come back here, in words, whatever the file system can do.
    pub fn unrestored(&self, xattrs: &Xattrs) -> Vec<String> {
        let names = xattrs.keys().filter(|name| !self.may_set(name));
        let why = |name: &str| match is_carried(name) {
            true if self.privilege == Privilege::Root => {
                "the root of a container may not restore it"
            }
            true => "only an import by root restores it",
            false => "it belongs to the machine that it comes from",
        };
        let say = |name: &String| format!("{}: {}", not_restored(name), why(name));
        names.map(say).collect()
    }

    /// Returns the owner that root gives, as numbers; nothing if what is restored stays ours, because we are not root
    /// or root of a container that lacks this owner.
    pub fn owner(&mut self, owner: &Owner) -> (Option<u32>, Option<u32>) {
        match self.privilege {
            Privilege::Root => self.owners.find_givable(owner),
            Privilege::Ours => (None, None),
        }
    }

    /// Gives a file its attributes.
    pub fn set_file(&mut self, file: &File, record: &FileRecord) -> io::Result<Vec<String>> {
        let given = self.of_file(record);
        self.set(file.as_fd(), &given)
    }

    /// Returns the attributes that a file gets.
    pub fn of_file<'a>(&mut self, record: &'a FileRecord) -> GivenAttributes<'a> {
        let owner = record.owner();
        let mode = record.mode.map(|mode| self.mode_of_file(mode, &owner));
        self.given(mode, &owner, record.modified(), &record.xattrs)
    }

    /// Gives a single file its attributes, as an import planned them.
    pub fn set_planned(
        &mut self,
        file: &File,
        planned: &plan::FileAttributes,
        mtime: Option<Modified>,
    ) -> io::Result<Vec<String>> {
        let (uid, gid) = planned.owner.unzip();
        let owner = Owner {
            uid,
            gid,
            ..Owner::default()
        };
        let given = self.given(Some(planned.mode), &owner, mtime, &planned.xattrs);
        self.set(file.as_fd(), &given)
    }

    /// Gives a folder its attributes.
    pub fn set_folder(
        &mut self,
        folder: BorrowedFd<'_>,
        record: &FolderRecord,
    ) -> io::Result<Vec<String>> {
        let mode = record.mode.map(AttributeWriter::mode_of_folder);
        let given = self.given(mode, &record.owner, record.mtime, &record.xattrs);
        self.set(folder, &given)
    }

    fn set(&mut self, fd: BorrowedFd<'_>, given: &GivenAttributes<'_>) -> io::Result<Vec<String>> {
        let refused = given.give(fd, NewFile::inspect(fd)?)?;
        Ok(self.say(refused))
    }

    fn given<'a>(
        &mut self,
        mode: Option<u32>,
        owner: &Owner,
        mtime: Option<Modified>,
        xattrs: &'a Xattrs,
    ) -> GivenAttributes<'a> {
        let owner = self.owner(owner);
        let mut xattrs = Cow::Borrowed(xattrs);
        if !xattrs.keys().all(|name| self.may_set(name)) {
            xattrs.to_mut().retain(|name, _| self.may_set(name));
        }
        GivenAttributes {
            mode,
            owner,
            mtime,
            xattrs,
        }
    }

    /// Gives a symbolic link its attributes.
    pub fn set_link(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        record: &LinkRecord,
    ) -> io::Result<Vec<String>> {
        let mut refused = Refusals::default();
        let look = Look::at(parent, name)?;
        if let Some(owner) = new_owner(&look, self.owner(&record.owner)) {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            refused.accept_owner(owner, |uid, gid| {
                sys::chownat(parent, name, Some(uid), Some(gid), flags)
            })?;
        }
        if let Some(mtime) = record.mtime {
            let times = timestamps(mtime);
            let given = sys::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW);
            refused.accept_time(given)?;
        }
        Ok(self.say(refused))
    }

    /// Returns the sentences for refusals: an owner is named only for the first thing that it is refused for.
    pub fn say(&mut self, refused: Refusals) -> Vec<String> {
        let Refusals { owner, mut others } = refused;
        if self.refused.len() >= MAX_OWNERS {
            self.refused.clear();
        }
        if let Some((ids, sentence)) = owner
            && self.refused.insert(ids)
        {
            others.insert(0, sentence);
        }
        others
    }

    /// Tries to give what is open to an owner, as [`AttributeWriter::set_file`] would, if it is not theirs already; `look`
    /// is from when it was made. Returns what the file system refuses, in the same words.
    pub fn try_owner(&mut self, fd: impl AsFd, look: &Look, owner: &Owner) -> Option<String> {
        let owner = new_owner(look, self.owner(owner))?;
        let mut refused = Refusals::default();
        let given = refused.accept_owner(owner, |uid, gid| sys::fchown(&fd, Some(uid), Some(gid)));
        // Any other error ends the restore itself.
        given.ok()?;
        refused.owner.map(|(_, sentence)| sentence)
    }
}
