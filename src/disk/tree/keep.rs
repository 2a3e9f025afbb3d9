//! The part of a directory that an archive does not hold stays: it is carried over from the old one into the new one.
//!
//! First each file gets a second name in the new directory, so that it is at its place whichever of the two is there.
//! When the new one is there for good, the old one loses its name. Caches of any size move in this way without being
//! copied, and are missing at no instant.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::File,
    io,
    os::{fd::BorrowedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{self as sys, AtFlags, Mode, OFlags},
    io::Errno,
};

use super::{
    attributes::{AttributeWriter, Privilege, timestamps},
    beneath::{Folders, Look, NodeKind, Top, is_gone, join, names, open_file, split, xattrs},
    holes::copy_file,
    walk::{Met, walk},
};
use crate::model::{
    named::Named,
    rules::Rules,
    tree::{FolderRecord, LinkRecord, Owner},
};

/// Carries over the content of `old` that an export by `rules` would leave out: excluded files, hookshot's own,
/// sockets, fifos and devices. Files get a second name in `new`, and are copied if they cannot have one; folders are
/// made with the attributes that they have. Durable when this returns; names the files that could not come along.
///
/// Files that `new` already has stay as they are. The old directory is only read. A file which has a second name is one
/// file in both directories, until [`release`] takes it from one of them.
pub fn keep_excluded(
    old: &Path,
    new: &Path,
    rules: &Rules,
    privilege: Privilege,
) -> Result<Vec<String>> {
    carry_over(old, new, rules, privilege, &|_| true)
}

/// Does the same, but an excluded child of `old` does not come along, nor does anything below it: it stays where it is,
/// because only the children of `old` are replaced.
pub fn keep_excluded_in_children(
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
        entered: BTreeMap::new(),
        attributes: AttributeWriter::new(privilege),
        warnings: Named::default(),
    };
    walk(&old, rules, &mut |relative, met| match met {
        Met::Excluded | Met::Own | Met::Special(_) if !comes_along(relative) => Ok(()),
        Met::Excluded | Met::Own | Met::Special(_) => keeping.carry(relative),
        Met::Failed(reason) => {
            let path = old.shown(relative);
            keeping
                .warnings
                .add(|| format!("{path} does not come along: {reason}"));
            Ok(())
        }
        Met::Folder(..) | Met::Searched(..) | Met::Leaf(_) => Ok(()),
    })?;
    keeping.leave()?;
    new.sync()?;
    Ok(keeping.warnings.finish())
}

struct Keeping<'a> {
    old: &'a Top,
    new: &'a Top,
    from: Folders<'a>,
    to: Folders<'a>,
    /// Folders of the new directory, with the mode and the time that they get back.
    entered: BTreeMap<Vec<u8>, Look>,
    attributes: AttributeWriter,
    warnings: Named,
}

impl Keeping<'_> {
    /// Carries over `first` and everything below it.
    fn carry(&mut self, first: &[u8]) -> Result<()> {
        let mut ahead = vec![first.to_vec()];
        while let Some(relative) = ahead.pop() {
            let carried = self.carry_one(&relative, &mut ahead);
            match carried {
                Err(error) if is_gone_or_in_the_way(&error) => {
                    let path = self.old.shown(&relative);
                    self.warnings
                        .add(|| format!("{path} does not come along: {error}"));
                }
                result => {
                    result.with_context(|| format!("cannot keep {}", self.old.shown(&relative)))?
                }
            }
        }
        Ok(())
    }

    fn carry_one(&mut self, relative: &[u8], ahead: &mut Vec<Vec<u8>>) -> io::Result<()> {
        let (folder, name) = split(relative);
        self.enter(folder)?;
        let name = OsStr::from_bytes(name);
        let from = self.from.at(folder)?;
        let look = match Look::at(from, name) {
            // A file that vanished meanwhile was never there.
            Err(error) if is_gone(&error) => return Ok(()),
            look => look?,
        };
        if look.what == NodeKind::Folder {
            self.enter(relative)?;
            let below = names(self.from.at(relative)?)?;
            ahead.extend(below.iter().map(|(name, ..)| join(relative, name)));
            return Ok(());
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
        let mut missing = Vec::new();
        let mut path = folder;
        while !self.entered.contains_key(path) {
            missing.push(path);
            if path.is_empty() {
                break;
            }
            path = split(path).0;
        }
        for path in missing.into_iter().rev() {
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
            if look.mode & 0o700 != 0o700 {
                let mode = Mode::from_raw_mode(look.mode | 0o700);
                sys::fchmod(self.to.at(path)?, mode)?;
            }
            self.entered.insert(path.to_vec(), look);
        }
        Ok(())
    }

    /// Gives the folders that were entered their mode and their time back, the deepest first.
    fn leave(&mut self) -> Result<()> {
        for (folder, look) in self.entered.iter().rev() {
            let mut leave = || -> io::Result<()> {
                let fd = self.to.at(folder)?;
                if look.mode & 0o700 != 0o700 {
                    sys::fchmod(fd, Mode::from_raw_mode(look.mode))?;
                }
                Ok(sys::futimens(fd, &timestamps(look.mtime))?)
            };
            leave().with_context(|| format!("cannot restore {}", self.new.shown(folder)))?;
        }
        Ok(())
    }
}

