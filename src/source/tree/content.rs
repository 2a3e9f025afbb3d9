//! The content of a file of a directory when it is packed: opened again, or from the copy.

use std::{
    ffi::OsStr,
    fmt,
    fs::File,
    io,
    os::{
        fd::AsFd as _,
        unix::{ffi::OsStrExt as _, fs::FileExt as _},
    },
    sync::Arc,
};

use super::{
    opened::{KEPT_FOLDERS, OpenDirectory},
    seen::Seen,
};
use crate::{
    disk::tree::beneath::{Look, NodeKind, is_gone, open_file, split},
    model::{
        digest::{Digest, Hashing},
        entry_name::EntryName,
        limits::BUFFER_BYTES,
        relative::RelativeName,
    },
};

/// A file that is opened again when it is packed, whatever its name by then. If it no longer begins with the hashed
/// bytes, it is [`ContentChanged`].
#[derive(Debug)]
pub struct Reopened {
    origin: Arc<OpenDirectory>,
    name: RelativeName,
    seen: Seen,
    digest: Digest,
}

impl Reopened {
    /// Returns the file `name` that was seen like this when its content had this digest.
    pub(super) fn seen_as(
        origin: &Arc<OpenDirectory>,
        name: RelativeName,
        seen: Seen,
        digest: Digest,
    ) -> Reopened {
        Reopened {
            origin: origin.clone(),
            name,
            seen,
            digest,
        }
    }

    /// Appends the content, of `size` bytes, to `bytes` with as few calls of the system as can be. Returns false, and
    /// appends nothing, if anything is not as it was: then [`Reopened::open`] tells.
    pub(super) fn append(&self, size: usize, bytes: &mut Vec<u8>) -> bool {
        let start = bytes.len();
        let mut read = || -> io::Result<bool> {
            let (folder, name) = split(self.name.as_bytes());
            let folder = self.origin.folder(folder, KEPT_FOLDERS)?;
            let mut file = open_file(folder.as_fd(), OsStr::from_bytes(name))?;
            bytes.resize(start + size, 0);
            io::Read::read_exact(&mut file, &mut bytes[start..])?;
            Ok(self.seen.is_unchanged(&Look::of(&file)?))
        };
        let is_read = self.seen.size == size as u64 && read().unwrap_or(false);
        if !is_read {
            bytes.truncate(start);
        }
        is_read
    }

    /// Returns the content from its beginning; reading the last byte fails if the file has other content meanwhile.
    pub fn open(&self) -> anyhow::Result<impl io::Read + '_> {
        let watched = Watched {
            reopened: self,
            left: self.seen.size,
            file: self.file()?,
        };
        // An empty file has no last byte to check at.
        if watched.left == 0 && !watched.is_whole()? {
            return Err(self.changed().into());
        }
        Ok(watched)
    }

    fn file(&self) -> anyhow::Result<File> {
        let (folder, name) = split(self.name.as_bytes());
        let opened = self
            .origin
            .folder(folder, 1)
            .and_then(|folder| open_file(folder.as_fd(), OsStr::from_bytes(name)));
        match opened {
            Ok(file) if Look::of(&file)?.inode == self.seen.inode => return Ok(file),
            Err(error) if !is_gone(&error) => {
                let path = self.origin.top.shown(self.name.as_bytes());
                return Err(anyhow::Error::new(error).context(format!("cannot open {path}")));
            }
            _ => {}
        }
        let found = self.origin.find(self.seen.inode, folder)?;
        found.ok_or_else(|| self.changed().into())
    }

    fn changed(&self) -> ContentChanged {
        ContentChanged {
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
    /// Returns true if the file begins with the hashed bytes: its times are unchanged, or else its bytes match.
    fn is_whole(&self) -> io::Result<bool> {
        let seen = &self.reopened.seen;
        let now = Look::of(&self.file)?;
        if seen.is_unchanged(&now) {
            return Ok(true);
        }
        if now.inode != seen.inode || now.size < seen.size || now.what != NodeKind::File {
            return Ok(false);
        }
        let mut hashing = Hashing::new(io::sink());
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut done = 0;
        while done < seen.size {
            let left = seen.size - done;
            let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let read = self.file.read_at(&mut buffer[..most], done)?;
            if read == 0 {
                return Ok(false);
            }
            io::Write::write_all(&mut hashing, &buffer[..read])?;
            done += read as u64;
        }
        Ok(hashing.finish().0 == self.reopened.digest)
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
            // An entry that is not a file any more cannot be read as one.
            Err(error) => {
                return Err(match Look::of(&self.file)?.what {
                    NodeKind::File => error,
                    _ => changed(),
                });
            }
        };
        let is_over = read == 0 || self.left == read as u64;
        if read == 0 || is_over && !self.is_whole()? {
            return Err(changed());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// A range of the file without a name that holds copies of files that a process may be writing.
#[derive(Debug)]
pub struct Spooled {
    spool: Arc<File>,
    start: u64,
    size: u64,
    seen: Seen,
}

impl Spooled {
    pub(super) fn new(spool: &Arc<File>, start: u64, size: u64, look: &Look) -> Spooled {
        Spooled {
            spool: spool.clone(),
            start,
            size,
            seen: Seen::of(look),
        }
    }

    /// Returns the copy, of `size` bytes, of a file that was seen like this, from `start` of `spool` on.
    pub(super) fn at(spool: &Arc<File>, start: u64, size: u64, seen: Seen) -> Spooled {
        Spooled {
            spool: spool.clone(),
            start,
            size,
            seen,
        }
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Returns the place of the copy in that file.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Returns the content from its beginning.
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

/// The error that a file no longer holds the hashed bytes: the archive's manifest would be wrong about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentChanged {
    /// The file's entry.
    pub entry: EntryName,
}

impl ContentChanged {
    /// Returns the change that caused `error`.
    pub fn of(error: &anyhow::Error) -> Option<&ContentChanged> {
        error.chain().find_map(|cause| {
            let inner = cause
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            cause
                .downcast_ref::<ContentChanged>()
                .or_else(|| inner?.downcast_ref::<ContentChanged>())
        })
    }
}

impl fmt::Display for ContentChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has changed since it was hashed", self.entry)
    }
}

impl std::error::Error for ContentChanged {}
