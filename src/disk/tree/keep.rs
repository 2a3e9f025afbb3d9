//! The part of a directory that an archive does not hold stays: it is carried over from the old one into the new one.
//!
//! First each file gets a second name in the new directory, so that it is at its place whichever of the two is there.
//! When the new one is there for good, the old one loses its name ([`super::release()`]). Caches of any size move in
//! this way without being copied, and are missing at no instant.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{self as sys, Access, AtFlags, Mode, OFlags},
    io::Errno,
};

use super::{
    attributes::{AttributeWriter, Privilege},
    beneath::{Folders, Look, NodeKind, Top, is_gone, open_file, split, xattrs},
    given::timestamps,
    holes::copy_file,
    walk::{Met, walk, walk_all},
};
use crate::model::{
    limits::MAX_RELATIVE_BYTES,
    named::Named,
    relative::is_at_or_above,
    rules::Rules,
    tree::{FolderRecord, LinkRecord, Owner},
};

/// Carries over the content of `old` that an export by `rules` would leave out: excluded files, hookshot's own,
/// sockets, fifos and devices. Files get a second name in `new`, and are copied if they cannot have one; folders are
/// made with the attributes that they have. Durable when this returns; names the files that could not come along.
///
/// Files that `new` already has stay as they are. The old directory is only read. A file which has a second name is one
/// file in both directories, until [`release`](super::release()) takes it from one of them.
pub fn keep_excluded(
    old: &Path,
    new: &Path,
    rules: &Rules,
    privilege: Privilege,
) -> Result<Vec<String>> {
    let open = || format!("cannot open {}", new.display());
    let top = Top::open(new).with_context(open)?;
    let left = carry_excluded(old, new, rules, privilege)?;
    top.sync()?;
    Ok(left)
}

/// Does the same, but nothing is durable before the file system of `new` is synced.
pub fn carry_excluded(
    old: &Path,
    new: &Path,
    rules: &Rules,
    privilege: Privilege,
) -> Result<Vec<String>> {
    carry_over(old, new, rules, privilege, &|_| true)
}

/// Does as [`carry_excluded`], but an excluded child of `old` does not come along, nor does anything below it: it stays
/// where it is, because only the children of `old` are replaced.
pub fn carry_excluded_in_children(
    old: &Path,
    new: &Path,
    rules: &Rules,
    privilege: Privilege,
) -> Result<Vec<String>> {
    carry_over(old, new, rules, privilege, &|relative| {
        relative.contains(&b'/')
    })
}

fn carry_over(
    old: &Path,
    new: &Path,
    rules: &Rules,
    privilege: Privilege,
    comes_along: &dyn Fn(&[u8]) -> bool,
) -> Result<Vec<String>> {
    let open =
        |path: &Path| Top::open(path).with_context(|| format!("cannot open {}", path.display()));
    let (old, new) = (open(old)?, open(new)?);
    let mut keeping = Keeping {
        old: &old,
        new: &new,
        from: Folders::new(&old),
        to: Folders::new(&new),
        entered: Vec::new(),
        blocked: None,
        attributes: AttributeWriter::new(privilege),
        warnings: Named::default(),
    };
    let walked = walk(&old, rules, &mut |relative, met| match met {
        Met::Excluded | Met::Own | Met::Special(_) if !comes_along(relative) => Ok(()),
        Met::Excluded | Met::Own | Met::Special(_) => keeping.carry(relative),
        Met::Failed(reason) => {
            keeping.warn(relative, &reason);
            Ok(())
        }
        Met::Folder(..) | Met::Searched(..) | Met::Leaf(_) => Ok(()),
    });
    // After a failure, too: a folder with another mode would not be the one that a rollback knows.
    let left = keeping.leave_to(None);
    walked?;
    left?;
    Ok(keeping.warnings.finish())
}

struct Keeping<'a> {
    old: &'a Top,
    new: &'a Top,
    from: Folders<'a>,
    to: Folders<'a>,
    /// Folders of the new directory, each in the one before it, with the mode and the time that they get back.
    entered: Vec<(Vec<u8>, Look)>,
    /// The last folder that could not come along: nothing below it can.
    blocked: Option<Vec<u8>>,
    attributes: AttributeWriter,
    warnings: Named,
}

