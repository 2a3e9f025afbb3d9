//! The removal of a folder with everything in it but mounts: what is mounted in it belongs to others.
//!
//! A process that worked in a private folder, such as a probe or an import command, may have mounted a folder of the
//! machine there. The standard library's removal would empty that folder.

use std::{
    ffi::{CStr, CString, OsStr},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self as sys, AtFlags, Dir, FileType, Mode, OFlags},
    io::Errno,
    process::geteuid,
};

use super::{folder_of, mounts::Border, real};
use crate::model::shell_word::quoted;

/// The most folders that are open at once; of a deeper one, the names of what lies in it are held instead.
const MOST_OPEN: usize = 64;
/// The most mounts that a message names.
const MOST_NAMED: usize = 3;
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Removes a folder with everything in it. Follows no link and enters no mount: neither one of another file system, nor
/// a bind mount of the same one. Opens folders of ours whose modes forbid it.
///
/// Removes everything that it can. The error names the mounts that are in the way, or else the first obstacle. If the
/// kernel does not tell what is mounted, nothing is removed.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let name = CString::new(name.as_bytes())?;
    let folder = real(&folder_of(path));
    let above = sys::open(&folder, FOLDER | OFlags::PATH, Mode::empty())?;
    let found = sys::statat(&above, &name, AtFlags::SYMLINK_NOFOLLOW)?;
    if !FileType::from_raw_mode(found.st_mode).is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let mut removal = Removal {
        border: Border::around(above.as_fd(), &folder.join(bytes(&name)))?,
        above,
        levels: Vec::new(),
        at: folder,
        mounts: Vec::new(),
        obstacle: None,
    };
    removal.enter(name);
    while !removal.levels.is_empty() {
        removal.step();
    }
    removal.end(path)
}

/// A removal that goes on.
struct Removal {
    /// The mount that is not left.
    border: Border,
    /// The folder that holds the one that is removed.
    above: OwnedFd,
    /// The folders that are being emptied, each in the one before it.
    levels: Vec<Level>,
    /// The path of the last of them.
    at: PathBuf,
    /// The mounts that are in the way.
    mounts: Vec<PathBuf>,
    /// The first other thing that stays, and why.
    obstacle: Option<(PathBuf, io::Error)>,
}

/// A folder that is being emptied.
struct Level {
    /// Its name in the folder above it.
    name: CString,
    /// Its file system and its number there.
    inode: (u64, u64),
    rest: Rest,
    /// True if something in it stays.
    stays: bool,
}

/// The part of a folder that is not yet removed.
enum Rest {
    Open(Dir),
    /// The folder is closed while one in it is emptied.
    Held(Option<OwnedFd>, Vec<CString>),
}

impl Level {
    fn new(name: CString, fd: OwnedFd, depth: usize) -> io::Result<Level> {
        let found = sys::fstat(&fd)?;
        let rest = match depth < MOST_OPEN {
            true => Rest::Open(Dir::new(fd)?),
            false => {
                let mut names = Vec::new();
                for entry in Dir::read_from(&fd)? {
                    names.push(entry?.file_name().to_owned());
                }
                Rest::Held(Some(fd), names)
            }
        };
        Ok(Level {
            name,
            inode: (found.st_dev, found.st_ino),
            rest,
            stays: false,
        })
    }

    fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        match &self.rest {
            Rest::Open(dir) => Ok(dir.fd()?),
            Rest::Held(fd, _) => Ok(fd.as_ref().ok_or(Errno::BADF)?.as_fd()),
        }
    }

    fn next(&mut self) -> Option<io::Result<CString>> {
        let name = match &mut self.rest {
            Rest::Open(dir) => match dir.next()? {
                Ok(entry) => entry.file_name().to_owned(),
                Err(error) => return Some(Err(error.into())),
            },
            Rest::Held(_, names) => names.pop()?,
        };
        match name.as_bytes() {
            b"." | b".." => self.next(),
            _ => Some(Ok(name)),
        }
    }
}

