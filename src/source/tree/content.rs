//! What a file of a directory holds when it is packed: opened again, or from the copy.

use std::{
    ffi::OsStr,
    fmt,
    fs::File,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::FileExt as _},
    },
    sync::{Arc, Mutex, PoisonError},
};

use super::hash::Hashed;
use crate::{
    disk::tree::beneath::{Folders, Look, Top, is_gone, open_file, split},
    model::{entry_name::EntryName, relative::RelativeName},
};

/// A directory that stays open until its files are packed.
#[derive(Debug)]
pub struct Origin {
    pub top: Top,
    pub name: EntryName,
    /// The folder in it that a file was opened in last: the next one is likely to lie there as well.
    last: Mutex<Option<(Vec<u8>, Arc<OwnedFd>)>>,
}

impl Origin {
    pub fn new(top: Top, name: EntryName) -> Origin {
        Origin {
            top,
            name,
            last: Mutex::new(None),
        }
    }

    fn folder(&self, folder: &[u8]) -> io::Result<Arc<OwnedFd>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((path, fd)) = &*last
            && path == folder
        {
            return Ok(fd.clone());
        }
        let fd = Folders::new(&self.top).at(folder)?.try_clone_to_owned()?;
        let fd = Arc::new(fd);
        *last = Some((folder.to_owned(), fd.clone()));
        Ok(fd)
    }
}

/// A file that is opened again when it is packed; that it is no longer what was hashed is [`Changed`].
#[derive(Debug)]
pub struct Reopened {
    origin: Arc<Origin>,
    name: RelativeName,
    look: Look,
}

impl Reopened {
    pub(super) fn new(origin: &Arc<Origin>, name: &RelativeName, hashed: &Hashed) -> Reopened {
        Reopened {
            origin: origin.clone(),
            name: name.clone(),
            look: hashed.look,
        }
    }

    /// The content from its beginning; reading the last byte fails where the file has changed meanwhile, or is another one.
    pub fn open(&self) -> anyhow::Result<impl io::Read + '_> {
        let (folder, name) = split(self.name.as_bytes());
        let opened = self
            .origin
            .folder(folder)
            .and_then(|folder| open_file(folder.as_fd(), OsStr::from_bytes(name)));
        let file = opened.map_err(|error| match is_gone(&error) {
            true => self.changed().into(),
            false => {
                let path = self.origin.top.shown(self.name.as_bytes());
                anyhow::Error::new(error).context(format!("cannot open {path}"))
            }
        })?;
        let watched = Watched {
            reopened: self,
            left: self.look.size,
            file,
        };
        // Of nothing there is no last byte.
        if watched.left == 0 && !watched.is_unchanged()? {
            return Err(self.changed().into());
        }
        Ok(watched)
    }

    fn changed(&self) -> Changed {
        Changed {
            entry: self.name.entry(&self.origin.name).0,
        }
    }
}

struct Watched<'a> {
    reopened: &'a Reopened,
    file: File,
    left: u64,
}

impl Watched<'_> {
    fn is_unchanged(&self) -> io::Result<bool> {
        Ok(self.reopened.look.is_unchanged(&Look::of(&self.file)?))
    }
}

impl io::Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        let changed = || io::Error::other(self.reopened.changed());
        let read = match self.file.read(&mut buffer[..most]) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            // What is no file any more cannot be read as one.
            Err(error) => {
                return Err(match self.is_unchanged()? {
                    true => error,
                    false => changed(),
                });
            }
        };
        let is_over = read == 0 || self.left == read as u64;
        if read == 0 || is_over && !self.is_unchanged()? {
            return Err(changed());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// A range of the file without a name that everything was copied into which somebody may be writing.
#[derive(Debug)]
pub struct Spooled {
    spool: Arc<File>,
    start: u64,
    size: u64,
}

impl Spooled {
    pub(super) fn new(spool: &Arc<File>, start: u64, size: u64) -> Spooled {
        Spooled {
            spool: spool.clone(),
            start,
            size,
        }
    }

    /// The content from its beginning.
    pub fn open(&self) -> impl io::Read + '_ {
        SpooledReader {
            spooled: self,
            done: 0,
        }
    }
}

struct SpooledReader<'a> {
    spooled: &'a Spooled,
    done: u64,
}

impl io::Read for SpooledReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.spooled.size - self.done;
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let at = self.spooled.start + self.done;
        let read = self.spooled.spool.read_at(&mut buffer[..most], at)?;
        self.done += read as u64;
        Ok(read)
    }
}

/// A file is no longer what was hashed: the archive's manifest would be wrong about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The file's entry.
    pub entry: EntryName,
}

impl Changed {
    /// The change that `error` comes down to.
    pub fn of(error: &anyhow::Error) -> Option<&Changed> {
        error.chain().find_map(|cause| {
            let inner = cause
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            cause
                .downcast_ref::<Changed>()
                .or_else(|| inner?.downcast_ref::<Changed>())
        })
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has changed since it was hashed", self.entry)
    }
}

impl std::error::Error for Changed {}