impl Keeping<'_> {
    /// Carries over `first` and everything below it.
    fn carry(&mut self, first: &[u8]) -> Result<()> {
        let (folder, name) = split(first);
        let name = OsStr::from_bytes(name);
        let what = self.from.at(folder).and_then(|fd| Look::at(fd, name));
        if what.is_ok_and(|look| look.what == NodeKind::Folder) {
            let old = self.old;
            return walk_all(old, first, &mut |relative, met| self.below(relative, met));
        }
        self.try_one(first)
    }

    /// Carries over something in a folder that comes along.
    fn below(&mut self, relative: &[u8], met: Met<'_>) -> Result<()> {
        let blocked = self.blocked.as_ref();
        if blocked.is_some_and(|blocked| is_at_or_above(blocked, relative)) {
            return Ok(());
        }
        match met {
            Met::Failed(reason) => {
                let said = self.warnings.count();
                if relative.len() <= MAX_RELATIVE_BYTES {
                    self.try_one(relative)?;
                }
                if self.warnings.count() == said {
                    self.warn(relative, &reason);
                }
                Ok(())
            }
            _ => self.try_one(relative),
        }
    }

    fn warn(&mut self, relative: &[u8], reason: &str) {
        let path = self.old.shown(relative);
        self.warnings
            .add(|| format!("{path} does not come along: {reason}"));
    }

    fn try_one(&mut self, relative: &[u8]) -> Result<()> {
        match self.carry_one(relative) {
            Err(error) if is_gone_or_in_the_way(&error) => {
                self.warn(relative, &error.to_string());
                self.blocked = Some(relative.to_vec());
                Ok(())
            }
            result => result.with_context(|| format!("cannot keep {}", self.old.shown(relative))),
        }
    }

    fn carry_one(&mut self, relative: &[u8]) -> io::Result<()> {
        let (folder, name) = split(relative);
        let name = OsStr::from_bytes(name);
        self.enter(folder)?;
        let from = self.from.at(folder)?;
        let look = match Look::at(from, name) {
            // A file that vanished meanwhile was never there.
            Err(error) if is_gone(&error) => return Ok(()),
            look => look?,
        };
        if look.what == NodeKind::Folder {
            return self.enter(relative);
        }
        let to = self.to.at(folder)?;
        match sys::linkat(from, name, to, name, AtFlags::empty()) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) if Look::at(to, name)?.inode == look.inode => Ok(()),
            Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP) => {
                copy(from, to, name, &look, &mut self.attributes)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes sure that the new directory has `folder`, and that we may write in it.
    fn enter(&mut self, folder: &[u8]) -> io::Result<()> {
        self.leave_to(Some(folder))?;
        loop {
            let done = self.entered.last().map(|(path, _)| path.len());
            let path = match done {
                None => b"".as_slice(),
                Some(done) if done == folder.len() => return Ok(()),
                Some(done) => next_below(folder, done),
            };
            let look = self.enter_one(path)?;
            self.entered.push((path.to_vec(), look));
        }
    }

    fn enter_one(&mut self, path: &[u8]) -> io::Result<Look> {
        let opened = self.to.at(path);
        let look = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (parent, name) = self.to.parent(path)?;
                sys::mkdirat(parent, name, Mode::RWXU)?;
                let (from, to) = (self.from.at(path)?, self.to.at(path)?);
                let look = Look::of(from)?;
                let record = FolderRecord {
                    mode: Some(look.mode),
                    owner: owner(&look),
                    mtime: None,
                    xattrs: xattrs(from)?,
                };
                self.attributes.set_folder(to, &record)?;
                look
            }
            fd => Look::of(fd?)?,
        };
        allow_changes(self.to.at(path)?, &look)?;
        Ok(look)
    }

    /// Gives the folders that were entered their mode and their time back, but for those that are, or are above,
    /// `folder`.
    fn leave_to(&mut self, folder: Option<&[u8]>) -> io::Result<()> {
        while let Some((path, look)) = self.entered.last()
            && !folder.is_some_and(|folder| is_at_or_above(path, folder))
        {
            let mut leave = || -> io::Result<()> {
                let fd = self.to.at(path)?;
                if look.mode & 0o700 != 0o700 {
                    sys::fchmod(fd, Mode::from_raw_mode(look.mode))?;
                }
                Ok(sys::futimens(fd, &timestamps(look.mtime))?)
            };
            let left = leave();
            left.map_err(|error| {
                let path = self.new.shown(path);
                io::Error::new(error.kind(), format!("cannot restore {path}: {error}"))
            })?;
            self.entered.pop();
        }
        Ok(())
    }
}