impl Removal {
    /// Removes the next thing in the last folder, or else that folder.
    fn step(&mut self) {
        let next = self.levels.last_mut().and_then(Level::next);
        match next {
            Some(Ok(name)) => self.remove(name),
            Some(Err(error)) => {
                self.stay(None, error);
                self.leave();
            }
            None => self.leave(),
        }
    }

    /// Returns the last folder that is entered, or the one above all.
    fn folder(&self) -> io::Result<BorrowedFd<'_>> {
        match self.levels.last() {
            Some(level) => level.fd(),
            None => Ok(self.above.as_fd()),
        }
    }

    /// Removes something that is not a folder, or enters it.
    fn remove(&mut self, name: CString) {
        let unlinked = self.folder().and_then(|folder| {
            let unlinked = sys::unlinkat(folder, &name, AtFlags::empty());
            Ok(unlinked?)
        });
        match unlinked.map_err(|error| (Errno::from_io_error(&error), error)) {
            Ok(()) | Err((Some(Errno::NOENT), _)) => {}
            Err((Some(Errno::ISDIR), _)) => self.enter(name),
            Err((Some(Errno::BUSY), _)) if self.is_across(&name) => self.note_mount(&name),
            Err((_, error)) => self.stay(Some(&name), error),
        }
    }

    /// Returns true if something is mounted at `name`, or if that is not known.
    fn is_across(&self, name: &CStr) -> bool {
        let path = self.at.join(bytes(name));
        let folder = self.folder();
        folder.is_ok_and(|folder| self.border.is_across(folder, name, &path))
    }

    /// Begins to empty a folder, unless it is a mount.
    fn enter(&mut self, name: CString) {
        // A mount whose server does not answer is not even opened.
        if self.is_across(&name) {
            return self.note_mount(&name);
        }
        let opened = self.open(&name).and_then(|fd| {
            let path = self.at.join(bytes(&name));
            match self.border.is_across(fd.as_fd(), c"", &path) {
                true => Ok(None),
                false => Ok(Some(Level::new(name.clone(), fd, self.levels.len())?)),
            }
        });
        match opened {
            Ok(Some(level)) => {
                if let Some(Level {
                    rest: Rest::Held(fd, _),
                    ..
                }) = self.levels.last_mut()
                {
                    *fd = None;
                }
                self.at.push(bytes(&name));
                self.levels.push(level);
            }
            Ok(None) => self.note_mount(&name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.stay(Some(&name), error),
        }
    }

    /// Opens a folder in the last one, with the right to empty it.
    fn open(&self, name: &CStr) -> io::Result<OwnedFd> {
        let folder = self.folder()?;
        let open = |flags| sys::openat(folder, name, flags, Mode::empty());
        // Modes do not hinder root.
        if geteuid().is_root() {
            return Ok(open(FOLDER)?);
        }
        // Nothing can be followed here, whatever another user puts there meanwhile.
        let known = open(FOLDER | OFlags::PATH)?;
        let mode = Mode::from_raw_mode(sys::fstat(&known)?.st_mode);
        if !mode.contains(Mode::RWXU) {
            let _ = sys::chmod(format!("/proc/self/fd/{}", known.as_raw_fd()), Mode::RWXU);
        }
        Ok(sys::openat(&known, c".", FOLDER, Mode::empty())?)
    }

    /// Removes the last folder, which is empty unless something in it stays.
    fn leave(&mut self) {
        let Some(level) = self.levels.pop() else {
            return;
        };
        self.at.pop();
        if let Err(error) = self.reopen(&level) {
            return self.stay(Some(&level.name), error);
        }
        if level.stays {
            return self.mark();
        }
        let removed = self
            .folder()
            .and_then(|folder| Ok(sys::unlinkat(folder, &level.name, AtFlags::REMOVEDIR)?));
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.stay(Some(&level.name), error);
            }
            _ => {}
        }
    }

    /// Opens the last folder again if it was closed, from `inner` in it.
    fn reopen(&mut self, inner: &Level) -> io::Result<()> {
        if let Some(Level {
            rest: Rest::Held(fd, _),
            inode,
            ..
        }) = self.levels.last_mut()
            && fd.is_none()
        {
            let found = sys::openat(inner.fd()?, c"..", FOLDER, Mode::empty())?;
            let metadata = sys::fstat(&found)?;
            if (metadata.st_dev, metadata.st_ino) != *inode {
                return Err(io::Error::other("it was moved meanwhile"));
            }
            *fd = Some(found);
        }
        Ok(())
    }

    fn note_mount(&mut self, name: &CStr) {
        self.mounts.push(self.at.join(bytes(name)));
        self.mark();
    }

    /// Notes that something stays: `name` in the last folder, or that folder.
    fn stay(&mut self, name: Option<&CStr>, error: io::Error) {
        let path = name.map_or_else(|| self.at.clone(), |name| self.at.join(bytes(name)));
        self.obstacle.get_or_insert((path, error));
        self.mark();
    }

    fn mark(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.stays = true;
        }
    }

    /// Returns the result of the removal of `top`.
    fn end(mut self, top: &Path) -> io::Result<()> {
        self.mounts.sort_unstable();
        if !self.mounts.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                mounted(&self.mounts),
            ));
        }
        match self.obstacle {
            None => Ok(()),
            Some((path, error)) if path.file_name() == top.file_name() => Err(error),
            Some((path, error)) => Err(io::Error::new(
                error.kind(),
                format!("{}: {error}", path.display()),
            )),
        }
    }
}

