//! One way to make a file durable: a private draft beside its place, synced, then put under its name in one step.
//!
//! Promised: whoever looks under the name sees nothing, the old file or the whole new one, before and after a power
//! cut. Not promised: that a network file system keeps what it acknowledged.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    },
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags},
    libc,
    unistd::linkat,
};
use tempfile::{NamedTempFile, TempPath};

use super::{folder_of, sync_folder};
use crate::error::{self, Failure};

/// The beginning of the names of drafts that have one.
const PREFIX: &str = ".hookshot-";

/// A file that is being written, 0600 from its first byte, and gone when it is dropped or the process dies.
pub struct Draft {
    folder: PathBuf,
    kind: Kind,
}

enum Kind {
    /// Without a name until it is published (open(2), `O_TMPFILE`): a kill leaves nothing.
    Nameless(File),
    /// For file systems that cannot do that.
    Named(NamedTempFile),
}

/// The fate of a file that already has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced in one step.
    Replace,
    /// It stays, and publishing fails with `AlreadyExists`.
    Keep,
}

impl Draft {
    /// Creates a draft for a file that will be published in `folder`.
    pub fn create(folder: &Path) -> io::Result<Draft> {
        Draft::create_as(folder, PREFIX)
    }

    /// Does the same. If the file system knows no files without names, the draft's name begins with `prefix`.
    pub fn create_as(folder: &Path, prefix: &str) -> io::Result<Draft> {
        // A nameless file gets its name by /proc (open(2)). If that is not mounted, the file needs a name from the
        // start.
        if !Path::new("/proc/self/fd").exists() {
            let kind = Kind::Named(named_in(folder, prefix)?);
            let folder = folder.to_owned();
            return Ok(Draft { folder, kind });
        }
        let nameless = OpenOptions::new()
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags(libc::O_TMPFILE)
            .open(folder);
        let kind = match nameless {
            Ok(file) => Kind::Nameless(file),
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)
                ) =>
            {
                Kind::Named(named_in(folder, prefix)?)
            }
            Err(error) => return Err(error),
        };
        Ok(Draft {
            folder: folder.to_owned(),
            kind,
        })
    }

    /// Returns the draft's content.
    pub fn file(&mut self) -> &mut File {
        match &mut self.kind {
            Kind::Nameless(file) => file,
            Kind::Named(named) => named.as_file_mut(),
        }
    }

    /// Closes the draft until it is published. It has a name in the folder `waiting` then, which stays after a kill; in
    /// its own folder if no name can lead from one to the other. A draft that has a name already keeps it.
    pub fn close(mut self, waiting: &Path) -> io::Result<ClosedDraft> {
        let origin = Origin::of(self.file())?;
        let path = match self.kind {
            Kind::Nameless(file) => {
                let name_in = |folder: &Path| {
                    let mut names = tempfile::Builder::new();
                    let named = names
                        .prefix(PREFIX)
                        .make_in(folder, |path| link(&file, path));
                    named.map(NamedTempFile::into_temp_path)
                };
                match name_in(waiting) {
                    Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                        name_in(&self.folder)?
                    }
                    named => named?,
                }
            }
            Kind::Named(named) => named.into_temp_path(),
        };
        Ok(ClosedDraft {
            folder: self.folder,
            path,
            origin,
        })
    }

    /// Syncs the draft and puts it at `path`, which must lie in the draft's folder.
    pub fn publish(mut self, path: &Path, existing: Existing) -> io::Result<()> {
        self.file().sync_all()?;
        match (self.kind, existing) {
            (Kind::Nameless(file), Existing::Keep) => link(&file, path)?,
            (Kind::Nameless(file), Existing::Replace) => {
                let temporary = tempfile::Builder::new()
                    .prefix(PREFIX)
                    .make_in(&self.folder, |path| link(&file, path))?;
                temporary.persist(path).map_err(|error| error.error)?;
            }
            (Kind::Named(named), Existing::Keep) => {
                drop(named.persist_noclobber(path).map_err(|error| error.error)?)
            }
            (Kind::Named(named), Existing::Replace) => {
                drop(named.persist(path).map_err(|error| error.error)?)
            }
        }
        sync_folder(&self.folder)
    }

    /// Syncs the draft and gives it the first of `paths` that is free, all of which must lie in its folder; returns
    /// that one. Whoever else publishes there at the same moment gets another.
    pub fn publish_first(
        mut self,
        paths: impl IntoIterator<Item = PathBuf>,
    ) -> io::Result<PathBuf> {
        self.file().sync_all()?;
        for path in paths {
            let published = match self.kind {
                Kind::Nameless(ref file) => link(file, &path),
                Kind::Named(named) => match named.persist_noclobber(&path) {
                    Ok(_) => {
                        sync_folder(&self.folder)?;
                        return Ok(path);
                    }
                    Err(error) => {
                        self.kind = Kind::Named(error.file);
                        Err(error.error)
                    }
                },
            };
            match published {
                Ok(()) => {
                    sync_folder(&self.folder)?;
                    return Ok(path);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// A draft that is complete and not open. It is gone when it is dropped.
pub struct ClosedDraft {
    folder: PathBuf,
    path: TempPath,
    origin: Origin,
}

impl ClosedDraft {
    /// Opens the draft again. Refuses another file at its path: the content of that one was not proven.
    pub fn open(self) -> io::Result<Draft> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let file = match options.open(&self.path) {
            Ok(file) if Origin::of(&file)? == self.origin => file,
            Ok(_) => return Err(self.swapped().into()),
            // A link, a folder, nothing at all.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ELOOP | libc::EISDIR | libc::ENOENT | libc::ENXIO)
                ) =>
            {
                return Err(self.swapped().into());
            }
            Err(error) => return Err(error),
        };
        Ok(Draft {
            folder: self.folder,
            kind: Kind::Named(NamedTempFile::from_parts(file, self.path)),
        })
    }

    fn swapped(&self) -> Failure {
        let message = format!(
            "{} is not the file that was written there: another process has replaced it",
            self.path.display()
        );
        Failure::new(error::Kind::Failed, message)
            .hint("use a folder to which no other user may write")
    }
}

/// The data that tell a file from all others. The number of one that is gone may be given again, but not its time of
/// birth.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    device: u64,
    inode: u64,
    born: Option<SystemTime>,
}

impl Origin {
    fn of(file: &File) -> io::Result<Origin> {
        let metadata = file.metadata()?;
        Ok(Origin {
            device: metadata.dev(),
            inode: metadata.ino(),
            born: metadata.created().ok(),
        })
    }
}

fn named_in(folder: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let private = Permissions::from_mode(0o600);
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(private)
        .tempfile_in(folder)
}

/// Gives a name to a file that has none (open(2), `O_TMPFILE`, second example).
fn link(file: &File, path: &Path) -> io::Result<()> {
    let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    let follow = AtFlags::AT_SYMLINK_FOLLOW;
    let linked = linkat(AT_FDCWD, descriptor.as_str(), AT_FDCWD, path, follow);
    match linked {
        Err(Errno::ENOENT) if !Path::new(&descriptor).exists() => {}
        linked => return linked.map_err(io::Error::from),
    }
    // Without /proc root may, and from Linux 6.10 on everybody.
    linkat(file, "", AT_FDCWD, path, AtFlags::AT_EMPTY_PATH).map_err(|errno| match errno {
        Errno::ENOENT => io::Error::from(
            Failure::new(error::Kind::Failed, "/proc is not mounted")
                .hint("mount it: mount -t proc proc /proc"),
        ),
        errno => errno.into(),
    })
}

/// Publishes `bytes` at `path`, 0600.
pub fn publish(path: &Path, bytes: &[u8], existing: Existing) -> Result<()> {
    publish_with(path, bytes, existing, 0o600)
}

/// Publishes `bytes` at `path`, 0644 whatever the umask, in place of an earlier file. Only for what every user may read.
pub fn publish_readable(path: &Path, bytes: &[u8]) -> Result<()> {
    publish_with(path, bytes, Existing::Replace, 0o644)
}

/// Publishes `bytes` in place of the file at `path`, with the mode and the owner of that one. Links to it and lists of access
/// beyond the mode are not promised to stay.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        let old = path.metadata()?;
        let mut draft = Draft::create(&folder_of(path))?;
        let file = draft.file();
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(&*file, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        file.write_all(bytes)?;
        draft.publish(path, Existing::Replace)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn publish_with(path: &Path, bytes: &[u8], existing: Existing, mode: u32) -> Result<()> {
    let write = || -> io::Result<()> {
        let mut draft = Draft::create(&folder_of(path))?;
        let file = draft.file();
        if mode != 0o600 {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        file.write_all(bytes)?;
        draft.publish(path, existing)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests;
