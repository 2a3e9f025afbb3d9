//! The private folder where an archive is unpacked and verified before anything moves.

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, anyhow};
use rustix::fs::{self as sys, Mode, OFlags};

use super::removal::remove_tree;
use crate::{model::entry_name::EntryName, work::space};

/// A folder, 0700, whose files are 0600; it goes with everything in it when it is dropped, unless it is kept.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    keep: AtomicBool,
    /// Locked as long as it is in use, which shows in every PID namespace; `None` if the file system cannot do that.
    _lock: Option<File>,
    last: Mutex<LastFolder>,
}

/// The folder below a staging folder in which a file was made last, open: the next file is likely to lie there as well.
#[derive(Debug, Default)]
pub struct LastFolder(Option<(String, OwnedFd)>);

impl LastFolder {
    /// Creates a new file for an entry, with this mode as far as the umask allows, and the folders above it. `staging`
    /// is always the same folder.
    pub fn create(&mut self, staging: &Path, name: &EntryName, mode: u32) -> Result<File> {
        let (folder, last) = name
            .as_str()
            .rsplit_once('/')
            .unwrap_or(("", name.as_str()));
        let mut create = || -> io::Result<File> {
            let (folder, fd) = match self.0.take_if(|(path, _)| path == folder) {
                Some(known) => known,
                None => (folder.to_owned(), open_private(&staging.join(folder))?),
            };
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let file = sys::openat(&fd, last, flags, Mode::from_raw_mode(mode));
            self.0 = Some((folder, fd));
            Ok(file?.into())
        };
        create().with_context(|| format!("cannot create {}", staging.join(name.as_str()).display()))
    }
}

/// Opens a private folder, and makes it if it is missing.
fn open_private(folder: &Path) -> io::Result<OwnedFd> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(sys::open(folder, flags, Mode::empty())?)
}

impl Staging {
    /// Creates the folder `path`, which must not exist.
    pub fn create(path: &Path) -> Result<Staging> {
        let created = Staging::make(path);
        let created = created.with_context(|| format!("cannot create {}", path.display()))?;
        created.with_context(|| format!("{} was removed by another hookshot", path.display()))
    }

    /// Creates the first of the folders `paths` that can be made and has room for `bytes`. If none is, the error is
    /// that of the last one.
    pub fn with_room(paths: &[PathBuf], bytes: u64, what: &str) -> Result<Staging> {
        let mut last = Err(anyhow!("no folder is named"));
        for path in paths {
            last = Staging::create(path).and_then(|staging| {
                space::require(staging.path(), bytes, what)?;
                Ok(staging)
            });
            if last.is_ok() {
                break;
            }
        }
        last
    }

