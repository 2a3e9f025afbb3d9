//! Access below one folder, component by component: no link is followed, and no path is too long for the kernel.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{self as sys, AtFlags, Dir, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use crate::model::{
    limits::MAX_XATTR_BYTES,
    relative::{is_at_or_above, shown},
    tree::{Modified, Xattrs},
};

/// The folders that a [`Folders`] keeps open: those at the top, the last ones, and some between them, so that a path of
/// thousands of components is not gone from the top again and again.
const KEPT_FOLDERS: usize = 8;
const KEPT_LAST: usize = 4;
const KEPT_EVERY: usize = 64;
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The folder below which everything is reached.
#[derive(Debug)]
pub struct Top {
    fd: OwnedFd,
    path: PathBuf,
    shown: PathBuf,
}

impl Top {
    /// Opens the folder at `path`; a link there is followed, but none below.
    pub fn open(path: &Path) -> io::Result<Top> {
        let flags = FOLDER.difference(OFlags::NOFOLLOW);
        Ok(Top {
            fd: sys::open(path, flags, Mode::empty())?,
            path: path.to_owned(),
            shown: path.to_owned(),
        })
    }

    /// Returns the same top, but messages name `path` in its place: its final path.
    pub fn shown_as(self, path: &Path) -> Top {
        let shown = path.to_owned();
        Top { shown, ..self }
    }

    /// Makes everything on its file system durable: for many files much cheaper than a sync of each.
    pub fn sync(&self) -> Result<()> {
        sys::syncfs(self)
            .map_err(io::Error::from)
            .with_context(|| format!("cannot sync {}", self.path.display()))
    }

    /// Returns the path with which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of something below it, for messages.
    pub fn shown(&self, relative: &[u8]) -> String {
        match relative {
            b"" => self.shown.display().to_string(),
            _ => format!("{}/{}", self.shown.display(), shown(relative)),
        }
    }
}

impl AsFd for Top {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The folders below a top, opened one in the other; those that were opened last are kept open.
#[derive(Debug)]
pub struct Folders<'a> {
    top: &'a Top,
    /// Each lies below the one before it.
    chain: Vec<OpenFolder>,
}

#[derive(Debug)]
struct OpenFolder {
    path: Vec<u8>,
    /// The number of its components.
    depth: usize,
    fd: OwnedFd,
}

impl<'a> Folders<'a> {
    /// Returns the folders below `top`.
    pub fn new(top: &'a Top) -> Folders<'a> {
        Folders {
            top,
            chain: Vec::new(),
        }
    }

    /// Returns the open folder at `folder`; the top for an empty path.
    pub fn at(&mut self, folder: &[u8]) -> io::Result<BorrowedFd<'_>> {
        while let Some(last) = self.chain.last() {
            if is_at_or_above(&last.path, folder) {
                break;
            }
            self.chain.pop();
        }
        let last = self.chain.last();
        let (mut done, mut depth) = last.map_or((0, 0), |last| (last.path.len(), last.depth));
        while done < folder.len() {
            let start = if done == 0 { 0 } else { done + 1 };
            let slash = folder[start..].iter().position(|byte| *byte == b'/');
            done = slash.map_or(folder.len(), |slash| start + slash);
            depth += 1;
            let fd = open_folder(self.open(), &folder[start..done])?;
            self.chain.push(OpenFolder {
                path: folder[..done].to_vec(),
                depth,
                fd,
            });
            if let Some(old) = self.chain.len().checked_sub(1 + KEPT_LAST) {
                let depth = self.chain[old].depth;
                if depth > KEPT_FOLDERS && !depth.is_multiple_of(KEPT_EVERY) {
                    self.chain.remove(old);
                }
            }
        }
        Ok(self.open())
    }

    /// Closes the folders that are kept open: their paths may lead to others by now.
    pub fn close(&mut self) {
        self.chain.clear();
    }

    /// Returns the number of folders that are kept open.
    #[cfg(test)]
    pub fn open_count(&self) -> usize {
        self.chain.len()
    }

    /// Returns the folder that was opened last.
    fn open(&self) -> BorrowedFd<'_> {
        let last = self.chain.last();
        last.map_or(self.top.as_fd(), |last| last.fd.as_fd())
    }

    /// Returns the folder that `relative` lies in, and its name there.
    pub fn parent<'n>(&mut self, relative: &'n [u8]) -> io::Result<(BorrowedFd<'_>, &'n OsStr)> {
        let (folder, name) = split(relative);
        Ok((self.at(folder)?, OsStr::from_bytes(name)))
    }
}

/// Returns the folder of a path, empty for the top, and its last component.
pub fn split(relative: &[u8]) -> (&[u8], &[u8]) {
    match relative.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&relative[..slash], &relative[slash + 1..]),
        None => (b"", relative),
    }
}

/// Returns the path of `name` in `folder`.
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    match folder {
        b"" => name.to_vec(),
        _ => [folder, b"/", name].concat(),
    }
}

fn open_folder(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    Ok(sys::openat(parent, name, FOLDER, Mode::empty())?)
}

/// Opens a file for reading; not through a link, and without waiting for the writer of a fifo.
pub fn open_file(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(sys::openat(parent, name, flags, Mode::empty())?.into())
}

/// Returns true if an error means that the thing with the name is gone, or became something else.
pub fn is_gone(error: &io::Error) -> bool {
    let gone = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::STALE];
    Errno::from_io_error(error).is_some_and(|error| gone.contains(&error))
}

