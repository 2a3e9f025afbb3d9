//! Hashes files in place, on several threads.

use std::{
    fs::File,
    io,
    os::fd::AsFd as _,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;

use super::{
    Spooled, TreeContext,
    database::{DatabaseHandling, Found},
    hashed::Hashed,
    listing::FoundFile,
};
use crate::{
    disk::tree::beneath::{Folders, Look, NodeKind, Top, is_gone, open_file, xattrs},
    model::{digest::Hashing, engine::Engine, limits::BUFFER_BYTES, tree::Modified},
};

/// The most threads: more gain nothing, because a disk does not read faster.
const MOST_THREADS: usize = 8;
/// The number of files that a thread takes at a time: they lie beside one another.
const BATCH: usize = 32;
/// The time between two reports to the caller while threads read large files.
const TICK: Duration = Duration::from_millis(50);
const STACK_BYTES: usize = 512 << 10;

/// The outcome of reading a file.
pub enum Outcome {
    /// It was read as a whole; the result is valid as long as the file stays the inspected one.
    Hashed(Hashed),
    /// The copy of it shows one moment.
    Copied(Hashed, Spooled),
    /// It changed during each copy.
    Torn(Hashed, Spooled),
    /// It begins like a database; it was not read further.
    Database(Found),
    /// It was touched a moment ago, or changed while it was read.
    Unsettled,
    /// It has vanished.
    Gone,
    /// It is not a regular file any more.
    Special(&'static str),
    /// It cannot be read.
    Failed(io::Error),
}

/// Files that were changed lately, and may be changed again.
#[derive(Debug, Clone, Copy)]
pub struct Recent {
    /// Files that were touched after this moment.
    pub files: Modified,
    /// Files in folders in which names came or went after this moment: they may vanish as well before they are packed.
    pub folders: Option<Modified>,
}

/// Hashes `files`, except those that were changed lately; the outcomes are in the same order.
pub fn all(
    top: &Top,
    files: &[FoundFile],
    recent: Recent,
    caller: &TreeContext<'_>,
) -> Result<impl Iterator<Item = Outcome> + use<>> {
    let outcomes: Vec<_> = std::iter::repeat_with(OnceLock::new)
        .take(files.len())
        .collect();
    let work = Work {
        top,
        files,
        outcomes: &outcomes,
        recent,
        seeks_databases: matches!(caller.databases, DatabaseHandling::Copied(_)),
        next: AtomicUsize::new(0),
        bytes: AtomicU64::new(0),
        is_stopped: AtomicBool::new(false),
    };
    let batches = files.len().div_ceil(BATCH);
    let threads = caller.threads.count().get().min(MOST_THREADS).min(batches);
    let mut failed = None;
    let mut tell = || match (caller.step)(work.bytes.swap(0, Ordering::Relaxed)) {
        Ok(()) => true,
        Err(error) => {
            work.is_stopped.store(true, Ordering::Relaxed);
            failed.get_or_insert(error);
            false
        }
    };
    thread::scope(|scope| {
        let main = thread::current();
        let start = |_| {
            let (work, main) = (&work, main.clone());
            let helper = thread::Builder::new().stack_size(STACK_BYTES);
            let helper = helper.spawn_scoped(scope, move || {
                work.run(&mut || !work.is_stopped.load(Ordering::Relaxed));
                main.unpark();
            });
            helper.ok()
        };
        // A machine that gives us no further thread still has this one.
        let helpers: Vec<_> = (1..threads).map_while(start).collect();
        work.run(&mut tell);
        while helpers.iter().any(|helper| !helper.is_finished()) {
            tell();
            thread::park_timeout(TICK);
        }
        for helper in helpers {
            if let Err(panic) = helper.join() {
                std::panic::resume_unwind(panic);
            }
        }
        tell();
    });
    match failed {
        Some(error) => Err(error),
        // No thread stopped early: each file has its outcome.
        None => Ok(outcomes.into_iter().filter_map(OnceLock::into_inner)),
    }
}

struct Work<'a> {
    top: &'a Top,
    files: &'a [FoundFile],
    /// The outcomes; the thread that takes a file sets its outcome.
    outcomes: &'a [OnceLock<Outcome>],
    recent: Recent,
    seeks_databases: bool,
    /// The first file that no thread has taken.
    next: AtomicUsize,
    /// The bytes that were read and not yet reported to the caller.
    bytes: AtomicU64,
    is_stopped: AtomicBool,
}

impl Work<'_> {
    /// Hashes files until none is left, or `goes_on` returns false.
    fn run(&self, goes_on: &mut dyn FnMut() -> bool) {
        let mut folders = Folders::new(self.top);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let start = self.next.fetch_add(BATCH, Ordering::Relaxed);
            let end = self.files.len().min(start.saturating_add(BATCH));
            if start >= end {
                return;
            }
            for index in start..end {
                if !goes_on() {
                    return;
                }
                self.outcomes[index].get_or_init(|| {
                    let outcome =
                        self.hash(&mut folders, &self.files[index].name, &mut buffer, goes_on);
                    outcome.unwrap_or_else(|error| match is_gone(&error) {
                        true => Outcome::Gone,
                        false => Outcome::Failed(error),
                    })
                });
            }
        }
    }

    fn hash(
        &self,
        folders: &mut Folders<'_>,
        name: &crate::model::relative::RelativeName,
        buffer: &mut [u8],
        goes_on: &mut dyn FnMut() -> bool,
    ) -> io::Result<Outcome> {
        let (parent, name) = folders.parent(name.as_bytes())?;
        let file = open_file(parent, name)?;
        let look = Look::of(&file)?;
        if let Some(kind) = no_file(&look) {
            return Ok(Outcome::Special(kind));
        }
        if look.ctime.is_after(self.recent.files) {
            return Ok(Outcome::Unsettled);
        }
        if let Some(recent) = self.recent.folders
            && Look::of(parent)?.mtime.is_after(recent)
        {
            return Ok(Outcome::Unsettled);
        }
        let xattrs = xattrs(file.as_fd())?;
        let mut hashing = Hashing::new(io::sink());
        let (mut is_beginning, mut engine) = (self.seeks_databases, None);
        let result = read(&file, look.size, buffer, &mut |bytes| {
            if std::mem::take(&mut is_beginning) {
                engine = Engine::of(bytes);
                if engine.is_some() {
                    return Err(io::ErrorKind::Other.into());
                }
            }
            self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            // The result is the caller's error then.
            if !goes_on() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            io::Write::write_all(&mut hashing, bytes)
        });
        if let Some(engine) = engine {
            return Ok(Outcome::Database(Found {
                engine,
                look,
                xattrs,
            }));
        }
        result?;
        let (digest, size) = hashing.finish();
        // A later step checks that it stayed the same, when all are hashed or packed.
        if size != look.size {
            return Ok(Outcome::Unsettled);
        }
        Ok(Outcome::Hashed(Hashed {
            look,
            xattrs,
            digest,
            size,
        }))
    }
}

/// Returns the kind of a file that is not a regular file, else `None`.
pub fn no_file(look: &Look) -> Option<&'static str> {
    match look.what {
        NodeKind::File => None,
        NodeKind::Special(kind) => Some(kind),
        NodeKind::Folder => Some("a folder"),
        NodeKind::Link => Some("a link"),
    }
}

/// Gives the first `size` bytes of `file` to `take`, or all if it is shorter.
pub fn read(
    mut file: &File,
    size: u64,
    buffer: &mut [u8],
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        match io::Read::read(&mut file, &mut buffer[..most]) {
            Ok(0) => break,
            Ok(read) => {
                take(&buffer[..read])?;
                left -= read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