/// Gives a folder a mode in which its names may be changed, unless they may be already, as by root: killed before the
/// folder gets its mode back, the work leaves another one.
pub(super) fn allow_changes(folder: BorrowedFd<'_>, look: &Look) -> io::Result<()> {
    let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    if look.mode & 0o700 == 0o700 || sys::accessat(folder, ".", all, AtFlags::EACCESS).is_ok() {
        return Ok(());
    }
    Ok(sys::fchmod(folder, Mode::from_raw_mode(look.mode | 0o700))?)
}

/// Returns the path of the folder on the way to `folder` that lies in the one whose path has `done` bytes.
pub(super) fn next_below(folder: &[u8], done: usize) -> &[u8] {
    let start = if done == 0 { 0 } else { done + 1 };
    let slash = folder[start..].iter().position(|byte| *byte == b'/');
    &folder[..slash.map_or(folder.len(), |slash| start + slash)]
}

pub(super) fn is_gone_or_in_the_way(error: &io::Error) -> bool {
    is_gone(error)
        || matches!(
            error.kind(),
            io::ErrorKind::AlreadyExists | io::ErrorKind::PermissionDenied
        )
}

fn owner(look: &Look) -> Owner {
    Owner {
        uid: Some(look.uid),
        gid: Some(look.gid),
        ..Owner::default()
    }
}

/// Copies what cannot have a second name. A copy that fails leaves nothing.
fn copy(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &OsStr,
    look: &Look,
    attributes: &mut AttributeWriter,
) -> io::Result<()> {
    let completed = match look.what {
        NodeKind::Link => {
            let target = sys::readlinkat(from, name, Vec::new())?;
            sys::symlinkat(&target, to, name)?;
            let record = LinkRecord {
                target: target.into_bytes(),
                owner: owner(look),
                mtime: Some(look.mtime),
            };
            attributes.set_link(to, name, &record).map(drop)
        }
        NodeKind::File => {
            let original = open_file(from, name)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let copy = File::from(sys::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?);
            copy_content(&original, &copy, look, attributes)
        }
        NodeKind::Folder | NodeKind::Special(_) => {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
    };
    if completed.is_err() {
        // The first failure counts.
        let _ = sys::unlinkat(to, name, AtFlags::empty());
    }
    completed
}

fn copy_content(
    original: &File,
    copy: &File,
    look: &Look,
    attributes: &mut AttributeWriter,
) -> io::Result<()> {
    copy_file(original, copy, look.size, look.has_holes())?;
    let record = FolderRecord {
        mode: Some(look.mode),
        owner: owner(look),
        mtime: Some(look.mtime),
        xattrs: xattrs(original.as_fd())?,
    };
    attributes.set_folder(copy.as_fd(), &record).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_mode_if_its_names_may_be_changed_already() {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path().join("closed");
        sys::mkdir(&top, Mode::RWXU).expect("made");
        let open = File::open(&top).expect("open");
        let mode = || Look::of(&open).expect("looked").mode;
        sys::fchmod(&open, Mode::from_raw_mode(0o555)).expect("set");
        let look = Look::of(&open).expect("looked");
        allow_changes(open.as_fd(), &look).expect("allowed");
        // Root writes in it as it is: a rollback knows the folder by its mode, after a kill as well.
        let expected = if nix::unistd::geteuid().is_root() {
            0o555
        } else {
            0o755
        };
        assert_eq!(mode(), expected);
        File::create_new(top.join("new")).expect("made in it");
        sys::fchmod(&open, Mode::RWXU).expect("set");
    }
}