/// A name in a folder, its kind if the folder itself tells, and its inode number.
pub type FolderEntry = (Vec<u8>, Option<NodeKind>, u64);

/// Returns the names in an open folder, sorted.
pub fn names(folder: BorrowedFd<'_>) -> io::Result<Vec<FolderEntry>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            let what = match entry.file_type() {
                // Not every file system tells (readdir(3)).
                FileType::Unknown => None,
                known => Some(NodeKind::from(known)),
            };
            names.push((name.to_vec(), what, entry.ino()));
        }
    }
    names.sort_unstable_by(|(one, ..), (other, ..)| one.cmp(other));
    Ok(names)
}

/// The kind of thing that a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// Anything else, by its kind.
    Special(&'static str),
}

impl From<FileType> for NodeKind {
    fn from(kind: FileType) -> NodeKind {
        match kind {
            FileType::Directory => NodeKind::Folder,
            FileType::RegularFile => NodeKind::File,
            FileType::Symlink => NodeKind::Link,
            FileType::Socket => NodeKind::Special("a socket"),
            FileType::Fifo => NodeKind::Special("a fifo"),
            FileType::CharacterDevice | FileType::BlockDevice => NodeKind::Special("a device"),
            _ => NodeKind::Special("of an unknown kind"),
        }
    }
}

/// The file system's data about something (inode(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Its kind.
    pub what: NodeKind,
    /// Permission bits, at most `0o7777`.
    pub mode: u32,
    /// Number of the owner.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Bytes that are stored.
    pub stored: u64,
    /// The file system, and the number in it.
    pub inode: (u64, u64),
    /// The number of its names.
    pub names: u64,
    /// The time at which its content was changed.
    pub mtime: Modified,
    /// The time at which anything about it was changed; no process can set this.
    pub ctime: Modified,
}

impl Look {
    /// Inspects the thing with this `name` in `folder`; a link is not followed.
    pub fn at(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<Look> {
        Ok(Look::from(sys::statat(
            folder,
            name,
            AtFlags::SYMLINK_NOFOLLOW,
        )?))
    }

    /// Inspects an open file or folder.
    pub fn of(fd: impl AsFd) -> io::Result<Look> {
        Ok(Look::from(sys::fstat(fd)?))
    }

    /// Returns true if blocks of it are not stored. Small files may lie in their inode, and have none.
    pub fn has_holes(&self) -> bool {
        const BLOCK_BYTES: u64 = 4096;
        self.stored + BLOCK_BYTES <= self.size
    }

    /// Returns true if `after` shows the same file with the same content. A name that was given to it or taken from it
    /// changes the ctime, and nothing else that matters.
    pub fn is_unchanged(&self, after: &Look) -> bool {
        let content = |look: &Look| (look.what, look.inode, look.size, look.mtime);
        content(self) == content(after) && (self.ctime == after.ctime || self.names != after.names)
    }
}

#[expect(
    clippy::unnecessary_cast,
    reason = "the types of the fields differ between architectures"
)]
impl From<Stat> for Look {
    fn from(stat: Stat) -> Look {
        let what = NodeKind::from(FileType::from_raw_mode(stat.st_mode));
        let time = |seconds, nanoseconds| Modified {
            seconds,
            nanoseconds,
        };
        Look {
            what,
            mode: stat.st_mode as u32 & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: stat.st_size as u64,
            stored: stat.st_blocks as u64 * 512,
            inode: (stat.st_dev as u64, stat.st_ino as u64),
            names: stat.st_nlink as u64,
            mtime: time(stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            ctime: time(stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }
}

/// POSIX ACLs as the file system shows them (acl(5)).
pub const ACLS: [&str; 2] = ["system.posix_acl_access", "system.posix_acl_default"];

/// Returns true if an extended attribute goes along: those of users, POSIX ACLs, file capabilities, and those that only
/// root sees. Labels of security modules belong to the machine.
pub fn is_carried(name: &str) -> bool {
    name.starts_with("user.") || ACLS.contains(&name) || is_privileged(name)
}

/// Returns true if only root may set an extended attribute (xattr(7), capabilities(7)).
pub fn is_privileged(name: &str) -> bool {
    name == "security.capability" || name.starts_with("trusted.")
}

/// Returns true if the file system of `fd` has attributes like `name`.
pub fn has_xattr_support(fd: impl AsFd, name: &str) -> bool {
    let mut value = [0u8; 0];
    sys::fgetxattr(fd, name, &mut value[..]) != Err(Errno::OPNOTSUPP)
}

/// Returns the extended attributes of an open file or folder that go along; a file system without them has none.
pub fn xattrs(fd: BorrowedFd<'_>) -> io::Result<Xattrs> {
    let mut found = Xattrs::new();
    match sys::flistxattr_query(fd) {
        Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(found),
        result => result?,
    };
    let mut list = vec![0; MAX_XATTR_BYTES];
    let length = sys::flistxattr(fd, list.as_mut_slice())?;
    for name in list[..length].split(|byte| *byte == 0) {
        let Some(name) = std::str::from_utf8(name)
            .ok()
            .filter(|name| is_carried(name))
        else {
            continue;
        };
        let read = || -> io::Result<Vec<u8>> {
            let mut value = vec![0; MAX_XATTR_BYTES];
            let length = sys::fgetxattr(fd, name, value.as_mut_slice())?;
            value.truncate(length);
            Ok(value)
        };
        match read() {
            // Another process has just taken it away.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NODATA) => {}
            value => drop(found.insert(name.to_owned(), value?)),
        }
    }
    Ok(found)
}
