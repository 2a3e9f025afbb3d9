//! The content of a file of a directory when it is packed: opened again, or from the copy.

use std::{
    collections::{HashMap, VecDeque},
    ffi::OsStr,
    fmt,
    fs::File,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::FileExt as _},
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{hashed::Hashed, listing::Collected};
use crate::{
    disk::tree::beneath::{Folders, Look, NodeKind, Top, is_gone, open_file, split},
    model::{
        digest::{Digest, Hashing},
        entry_name::EntryName,
        limits::BUFFER_BYTES,
        relative::RelativeName,
        rules::Rules,
        tree::Modified,
    },
};

/// A directory that stays open until its files are packed.
#[derive(Debug)]
pub struct OpenDirectory {
    pub top: Top,
    pub name: EntryName,
    pub rules: Rules,
    /// The folders in it in which files were opened last: the next ones are likely to lie there as well.
    last: Mutex<VecDeque<(Vec<u8>, Arc<OwnedFd>)>>,
    whereabouts: Mutex<Whereabouts>,
}

/// The new paths of files that lost their names since they were hashed.
#[derive(Debug, Default)]
struct Whereabouts {
    collected: Collected,
    /// The files in the folders that changed, as far as they were requested.
    paths: HashMap<(u64, u64), RelativeName>,
}

/// The folders that are kept open: each thread that reads files is in one of two.
const KEPT_FOLDERS: usize = 16;
/// The most searches for a file that lost its name: it may get yet another one meanwhile.
const SEARCHES: usize = 8;

impl OpenDirectory {
    pub fn new(top: Top, name: EntryName, rules: Rules) -> OpenDirectory {
        OpenDirectory {
            top,
            name,
            rules,
            last: Mutex::default(),
            whereabouts: Mutex::default(),
        }
    }

    /// Stores the folders that were listed, so that a file can be looked for in those with new names.
    pub fn remember(&self, collected: Collected) {
        let mut whereabouts = self.whereabouts();
        whereabouts.collected = collected;
        whereabouts.paths.clear();
    }

    fn whereabouts(&self) -> MutexGuard<'_, Whereabouts> {
        self.whereabouts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self, folder: &[u8]) -> io::Result<Arc<OwnedFd>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, fd)) = last.iter().find(|(path, _)| path == folder) {
            return Ok(fd.clone());
        }
        let fd = Folders::new(&self.top).at(folder)?.try_clone_to_owned()?;
        let fd = Arc::new(fd);
        if last.len() >= KEPT_FOLDERS {
            last.pop_back();
        }
        last.push_front((folder.to_owned(), fd.clone()));
        Ok(fd)
    }

    /// Opens the file that has this inode, whatever its name now; returns `None` if it is not found.
    fn find(&self, inode: (u64, u64)) -> anyhow::Result<Option<File>> {
        let mut whereabouts = self.whereabouts();
        let mut folders = Folders::new(&self.top);
        for _ in 0..SEARCHES {
            if let Some(path) = whereabouts.paths.get(&inode) {
                let opened = folders
                    .parent(path.as_bytes())
                    .and_then(|(parent, name)| open_file(parent, name));
                if let Ok(file) = opened
                    && Look::of(&file)?.inode == inode
                {
                    return Ok(Some(file));
                }
            }
            let Whereabouts { collected, paths } = &mut *whereabouts;
            let settled = collected.listing.settled();
            let changed = collected.listing.changed(&self.top, settled);
            if changed.folders.is_empty() {
                return Ok(None);
            }
            let files = collected.relist(&self.top, &self.rules, &changed)?;
            paths.extend(files.into_iter().map(|found| (found.inode, found.name)));
        }
        Ok(None)
    }
}

/// The numbers and times that distinguish a file, and its content, from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The file system, and the file's number in it.
    pub inode: (u64, u64),
    /// Bytes.
    pub size: u64,
    /// The time of the last change of its content.
    pub mtime: Modified,
    ctime: Modified,
    names: u64,
}

impl Seen {
    /// The bytes that [`Seen::store`] writes.
    pub const BYTES: usize = 7 * 8;

    /// Writes it to `bytes`, which are [`Seen::BYTES`].
    pub fn store(&self, bytes: &mut [u8]) {
        let nanoseconds =
            u64::from(self.mtime.nanoseconds) << 32 | u64::from(self.ctime.nanoseconds);
        let numbers = [
            self.inode.0,
            self.inode.1,
            self.size,
            self.mtime.seconds as u64,
            self.ctime.seconds as u64,
            nanoseconds,
            self.names,
        ];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
    }

    /// Reads what [`Seen::store`] wrote.
    pub fn load(bytes: &[u8]) -> Seen {
        let mut numbers = bytes.chunks_exact(8).map(|place| {
            let mut number = [0; 8];
            number.copy_from_slice(place);
            u64::from_le_bytes(number)
        });
        let mut next = || numbers.next().unwrap_or(0);
        let (inode, size) = ((next(), next()), next());
        let (mtime, ctime) = (next() as i64, next() as i64);
        let (nanoseconds, names) = (next(), next());
        let time = |seconds, nanoseconds| Modified {
            seconds,
            nanoseconds,
        };
        Seen {
            inode,
            size,
            mtime: time(mtime, (nanoseconds >> 32) as u32),
            ctime: time(ctime, nanoseconds as u32),
            names,
        }
    }

    /// Returns the numbers and times of `look`.
    pub fn of(look: &Look) -> Seen {
        Seen {
            inode: look.inode,
            size: look.size,
            mtime: look.mtime,
            ctime: look.ctime,
            names: look.names,
        }
    }

    /// Returns true if `after` shows the same file with the same content, as far as its size and its time tell: it may
    /// have another name, or another mode.
    pub fn is_content_of(&self, after: &Look) -> bool {
        (self.inode, self.size, self.mtime) == (after.inode, after.size, after.mtime)
    }

    /// Returns true if nothing about the file changed except the number of its names.
    fn is_unchanged(&self, after: &Look) -> bool {
        self.is_content_of(after) && (self.ctime == after.ctime || self.names != after.names)
    }
}

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
    pub(super) fn new(
        origin: &Arc<OpenDirectory>,
        name: &RelativeName,
        hashed: &Hashed,
    ) -> Reopened {
        Reopened {
            origin: origin.clone(),
            name: name.clone(),
            seen: Seen::of(&hashed.look),
            digest: hashed.digest,
        }
    }

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

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Appends the content, of `size` bytes, to `bytes` with as few calls of the system as can be. Returns false, and
    /// appends nothing, if anything is not as it was: then [`Reopened::open`] tells.
    pub(super) fn append(&self, size: usize, bytes: &mut Vec<u8>) -> bool {
        let start = bytes.len();
        let mut read = || -> io::Result<bool> {
            let (folder, name) = split(self.name.as_bytes());
            let folder = self.origin.folder(folder)?;
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

    /// Gives it the name under which it was found later.
    pub(super) fn rename(&mut self, name: RelativeName) {
        self.name = name;
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
            .folder(folder)
            .and_then(|folder| open_file(folder.as_fd(), OsStr::from_bytes(name)));
        match opened {
            Ok(file) if Look::of(&file)?.inode == self.seen.inode => return Ok(file),
            Err(error) if !is_gone(&error) => {
                let path = self.origin.top.shown(self.name.as_bytes());
                return Err(anyhow::Error::new(error).context(format!("cannot open {path}")));
            }
            _ => {}
        }
        let found = self.origin.find(self.seen.inode)?;
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

    /// Returns the file that holds the copy.
    pub(super) fn spool(&self) -> &Arc<File> {
        &self.spool
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