/// Says which mounts are in the way, and how to remove them.
fn mounted(mounts: &[PathBuf]) -> String {
    let named = &mounts[..mounts.len().min(MOST_NAMED)];
    let shown: Vec<String> = named.iter().map(|at| at.display().to_string()).collect();
    let words: Vec<String> = shown.iter().map(|at| quoted(at)).collect();
    let more = match mounts.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more places"),
    };
    format!(
        "something is mounted at {}{more}, and stays as it is (`umount -R {}`)",
        shown.join(", "),
        words.join(" ")
    )
}

fn bytes(name: &CStr) -> &OsStr {
    OsStr::from_bytes(name.to_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_goes_with_everything_in_it_and_what_links_lead_to_stays() {
        let bench = tempfile::tempdir().expect("a folder");
        let (top, other) = (bench.path().join("top"), bench.path().join("other"));
        fs::create_dir_all(top.join("a/b/c")).expect("made");
        fs::create_dir_all(other.join("in")).expect("made");
        fs::write(other.join("in/file"), "x").expect("written");
        fs::write(top.join("a/b/file"), "x").expect("written");
        std::os::unix::fs::symlink(&other, top.join("a/link")).expect("a link");
        std::os::unix::fs::symlink("/nowhere", top.join("a/b/link")).expect("a link");
        remove_tree(&top).expect("removed");
        assert!(!top.exists() && other.join("in/file").exists());
        let missing = remove_tree(&top).expect_err("nothing is there");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        std::os::unix::fs::symlink(&other, &top).expect("a link");
        let link = remove_tree(&top).expect_err("a link");
        assert_eq!(link.kind(), io::ErrorKind::NotADirectory);
        assert!(other.join("in/file").exists());
    }

    #[test]
    fn a_folder_in_folders_far_deeper_than_descriptors_goes() {
        let bench = tempfile::tempdir().expect("a folder");
        let mut folder: OwnedFd = fs::File::open(bench.path()).expect("open").into();
        for _ in 0..3000 {
            for name in [c"d", c"e"] {
                sys::mkdirat(&folder, name, Mode::RWXU).expect("made");
                sys::openat(&folder, c"f", OFlags::CREATE | OFlags::WRONLY, Mode::RWXU).expect("f");
            }
            folder = sys::openat(&folder, c"d", FOLDER, Mode::empty()).expect("open");
        }
        remove_tree(&bench.path().join("d")).expect("removed");
        let mut left = bench.path().read_dir().expect("readable").flatten();
        assert!(left.all(|entry| entry.file_name() != "d"));
    }
}
