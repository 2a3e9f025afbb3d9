//! Owners, modes, times and extended attributes, given to what is open and to links.
//!
//! Set-id bits let whoever runs a file act as its owner, capabilities and `trusted.*` attributes act for root: they
//! come back only if root restores them, and set-id bits only with the owner for whom they were meant. What does not
//! come back for that reason is said by [`super::foresight`] before anything is tried.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::{
    fs::{self as sys, AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags},
    io::Errno,
};

use super::{
    beneath::{ACLS, Look, NodeKind, is_carried, is_privileged},
    owners::Owners,
    powers::Powers,
};
use crate::model::{
    limits::MAX_OWNERS,
    manifest::FileRecord,
    plan,
    relative::shown,
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

/// The beginnings of their messages.
const NO_OWNER: &str = "its owner cannot be";
const NO_TIME: &str = "its time cannot be set";

/// Returns the kind of a refusal, in the words of [`AttributeWriter`].
pub fn kind_of(refused: &str) -> RemarkKind {
    match refused {
        _ if refused.starts_with(NO_OWNER) => RemarkKind::Owner,
        _ if refused.starts_with(NO_TIME) => RemarkKind::Time,
        _ => RemarkKind::Attribute,
    }
}

/// The text beside set-id bits that were meant for another owner.
pub const OTHER_OWNER: &str = "its special bits are not restored: its owner is another";

/// The ordinary permission bits: no set-uid, set-gid or sticky bit.
pub const ORDINARY_BITS: u32 = 0o777;
/// The bits that mean something for a folder: set-gid and sticky among them.
pub const FOLDER_BITS: u32 = 0o3777;

/// A file as it was made, before it got attributes: the next one that is made in the same way is the same.
#[derive(Debug, Clone, Copy)]
pub struct NewFile {
    look: Look,
    /// True if it inherited ACLs, or may have.
    has_acls: bool,
}

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

    /// Takes the ACLs away that were inherited; returns true if there were any.
    pub fn clear_acls(&self, fd: impl AsFd) -> io::Result<bool> {
        // Most have no attributes at all, which one question tells.
        if sys::flistxattr_query(&fd) == Ok(0) {
            return Ok(false);
        }
        let mut had_any = false;
        for name in ACLS {
            match sys::fremovexattr(&fd, name) {
                Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => {}
                result => {
                    result?;
                    had_any = true;
                }
            }
        }
        Ok(had_any)
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
        let (owner, mtime) = (record.owner(), record.modified());
        let mode = record.mode.map(|mode| self.mode_of_file(mode, &owner));
        self.set(file.as_fd(), mode, &owner, mtime, &record.xattrs)
    }

    /// Does the same for a file that was just made, as `known` says that such files are made; looks at it if that is
    /// nothing.
    pub fn set_new_file(
        &mut self,
        file: &File,
        record: &FileRecord,
        known: &mut Option<NewFile>,
    ) -> io::Result<Vec<String>> {
        let made = match *known {
            Some(made) => made,
            None => {
                let look = Look::of(file)?;
                let has_acls = self.clear_acls(file)?;
                let made = NewFile { look, has_acls };
                *known = Some(made).filter(|made| !made.has_acls);
                made
            }
        };
        let (owner, mtime) = (record.owner(), record.modified());
        let mode = record.mode.map(|mode| self.mode_of_file(mode, &owner));
        self.give(file.as_fd(), made, mode, &owner, mtime, &record.xattrs)
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
        self.set(
            file.as_fd(),
            Some(planned.mode),
            &owner,
            mtime,
            &planned.xattrs,
        )
    }

    /// Gives a folder its attributes.
    pub fn set_folder(
        &mut self,
        folder: BorrowedFd<'_>,
        record: &FolderRecord,
    ) -> io::Result<Vec<String>> {
        let mode = record.mode.map(AttributeWriter::mode_of_folder);
        self.set(folder, mode, &record.owner, record.mtime, &record.xattrs)
    }

    fn set(
        &mut self,
        fd: BorrowedFd<'_>,
        mode: Option<u32>,
        owner: &Owner,
        mtime: Option<Modified>,
        xattrs: &Xattrs,
    ) -> io::Result<Vec<String>> {
        let made = NewFile {
            look: Look::of(fd)?,
            has_acls: self.clear_acls(fd)?,
        };
        self.give(fd, made, mode, owner, mtime, xattrs)
    }

    /// Gives attributes to something that is as `made` says, and has no ACLs any more.
    fn give(
        &mut self,
        fd: BorrowedFd<'_>,
        made: NewFile,
        mode: Option<u32>,
        owner: &Owner,
        mtime: Option<Modified>,
        xattrs: &Xattrs,
    ) -> io::Result<Vec<String>> {
        let mut refused = Vec::new();
        let mut mode = mode;
        // A new owner takes away bits of the mode, and a mode may keep us from setting attributes.
        let look = made.look;
        let mut is_mode_kept = xattrs.is_empty() && !made.has_acls;
        if let Some((uid, gid)) = self.new_owner(&look, owner) {
            is_mode_kept = false;
            let given = sys::fchown(fd, Some(uid), Some(gid));
            let is_refused = self.accept_owner(given, (uid, gid), &mut refused)?;
            // Set-id bits were meant for another owner then.
            if let Some(bits) = mode
                && is_refused
                && look.what == NodeKind::File
                && bits & !ORDINARY_BITS != 0
            {
                mode = Some(bits & ORDINARY_BITS);
                refused.push(OTHER_OWNER.to_owned());
            }
        }
        for (name, value) in xattrs {
            if self.may_set(name) {
                let given = sys::fsetxattr(fd, name.as_str(), value, XattrFlags::empty());
                let count = refused.len();
                accept(given, &mut refused, || not_restored(name))?;
                // The bits of the group are the most that the ACL granted: without it the group would have them.
                if let Some(bits) = mode
                    && refused.len() > count
                    && name == ACLS[0]
                {
                    is_mode_kept = false;
                    mode = Some(without_acl(bits));
                    refused.extend((bits & GROUP_BITS != 0).then(|| GROUP_CLOSED.to_owned()));
                }
            }
        }
        if let Some(mode) = mode
            && !(is_mode_kept && look.mode == mode)
        {
            sys::fchmod(fd, Mode::from_raw_mode(mode))?;
        }
        if let Some(mtime) = mtime {
            let given = sys::futimens(fd, &timestamps(mtime));
            accept(given, &mut refused, || NO_TIME.to_owned())?;
        }
        Ok(refused)
    }

    /// Gives a symbolic link its attributes.
    pub fn set_link(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        record: &LinkRecord,
    ) -> io::Result<Vec<String>> {
        let mut refused = Vec::new();
        let look = Look::at(parent, name)?;
        if let Some((uid, gid)) = self.new_owner(&look, &record.owner) {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let given = sys::chownat(parent, name, Some(uid), Some(gid), flags);
            self.accept_owner(given, (uid, gid), &mut refused)?;
        }
        if let Some(mtime) = record.mtime {
            let times = timestamps(mtime);
            let given = sys::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW);
            accept(given, &mut refused, || NO_TIME.to_owned())?;
        }
        Ok(refused)
    }

    /// Returns true if an owner is refused, and says so of the first thing that it is refused for.
    fn accept_owner(
        &mut self,
        given: Result<(), Errno>,
        (uid, gid): (Uid, Gid),
        refused: &mut Vec<String>,
    ) -> io::Result<bool> {
        let mut said = Vec::new();
        let (uid, gid) = (uid.as_raw(), gid.as_raw());
        accept(given, &mut said, || format!("{NO_OWNER} {uid}:{gid}"))?;
        let is_refused = !said.is_empty();
        if self.refused.len() >= MAX_OWNERS {
            self.refused.clear();
        }
        if is_refused && self.refused.insert((uid, gid)) {
            refused.append(&mut said);
        }
        Ok(is_refused)
    }

    /// Tries to give what is open to an owner, as [`AttributeWriter::set_file`] would, if it is not theirs already; `look`
    /// is from when it was made. Returns what the file system refuses, in the same words.
    pub fn try_owner(&mut self, fd: impl AsFd, look: &Look, owner: &Owner) -> Option<String> {
        let (uid, gid) = self.new_owner(look, owner)?;
        let mut refused = Vec::new();
        let given = sys::fchown(fd, Some(uid), Some(gid));
        let say = || format!("{NO_OWNER} {}:{}", uid.as_raw(), gid.as_raw());
        // Any other error ends the restore itself.
        accept(given, &mut refused, say).ok()?;
        refused.pop()
    }

    /// Returns the owner that is to be given, if it is not the one that is there.
    fn new_owner(&mut self, look: &Look, owner: &Owner) -> Option<(Uid, Gid)> {
        if self.privilege == Privilege::Ours {
            return None;
        }
        let (uid, gid) = self.owner(owner);
        let (uid, gid) = (uid.unwrap_or(look.uid), gid.unwrap_or(look.gid));
        let is_new = (uid, gid) != (look.uid, look.gid);
        is_new.then(|| (Uid::from_raw(uid), Gid::from_raw(gid)))
    }
}

