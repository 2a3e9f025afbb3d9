//! Copies of the indexes of a repository and of the records of its states, so that a store is asked for each of them once.
//!
//! Such a file has the SHA-256 of its content for its name, and never changes. A copy is used if it has that digest and
//! the size that the store lists; else the store is asked, and the copy replaced. Copies are sealed as the files are. No
//! failure here is a failure of the work: without a copy the store is asked.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::Path,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use rustic_core::{FileType, Id};
use tracing::debug;

use crate::{disk::copies::CopyFolder, model::digest::Digest};

/// The most bytes of indexes that are held in memory, for repositories without copies on disk.
const MOST_HELD_BYTES: usize = 16 << 20;
/// The largest copy that is read, if the store did not tell a size.
const MOST_COPY_BYTES: u64 = 256 << 20;
/// The file that tells other programs that a folder can be made again (bford.info/cachedir).
const TAG: &str = "CACHEDIR.TAG";
const TAG_TEXT: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n\
    # Copies of a repository's indexes and records, made by hookshot. They may be removed at any time.\n";

/// The copies of the files of one repository.
#[derive(Debug, Default)]
pub struct Cache {
    /// The copies on this machine, if any are kept.
    disk: OnceLock<DiskCopies>,
    /// The indexes that were read, as far as they are not on disk.
    held: Mutex<HashMap<Id, Bytes>>,
    /// The sizes that the store lists, in bytes.
    sizes: Mutex<HashMap<Id, u32>>,
    /// True if only the content of the store counts.
    is_proving: AtomicBool,
}

/// The copies on this machine.
#[derive(Debug)]
struct DiskCopies {
    indexes: CopyFolder,
    records: CopyFolder,
    /// True if a copy could not be written: no other is tried.
    is_read_only: AtomicBool,
}

impl DiskCopies {
    fn open(folder: &Path, repository: &str) -> io::Result<DiskCopies> {
        let copies = CopyFolder::open(folder)?.below(repository)?;
        if copies.size(TAG).is_none() {
            copies.put(TAG, TAG_TEXT)?;
        }
        Ok(DiskCopies {
            indexes: copies.below(FileType::Index.dirname())?,
            records: copies.below(FileType::Snapshot.dirname())?,
            is_read_only: AtomicBool::new(false),
        })
    }

    fn of(&self, kind: FileType) -> Option<&CopyFolder> {
        match kind {
            FileType::Index => Some(&self.indexes),
            FileType::Snapshot => Some(&self.records),
            _ => None,
        }
    }
}

/// Returns true for files of which copies are kept.
pub fn is_copied(kind: FileType) -> bool {
    matches!(kind, FileType::Index | FileType::Snapshot)
}

/// Returns true if `content` has the digest that its name tells.
pub fn is_named_for(content: &[u8], id: &Id) -> bool {
    Digest::of(content).to_string() == *id.to_hex().as_str()
}

impl Cache {
    /// Keeps copies on disk from now on: in `folder`, in a folder of its own for the repository with that identifier.
    pub fn keep_in(&self, folder: &Path, repository: &str) {
        match DiskCopies::open(folder, repository) {
            Ok(copies) => drop(self.disk.set(copies)),
            Err(error) => {
                debug!(folder = %folder.display(), %error, "No copies of the repository's indexes are kept");
            }
        }
    }

    /// Goes by the content of the store alone from now on. Returns true if copies on disk were used until now.
    pub fn prove(&self) -> bool {
        !self.is_proving.swap(true, Ordering::Relaxed) && self.disk.get().is_some()
    }

    /// Returns true if what was read before may be a copy, and only the content of the store counts.
    pub fn is_doubted(&self) -> bool {
        self.is_proving() && self.disk.get().is_some()
    }

    /// Takes the listing of the files of a kind. Copies of other files are removed.
    pub fn take_listing(&self, kind: FileType, listed: &[(Id, u32)]) {
        if !is_copied(kind) {
            return;
        }
        let names: HashSet<String> = listed.iter().map(|(id, _)| name(id)).collect();
        locked(&self.sizes).extend(listed.iter().copied());
        if kind == FileType::Index {
            locked(&self.held).retain(|id, _| names.contains(&name(id)));
        }
        if let Some(copies) = self.copies(kind)
            && let Err(error) = copies.retain(|name| names.contains(name))
        {
            debug!(%error, "Old copies of the repository's {kind} files cannot be removed");
        }
    }