/// Takes from the directory `kept`, which stays as a backup, what [`keep_excluded`] gave the directory `live` of it:
/// second names, and originals of copies that were not changed since. Folders that become empty go. What only `kept`
/// has stays.
///
/// May be repeated. Durable when this returns. Not promised: that what an ordinary user may not remove goes.
pub fn release(kept: &Path, live: &Path, rules: &Rules) -> Result<()> {
    let open =
        |path: &Path| Top::open(path).with_context(|| format!("cannot open {}", path.display()));
    let (kept, live) = (open(kept)?, open(live)?);
    let mut releasing = Releasing {
        kept: &kept,
        from: Folders::new(&kept),
        live: Folders::new(&live),
        entered: BTreeMap::new(),
    };
    walk(&kept, rules, &mut |relative, met| match met {
        Met::Excluded | Met::Own | Met::Special(_) => releasing.release(relative),
        Met::Failed(_) | Met::Folder(..) | Met::Searched(..) | Met::Leaf(_) => Ok(()),
    })?;
    releasing.leave()
}

struct Releasing<'a> {
    kept: &'a Top,
    from: Folders<'a>,
    live: Folders<'a>,
    /// Folders from which something went, as they were.
    entered: BTreeMap<Vec<u8>, Look>,
}

/// Something that may go, and whether everything below it was looked at.
type Candidate = (Vec<u8>, bool);

impl Releasing<'_> {
    /// Takes away `first` and everything below it, as far as the live directory has it.
    fn release(&mut self, first: &[u8]) -> Result<()> {
        let mut ahead: Vec<Candidate> = vec![(first.to_vec(), false)];
        while let Some((relative, is_searched)) = ahead.pop() {
            match self.release_one(&relative, is_searched, &mut ahead) {
                Err(error) if is_gone_or_in_the_way(&error) => {}
                result => result
                    .with_context(|| format!("cannot remove {}", self.kept.shown(&relative)))?,
            }
        }
        Ok(())
    }

    fn release_one(
        &mut self,
        relative: &[u8],
        is_searched: bool,
        ahead: &mut Vec<Candidate>,
    ) -> io::Result<()> {
        let (folder, name) = split(relative);
        let name = OsStr::from_bytes(name);
        let twin = Look::at(self.live.at(folder)?, name)?;
        let look = Look::at(self.from.at(folder)?, name)?;
        match (look.what, twin.what) {
            (NodeKind::Folder, NodeKind::Folder) if is_searched => {
                self.enter(folder)?;
                match sys::unlinkat(self.from.at(folder)?, name, AtFlags::REMOVEDIR) {
                    Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                    result => result?,
                }
            }
            (NodeKind::Folder, NodeKind::Folder) => {
                let below = names(self.from.at(relative)?)?;
                ahead.push((relative.to_vec(), true));
                ahead.extend(below.iter().map(|(name, ..)| (join(relative, name), false)));
            }
            _ if is_twin(&look, &twin) => {
                self.enter(folder)?;
                sys::unlinkat(self.from.at(folder)?, name, AtFlags::empty())?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes sure that something may be taken from `folder`.
    fn enter(&mut self, folder: &[u8]) -> io::Result<()> {
        if !self.entered.contains_key(folder) {
            let fd = self.from.at(folder)?;
            let look = Look::of(fd)?;
            if look.mode & 0o700 != 0o700 {
                sys::fchmod(fd, Mode::from_raw_mode(look.mode | 0o700))?;
            }
            self.entered.insert(folder.to_vec(), look);
        }
        Ok(())
    }

    /// Gives the folders that are still there their mode and their time back, the deepest first.
    fn leave(&mut self) -> Result<()> {
        for (folder, look) in self.entered.iter().rev() {
            let mut leave = || -> io::Result<()> {
                let fd = self.from.at(folder)?;
                if look.mode & 0o700 != 0o700 {
                    sys::fchmod(fd, Mode::from_raw_mode(look.mode))?;
                }
                sys::futimens(fd, &timestamps(look.mtime))?;
                match sys::fsync(fd) {
                    Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
                    result => Ok(result?),
                }
            };
            match leave() {
                Err(error) if is_gone(&error) => {}
                result => {
                    result.with_context(|| format!("cannot restore {}", self.kept.shown(folder)))?
                }
            }
        }
        Ok(())
    }
}

/// Returns true if two are one file, or one is the copy that was made of the other.
fn is_twin(look: &Look, twin: &Look) -> bool {
    let shape = |look: &Look| {
        (
            look.what, look.size, look.mtime, look.mode, look.uid, look.gid,
        )
    };
    let is_copied = matches!(look.what, NodeKind::File | NodeKind::Link);
    look.inode == twin.inode || (is_copied && shape(look) == shape(twin))
}

fn is_gone_or_in_the_way(error: &io::Error) -> bool {
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

/// Copies what cannot have a second name.
fn copy(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &OsStr,
    look: &Look,
    attributes: &mut AttributeWriter,
) -> io::Result<()> {
    match look.what {
        NodeKind::Link => {
            let target = sys::readlinkat(from, name, Vec::new())?;
            sys::symlinkat(&target, to, name)?;
            let record = LinkRecord {
                target: target.into_bytes(),
                owner: owner(look),
                mtime: Some(look.mtime),
            };
            attributes.set_link(to, name, &record)?;
        }
        NodeKind::File => {
            let original = open_file(from, name)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let copy = File::from(sys::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?);
            copy_file(&original, &copy, look.size, look.has_holes())?;
            let record = FolderRecord {
                mode: Some(look.mode),
                owner: owner(look),
                mtime: Some(look.mtime),
                xattrs: xattrs(std::os::fd::AsFd::as_fd(&original))?,
            };
            attributes.set_folder(std::os::fd::AsFd::as_fd(&copy), &record)?;
        }
        NodeKind::Folder | NodeKind::Special(_) => {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
    }
    Ok(())
}