fn not_restored(name: &str) -> String {
    format!("its attribute {} is not restored", shown(name.as_bytes()))
}

/// Returns what a file system without attributes of this name refuses, in the words of [`AttributeWriter::set_file`].
pub fn unsupported(name: &str) -> String {
    let error = io::Error::from(Errno::OPNOTSUPP);
    format!("{}: {error}", not_restored(name))
}

/// Returns what is said of an ACL that names users or groups which are not here.
pub fn unknown_ids(name: &str) -> String {
    format!(
        "{}: it names a user or a group that this container does not have",
        not_restored(name)
    )
}

/// The permission bits of the group.
const GROUP_BITS: u32 = 0o070;
/// The text beside an ACL that is not restored.
pub const GROUP_CLOSED: &str = "its group may do nothing with it, because its ACL is not restored";

/// Returns the mode of something whose ACL is not restored: the bits of the group were the mask of the ACL, acl(5), and
/// more than the group itself had.
pub fn without_acl(mode: u32) -> u32 {
    mode & !GROUP_BITS
}

/// Adds a message to `refused` if the file system, or our rights, cannot do it; returns any other error.
fn accept(
    result: Result<(), Errno>,
    refused: &mut Vec<String>,
    say: impl FnOnce() -> String,
) -> io::Result<()> {
    match result {
        Err(
            error @ (Errno::PERM
            | Errno::ACCESS
            | Errno::INVAL
            | Errno::OPNOTSUPP
            | Errno::NOSYS
            | Errno::RANGE
            | Errno::TOOBIG
            | Errno::OVERFLOW),
        ) => {
            refused.push(format!("{}: {}", say(), io::Error::from(error)));
            Ok(())
        }
        // No room for one more attribute looks the same as a full disk, but ends with it.
        Err(Errno::NOSPC) => {
            refused.push(format!("{}: the file system has no room for it", say()));
            Ok(())
        }
        result => Ok(result?),
    }
}

/// Returns the timestamps that set the time of the last change; that of the last access stays.
pub fn timestamps(mtime: Modified) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime.seconds,
            tv_nsec: mtime.nanoseconds.into(),
        },
    }
}
