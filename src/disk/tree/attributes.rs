//! Owners, modes, times and extended attributes, given to what is open and to links.

use std::{
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
    beneath::{ACLS, Look, is_carried},
    owners::Owners,
};
use crate::model::{
    manifest::FileRecord,
    relative::shown,
    tree::{FolderRecord, LinkRecord, Modified, Owner, Xattrs},
};

/// Whether owners can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// We are root: everything belongs to whom it belonged.
    Root,
    /// Everything is our own.
    Ours,
}

/// Gives attributes; each function returns what the file system refuses, in words.
#[derive(Debug)]
pub struct Attributes {
    privilege: Privilege,
    owners: Owners,
}

impl Attributes {
    /// For a process of this privilege.
    pub fn new(privilege: Privilege) -> Attributes {
        Attributes {
            privilege,
            owners: Owners::default(),
        }
    }

    /// Takes the ACLs away that were inherited; whether there may have been any.
    pub fn clear_acls(&self, fd: impl AsFd) -> io::Result<bool> {
        // Most have no attributes at all, which one question tells.
        if sys::flistxattr_query(&fd) == Ok(0) {
            return Ok(false);
        }
        for name in ACLS {
            match sys::fremovexattr(&fd, name) {
                Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => {}
                result => result?,
            }
        }
        Ok(true)
    }

    /// The mode that a file gets: set-uid, set-gid and sticky bits are dropped.
    pub fn mode_of_file(record: &FileRecord) -> Option<u32> {
        record.mode.map(|mode| mode & 0o777)
    }

    /// Of a file.
    pub fn set_file(&mut self, file: &File, record: &FileRecord) -> io::Result<Vec<String>> {
        let mode = Attributes::mode_of_file(record);
        let (owner, mtime) = (record.owner(), record.modified());
        self.set(file.as_fd(), mode, &owner, mtime, &record.xattrs)
    }

    /// Of a folder: its set-uid bit, which means nothing, is dropped.
    pub fn set_folder(
        &mut self,
        folder: BorrowedFd<'_>,
        record: &FolderRecord,
    ) -> io::Result<Vec<String>> {
        let mode = record.mode.map(|mode| mode & 0o3777);
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
        let mut refused = Vec::new();
        // A new owner takes away bits of the mode, and a mode may keep us from setting attributes.
        let look = Look::of(fd)?;
        let mut is_mode_kept = xattrs.is_empty();
        if let Some((uid, gid)) = self.new_owner(&look, owner) {
            is_mode_kept = false;
            let given = sys::fchown(fd, Some(uid), Some(gid));
            accept(given, &mut refused, || {
                format!("its owner cannot be {}:{}", uid.as_raw(), gid.as_raw())
            })?;
        }
        is_mode_kept &= !self.clear_acls(fd)?;
        for (name, value) in xattrs {
            let say = || format!("its attribute {} is not restored", shown(name.as_bytes()));
            if is_carried(name) {
                let given = sys::fsetxattr(fd, name.as_str(), value, XattrFlags::empty());
                accept(given, &mut refused, say)?;
            } else {
                refused.push(say());
            }
        }
        if let Some(mode) = mode
            && !(is_mode_kept && look.mode == mode)
        {
            sys::fchmod(fd, Mode::from_raw_mode(mode))?;
        }
        if let Some(mtime) = mtime {
            let given = sys::futimens(fd, &timestamps(mtime));
            accept(given, &mut refused, || "its time cannot be set".to_owned())?;
        }
        Ok(refused)
    }

    /// Of a symbolic link.
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
            accept(given, &mut refused, || {
                format!("its owner cannot be {}:{}", uid.as_raw(), gid.as_raw())
            })?;
        }
        if let Some(mtime) = record.mtime {
            let times = timestamps(mtime);
            let given = sys::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW);
            accept(given, &mut refused, || "its time cannot be set".to_owned())?;
        }
        Ok(refused)
    }

    /// The owner that is to be given, if it is not the one that is there.
    fn new_owner(&mut self, look: &Look, owner: &Owner) -> Option<(Uid, Gid)> {
        if self.privilege == Privilege::Ours {
            return None;
        }
        let (uid, gid) = self.owners.find(owner);
        let (uid, gid) = (uid.unwrap_or(look.uid), gid.unwrap_or(look.gid));
        let is_new = (uid, gid) != (look.uid, look.gid);
        is_new.then(|| (Uid::from_raw(uid), Gid::from_raw(gid)))
    }
}

/// What the file system, or our rights, cannot do is said; any other error is one.
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

/// The time of the last change; that of the last access stays.
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