    /// Returns the content of a file.
    pub fn get(&self, kind: FileType, id: &Id) -> Option<Bytes> {
        if !is_copied(kind) {
            return None;
        }
        if let Some(content) = locked(&self.held).get(id) {
            return Some(content.clone());
        }
        let copies = self.copies(kind).filter(|_| !self.is_proving())?;
        let size = self.size(id);
        match copies.read(&name(id), size.unwrap_or(MOST_COPY_BYTES)) {
            Ok(content) if size.is_none_or(|size| size == content.len() as u64) => {
                if is_named_for(&content, id) {
                    return Some(content.into());
                }
                debug!("The copy of {kind} {id} is damaged, and is made anew");
            }
            Ok(_) => {
                debug!("The copy of {kind} {id} has another size than the file, which is read")
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => debug!(%error, "The copy of {kind} {id} cannot be read"),
        }
        None
    }

    /// Keeps a copy of `content`, which has the digest of its name.
    pub fn keep(&self, kind: FileType, id: &Id, content: &Bytes) {
        if !is_copied(kind) || self.put(kind, id, content) || kind != FileType::Index {
            return;
        }
        let mut held = locked(&self.held);
        let bytes: usize = held.values().map(Bytes::len).sum();
        if bytes + content.len() <= MOST_HELD_BYTES {
            held.insert(*id, content.clone());
        }
    }

    /// Writes a copy on disk. Returns false if none is there then.
    fn put(&self, kind: FileType, id: &Id, content: &[u8]) -> bool {
        let Some(disk) = self.disk.get().filter(|_| !self.is_proving()) else {
            return false;
        };
        let Some(copies) = disk.of(kind) else {
            return false;
        };
        if disk.is_read_only.load(Ordering::Relaxed) {
            return false;
        }
        let written = copies.put(&name(id), content);
        if let Err(error) = &written {
            debug!(%error, "No further copies of the repository's files are written");
            disk.is_read_only.store(true, Ordering::Relaxed);
        }
        written.is_ok()
    }

    /// Removes the copy of a file.
    pub fn remove(&self, kind: FileType, id: &Id) {
        locked(&self.held).remove(id);
        if let Some(copies) = self.copies(kind) {
            copies.remove(&name(id));
        }
    }

    /// Returns those of the files that have to be read from the store, and whose copies there is room for.
    pub fn lacking(&self, kind: FileType, ids: impl IntoIterator<Item = Id>) -> Vec<Id> {
        let held = locked(&self.held);
        let mut room = MOST_HELD_BYTES.saturating_sub(held.values().map(Bytes::len).sum());
        let disk = self.disk.get().filter(|_| !self.is_proving());
        let copies = disk.and_then(|disk| disk.of(kind));
        let is_kept = disk.is_some_and(|disk| !disk.is_read_only.load(Ordering::Relaxed));
        let is_lacking = |id: &Id| {
            let size = copies.and_then(|copies| copies.size(&name(id)));
            !held.contains_key(id) && (size.is_none() || size != self.size(id))
        };
        let mut lacking: Vec<Id> = ids.into_iter().filter(is_lacking).collect();
        lacking.retain(|id| {
            let bytes = self.size(id).and_then(|size| usize::try_from(size).ok());
            let left = room.checked_sub(bytes.unwrap_or(usize::MAX));
            room = left.unwrap_or(room);
            is_kept || left.is_some()
        });
        lacking
    }

    fn copies(&self, kind: FileType) -> Option<&CopyFolder> {
        self.disk.get()?.of(kind)
    }

    fn size(&self, id: &Id) -> Option<u64> {
        locked(&self.sizes).get(id).copied().map(u64::from)
    }

    fn is_proving(&self) -> bool {
        self.is_proving.load(Ordering::Relaxed)
    }
}

fn name(id: &Id) -> String {
    id.to_hex().as_str().to_owned()
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
