//! Attributes as they are given: owners are numbers of this machine, and nothing is decided any more. So any thread can
//! give them.

use std::{
    borrow::Cow,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::{
    fs::{self as sys, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags},
    io::Errno,
};

use super::beneath::{ACLS, Look, NodeKind};
use crate::model::{
    relative::shown,
    tree::{Modified, Xattrs},
};

/// The beginnings of the messages about owners and times.
pub const NO_OWNER: &str = "its owner cannot be";
pub const NO_TIME: &str = "its time cannot be set";

/// The text beside set-id bits that were meant for another owner.
pub const OTHER_OWNER: &str = "its special bits are not restored: its owner is another";

/// The ordinary permission bits: no set-uid, set-gid or sticky bit.
pub const ORDINARY_BITS: u32 = 0o777;

/// The attributes that a file or a folder gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenAttributes<'a> {
    /// The mode; if `None`, it stays as it is.
    pub mode: Option<u32>,
    /// The numbers of the user and the group; a `None` stays as it is.
    pub owner: (Option<u32>, Option<u32>),
    /// The time of the last change.
    pub mtime: Option<Modified>,
    /// The extended attributes, all of which this process may set.
    pub xattrs: Cow<'a, Xattrs>,
}

/// A file as it was made, before it got attributes: the next one that is made in the same way is the same.
#[derive(Debug, Clone, Copy)]
pub struct NewFile {
    look: Look,
    /// True if it inherited ACLs, or may have.
    has_acls: bool,
}

impl NewFile {
    /// Looks at something that was made, and takes the ACLs away that it inherited.
    pub fn inspect(fd: impl AsFd) -> io::Result<NewFile> {
        Ok(NewFile {
            look: Look::of(&fd)?,
            has_acls: clear_acls(&fd)?,
        })
    }

    /// Does the same, unless `known` has it from a file that was made in the same way.
    pub fn inspect_or(fd: impl AsFd, known: &mut Option<NewFile>) -> io::Result<NewFile> {
        if let Some(made) = *known {
            return Ok(made);
        }
        let made = NewFile::inspect(fd)?;
        *known = Some(made).filter(|made| !made.has_acls);
        Ok(made)
    }
}

/// The refusals of the file system for one thing, in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// The owner that was refused, as numbers.
    pub owner: Option<((u32, u32), String)>,
    /// All others.
    pub others: Vec<String>,
}

impl Refusals {
    /// Returns true if nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.owner.is_none() && self.others.is_empty()
    }

    /// Gives an owner; returns true if it is refused.
    pub fn accept_owner(
        &mut self,
        (uid, gid): (Uid, Gid),
        give: impl FnOnce(Uid, Gid) -> Result<(), Errno>,
    ) -> io::Result<bool> {
        let mut said = Vec::new();
        let ids = (uid.as_raw(), gid.as_raw());
        let say = || format!("{NO_OWNER} {}:{}", ids.0, ids.1);
        accept(give(uid, gid), &mut said, say)?;
        self.owner = said.pop().map(|sentence| (ids, sentence));
        Ok(self.owner.is_some())
    }

    /// Notes whether a time was refused.
    pub fn accept_time(&mut self, given: Result<(), Errno>) -> io::Result<()> {
        accept(given, &mut self.others, || NO_TIME.to_owned())
    }
}

impl GivenAttributes<'_> {
    /// Returns the same attributes with their own copies of names and values.
    pub fn into_owned(self) -> GivenAttributes<'static> {
        GivenAttributes {
            mode: self.mode,
            owner: self.owner,
            mtime: self.mtime,
            xattrs: Cow::Owned(self.xattrs.into_owned()),
        }
    }

    /// Gives the attributes to something that is as `made` says, and has no ACLs any more.
    pub fn give(&self, fd: BorrowedFd<'_>, made: NewFile) -> io::Result<Refusals> {
        let mut refused = Refusals::default();
        let mut mode = self.mode;
        // A new owner takes away bits of the mode, and a mode may keep us from setting attributes.
        let look = made.look;
        let mut is_mode_kept = self.xattrs.is_empty() && !made.has_acls;
        if let Some(owner) = new_owner(&look, self.owner) {
            is_mode_kept = false;
            let is_refused =
                refused.accept_owner(owner, |uid, gid| sys::fchown(fd, Some(uid), Some(gid)))?;
            // Set-id bits were meant for another owner then.
            if let Some(bits) = mode
                && is_refused
                && look.what == NodeKind::File
                && bits & !ORDINARY_BITS != 0
            {
                mode = Some(bits & ORDINARY_BITS);
                refused.others.push(OTHER_OWNER.to_owned());
            }
        }
        let others = &mut refused.others;
        for (name, value) in self.xattrs.iter() {
            let given = sys::fsetxattr(fd, name.as_str(), value, XattrFlags::empty());
            let count = others.len();
            accept(given, others, || not_restored(name))?;
            // The bits of the group are the most that the ACL granted: without it the group would have them.
            if let Some(bits) = mode
                && others.len() > count
                && name == ACLS[0]
            {
                is_mode_kept = false;
                mode = Some(without_acl(bits));
                others.extend((bits & GROUP_BITS != 0).then(|| GROUP_CLOSED.to_owned()));
            }
        }
        if let Some(mode) = mode
            && !(is_mode_kept && look.mode == mode)
        {
            sys::fchmod(fd, Mode::from_raw_mode(mode))?;
        }
        if let Some(mtime) = self.mtime {
            refused.accept_time(sys::futimens(fd, &timestamps(mtime)))?;
        }
        Ok(refused)
    }
}

/// Returns the owner that is to be given, if it is not the one that is there.
pub fn new_owner(look: &Look, (uid, gid): (Option<u32>, Option<u32>)) -> Option<(Uid, Gid)> {
    let (uid, gid) = (uid.unwrap_or(look.uid), gid.unwrap_or(look.gid));
    let is_new = (uid, gid) != (look.uid, look.gid);
    is_new.then(|| (Uid::from_raw(uid), Gid::from_raw(gid)))
}

/// Takes the ACLs away that were inherited; returns true if there were any.
pub fn clear_acls(fd: impl AsFd) -> io::Result<bool> {
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

/// Returns the beginning of the message about an attribute.
pub fn not_restored(name: &str) -> String {
    format!("its attribute {} is not restored", shown(name.as_bytes()))
}

/// Returns what a file system without attributes of this name refuses, in the words of [`GivenAttributes::give`].
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