    /// Creates and locks the folder; `None` if a [`sweep`] removed it before it was locked.
    fn make(path: &Path) -> io::Result<Option<Staging>> {
        std::fs::DirBuilder::new().mode(0o700).create(path)?;
        let lock = open_folder(path).and_then(|folder| {
            fs2::FileExt::lock_exclusive(&folder)?;
            Ok(folder)
        });
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(Staging {
            path: path.to_owned(),
            keep: AtomicBool::new(false),
            _lock: lock.ok(),
            last: Mutex::default(),
        }))
    }

    /// Creates a folder in `scratch`, with a name that nothing there has; `what` it is for ends the name.
    ///
    /// The leftovers of a kill go with the next [`sweep`].
    pub fn scratch(scratch: &Path, what: &str) -> Result<Staging> {
        let pid = std::process::id();
        let mut number = 0u32;
        loop {
            let path = scratch.join(format!(".hookshot-{pid:x}-{number:x}{LOCKED}.{what}"));
            match Staging::make(&path) {
                Ok(Some(staging)) => return Ok(staging),
                Ok(None) => {}
                // Another thread's, or the leftovers of a process that had our number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot create {}", path.display()));
                }
            }
            number = number.checked_add(1).context("no name is free")?;
        }
    }

    /// Returns a path beside the folder that nothing else has. The leftovers of a kill go as the folder does.
    pub fn sibling(&self) -> PathBuf {
        let name = self.path.file_stem().unwrap_or_default();
        let mut name = name.to_os_string();
        name.push(format!("{BESIDE}."));
        name.push(self.path.extension().unwrap_or_default());
        self.path.with_file_name(name)
    }

    /// Leaves the folder where it is when this value goes.
    pub fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of an entry; its name cannot lead out of the folder.
    pub fn place(&self, name: &EntryName) -> PathBuf {
        self.path.join(name.as_str())
    }

    /// Creates a new file for an entry.
    pub fn file(&self, name: &EntryName) -> Result<File> {
        self.file_of_mode(name, 0o600)
    }

    /// Does the same, with this mode as far as the umask allows: only the folder keeps the file private then.
    pub fn file_of_mode(&self, name: &EntryName, mode: u32) -> Result<File> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.create(&self.path, name, mode)
    }

    /// Returns a writer for an entry.
    pub fn writer(&self, name: &EntryName) -> Result<Box<dyn Write>> {
        Ok(Box::new(self.file(name)?))
    }

    /// Returns a writer for an entry of `size` bytes; blocks of zeros take no room.
    pub fn sparse_writer(&self, name: &EntryName, size: u64) -> Result<Box<dyn Write>> {
        let file = self.file(name)?;
        file.set_len(size)
            .with_context(|| format!("cannot write {}", self.place(name).display()))?;
        Ok(Box::new(Sparse { file, at: 0 }))
    }
}

/// Writes a file of a known length; blocks of zeros become holes.
struct Sparse {
    file: File,
    at: u64,
}

/// The unit in which file systems leave out what is not stored.
const BLOCK_BYTES: usize = 4096;

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (mut from, mut at) = (0, 0);
        while at < bytes.len() {
            let into_block = (self.at + at as u64) as usize % BLOCK_BYTES;
            let end = bytes.len().min(at + BLOCK_BYTES - into_block);
            if bytes[at..end] == [0; BLOCK_BYTES][..end - at] {
                self.file
                    .write_all_at(&bytes[from..at], self.at + from as u64)?;
                from = end;
            }
            at = end;
        }
        self.file
            .write_all_at(&bytes[from..], self.at + from as u64)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The private folder of a database's snapshot ends its name with this.
pub const SNAPSHOT: &str = "snapshot";
/// The private folder of a directory that is extracted ends its name with this.
pub const EXTRACT: &str = "extract";

/// The private folder of a drill ends its name with this.
pub const DRILL: &str = "drill";
/// The private folder of a rehearsal ends its name with this.
pub const REHEARSAL: &str = "rehearsal";
/// Stands before that in the names of folders that are locked while they are in use; those of older versions are not.
pub const LOCKED: &str = "-held";
/// Ends the name of what lies [beside](Staging::sibling) such a folder.
const BESIDE: &str = "-new";

/// Removes from `scratch` the leftovers of our rehearsals, snapshots, extractions and drills that were killed. A folder that
/// cannot be removed now is tried again by the next sweep.
pub fn sweep(scratch: &Path) {
    for entry in scratch.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let named = name
            .strip_prefix(".hookshot-")
            .and_then(|name| name.rsplit_once('.'))
            .filter(|(_, what)| [REHEARSAL, SNAPSHOT, EXTRACT, DRILL].contains(what));
        let ours = entry.metadata().is_ok_and(|metadata| {
            metadata.is_dir() && metadata.uid() == nix::unistd::geteuid().as_raw()
        });
        if let Some((unique, what)) = named.filter(|_| ours) {
            sweep_one(scratch, &entry.path(), unique, what);
        }
    }
}

