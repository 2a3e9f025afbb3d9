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

use super::hash::{Hashed, no_file};
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

    /// The content from its beginning; reading the last byte fails where the file has changed meanwhile.
    pub fn open(&self) -> anyhow::Result<impl io::Read + '_> {
        let (folder, name) = split(self.name.as_bytes());
        let opened = self
            .origin
            .folder(folder)
            .and_then(|folder| open_file(folder.as_fd(), OsStr::from_bytes(name)))
            .and_then(|file| Ok((Look::of(&file)?, file)));
        match opened {
            Ok((look, file)) if no_file(&look).is_none() && self.look.is_unchanged(&look) => {
                Ok(Watched {
                    reopened: self,
                    left: look.size,
                    file,
                })
            }
            Ok(_) => Err(self.changed().into()),
            Err(error) if is_gone(&error) => Err(self.changed().into()),
            Err(error) => {
                let path = self.origin.top.shown(self.name.as_bytes());
                Err(anyhow::Error::new(error).context(format!("cannot open {path}")))
            }
        }
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

impl io::Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut buffer[..most])?;
        self.left -= read as u64;
        let is_over = read == 0 || self.left == 0;
        if read == 0 || is_over && !self.reopened.look.is_unchanged(&Look::of(&self.file)?) {
            return Err(io::Error::other(self.reopened.changed()));
        }
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