fn sweep_one(scratch: &Path, path: &Path, unique: &str, what: &str) {
    let used = match unique.strip_suffix(BESIDE) {
        Some(unique) => scratch.join(format!(".hookshot-{unique}.{what}")),
        None => path.to_owned(),
    };
    // Held until the folder is gone: its process may be about to lock it.
    let folder = match open_folder(&used) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => return,
        Ok(folder) => Some(folder),
    };
    let mut is_told = unique.trim_end_matches(BESIDE).ends_with(LOCKED);
    if let Some(folder) = &folder
        && let Err(error) = fs2::FileExt::try_lock_exclusive(folder)
    {
        match error.kind() == io::ErrorKind::WouldBlock {
            true => return,
            false => is_told = false,
        }
    }
    let pid = || u32::from_str_radix(unique.split_once('-')?.0, 16).ok();
    let is_dead = || pid().is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    if (is_told || is_dead())
        && let Err(error) = remove_tree(path)
    {
        tracing::warn!(folder = %path.display(), %error, "The folder of a run that was killed could not be removed");
    }
}

fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(sys::open(path, flags, Mode::empty())?.into())
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.keep.load(Ordering::Relaxed) {
            return;
        }
        // A transaction that ended has removed it already.
        if let Err(error) = remove_tree(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.path.display(), %error, "The staging folder could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_with_holes_reads_as_it_was_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let staging = Staging::create(&folder.path().join("staging")).expect("a folder");
        let name = EntryName::new("state.redb").expect("a name");
        let mut bytes = vec![0; 1 << 20];
        for at in [0, 5000, 8191, 8192, 700_000, (1 << 20) - 1] {
            bytes[at] = 7;
        }
        let mut writer = staging
            .sparse_writer(&name, bytes.len() as u64)
            .expect("a writer");
        for part in bytes.chunks(10_007) {
            writer.write_all(part).expect("written");
        }
        drop(writer);
        let place = staging.place(&name);
        assert!(std::fs::read(&place).expect("readable") == bytes);
        assert!(place.metadata().expect("there").blocks() * 512 < 100_000);
    }

    #[test]
    fn what_a_killed_snapshot_left_is_swept_and_what_is_in_use_stays() {
        let scratch = tempfile::tempdir().expect("a folder");
        let mut gone = std::process::Command::new("true")
            .spawn()
            .expect("a process");
        let pid = gone.id();
        gone.wait().expect("gone");
        let left = |what: &str| scratch.path().join(format!(".hookshot-{pid:x}-0.{what}"));
        for what in [SNAPSHOT, "rehearsal", "staging"] {
            std::fs::create_dir(left(what)).expect("a folder");
        }
        // The number of a process that lives: a container's first one has the same each time.
        let pid = std::process::id();
        let again = |name: &str| scratch.path().join(format!(".hookshot-{pid:x}-{name}"));
        for name in ["7-held.snapshot", "8-held-new.extract", "9.snapshot"] {
            std::fs::create_dir(again(name)).expect("a folder");
        }
        let one = Staging::scratch(scratch.path(), SNAPSHOT).expect("a folder");
        let two = Staging::scratch(scratch.path(), SNAPSHOT).expect("another");
        std::fs::create_dir(two.sibling()).expect("a folder");
        sweep(scratch.path());
        assert!(!left(SNAPSHOT).exists() && !left("rehearsal").exists());
        assert!(left("staging").exists(), "an import's is not ours to judge");
        assert!(!again("7-held.snapshot").exists() && !again("8-held-new.extract").exists());
        assert!(
            again("9.snapshot").exists(),
            "of an older version, and alive"
        );
        assert!(two.sibling().exists(), "it is in use");
        for staging in [&one, &two] {
            let mode = staging.path().metadata().expect("there").mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        let seen_from_elsewhere = scratch.path().join(".hookshot-fffffff-0-held.snapshot");
        std::fs::rename(one.path(), &seen_from_elsewhere).expect("renamed");
        sweep(scratch.path());
        assert!(
            seen_from_elsewhere.exists(),
            "a number that is not seen here, and in use"
        );
    }
}
