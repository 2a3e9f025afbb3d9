//! Threads that make small files of staged directories, in batches: that is most of what unpacking many files costs.
//!
//! Results come in the order of the files, so that no message depends on the threads.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Error, Result};

use super::{
    given::{GivenAttributes, NewFile, Refusals},
    holes::punch,
};
use crate::{
    disk::staging::LastFolder,
    model::entry_name::EntryName,
    work::workers::{Threads, Workers},
};

/// The bytes of content, names and attributes that complete a batch.
const BATCH_BYTES: usize = 256 << 10;
/// The files that complete a batch.
const BATCH_FILES: usize = 256;
/// From this number of files on, a batch ends with its folder: two threads in one folder wait for each other.
const FEW_FILES: usize = 64;
/// The most threads: each has batches in memory, and more would wait for the file system.
const MOST_THREADS: usize = 4;

/// A small file that is to be made.
pub struct SmallFile {
    /// Its name below the staging folder.
    pub name: EntryName,
    /// Its path below its directory if the name cannot hold it.
    pub relative: Option<Vec<u8>>,
    /// The mode with which it is made.
    pub mode: u32,
    /// The attributes that it gets once it has its content.
    pub given: GivenAttributes<'static>,
    /// True if blocks of zeros need no room.
    pub is_sparse: bool,
}

/// Small files, and their content one after the other.
#[derive(Default)]
struct Batch {
    /// Each with the end of its content.
    files: Vec<(SmallFile, usize)>,
    content: Vec<u8>,
    /// The bytes of names and attributes.
    other_bytes: usize,
}

/// A batch whose files were made, up to the first one that failed.
pub struct MadeBatch {
    batch: Batch,
    /// The files of which something was refused, by their numbers, and the failure.
    outcomes: Vec<(usize, Result<Refusals, MakingError>)>,
}

/// The failure of one file.
pub enum MakingError {
    /// It was not made or filled; the error names it.
    Content(Error),
    /// It was not given its attributes.
    Attributes(io::Error),
}

impl MadeBatch {
    /// Takes the files of which something was refused, in order, and then the one that failed.
    pub fn outcomes(
        &mut self,
    ) -> impl Iterator<Item = (&SmallFile, Result<Refusals, MakingError>)> {
        let files = &self.batch.files;
        let outcomes = self.outcomes.drain(..);
        outcomes.map(|(number, outcome)| (&files[number].0, outcome))
    }
}

/// The threads, and the batch that they get next.
pub struct Makers {
    staging: PathBuf,
    threads: Threads,
    /// `None` as long as no batch was complete.
    workers: Option<Workers<Batch, MadeBatch>>,
    batch: Batch,
    /// Batches to fill again.
    spare: Vec<Batch>,
}

impl Makers {
    /// Creates the value for files below the folder `staging`. Threads start when the first batch is complete.
    pub fn new(staging: &Path, threads: Threads) -> Makers {
        let count = threads.count().get().min(MOST_THREADS);
        Makers {
            staging: staging.to_owned(),
            threads: Threads::new(count).unwrap_or(Threads::ONE),
            workers: None,
            batch: Batch::default(),
            spare: Vec::new(),
        }
    }

    /// Returns true if [`Makers::send`] is needed before a file called `name` is added.
    pub fn is_complete(&self, name: &EntryName) -> bool {
        let Batch { files, content, .. } = &self.batch;
        let is_elsewhere =
            |(last, _): &(SmallFile, usize)| folder_of(&last.name) != folder_of(name);
        files.len() >= BATCH_FILES
            || content.len() + self.batch.other_bytes >= BATCH_BYTES
            || files.len() >= FEW_FILES && files.last().is_some_and(is_elsewhere)
    }

    /// Returns the end of the content so far, for that of the next file. What was written there and not added is gone.
    pub fn begin(&mut self) -> &mut Vec<u8> {
        let end = self.batch.files.last().map_or(0, |(_, end)| *end);
        self.batch.content.truncate(end);
        &mut self.batch.content
    }

    /// Adds the file whose content was written last.
    pub fn add(&mut self, file: SmallFile) {
        let xattrs = file.given.xattrs.iter();
        let bytes: usize = xattrs.map(|(name, value)| name.len() + value.len()).sum();
        self.batch.other_bytes += file.name.as_str().len() + bytes;
        self.batch.files.push((file, self.batch.content.len()));
    }

    /// Gives the batch to the threads. Returns an earlier one for which this had to wait.
    pub fn send(&mut self) -> Result<Option<MadeBatch>> {
        let staging = &self.staging;
        let start = || {
            let start = || {
                let mut making = Making::new(staging.clone());
                let work = move |batch| making.make_all(batch);
                Box::new(work) as Box<dyn FnMut(Batch) -> MadeBatch + Send>
            };
            Workers::start(self.threads, start)
        };
        let workers = self.workers.get_or_insert_with(start);
        let made = match workers.is_full() {
            true => self.take()?,
            false => None,
        };
        let next = self.spare.pop().unwrap_or_default();
        let batch = std::mem::replace(&mut self.batch, next);
        if let Some(workers) = &mut self.workers {
            workers.give(batch);
        }
        Ok(made)
    }

    /// Has the last batch made: by this thread if none was complete before: a few files are not worth a thread.
    pub fn end(&mut self) -> Result<Option<MadeBatch>> {
        if self.workers.is_some() {
            return self.send();
        }
        let batch = std::mem::take(&mut self.batch);
        Ok(Some(Making::new(self.staging.clone()).make_all(batch)))
    }

    /// Waits for the batch that was given first; `None` if there is none.
    pub fn take(&mut self) -> Result<Option<MadeBatch>> {
        let made = self.workers.as_mut().and_then(Workers::take);
        Ok(made.transpose().map_err(io::Error::from)?)
    }

    /// Takes a batch back that is not needed any more.
    pub fn reuse(&mut self, made: MadeBatch) {
        let mut batch = made.batch;
        batch.files.clear();
        batch.content.clear();
        batch.other_bytes = 0;
        self.spare.push(batch);
    }
}

/// When it is gone, no thread makes a file any more: the staging folder may be removed.
impl Drop for Makers {
    fn drop(&mut self) {
        while self.workers.as_mut().and_then(Workers::take).is_some() {}
    }
}

/// The making of files in one thread.
struct Making {
    staging: PathBuf,
    last: LastFolder,
    /// The files that are made with each mode, as the staging folder and the umask make them.
    known: BTreeMap<u32, Option<NewFile>>,
}

impl Making {
    fn new(staging: PathBuf) -> Making {
        Making {
            staging,
            last: LastFolder::default(),
            known: BTreeMap::new(),
        }
    }

    fn make_all(&mut self, batch: Batch) -> MadeBatch {
        let mut outcomes = Vec::new();
        let mut start = 0;
        for (number, (file, end)) in batch.files.iter().enumerate() {
            let made = self.make(file, &batch.content[start..*end]);
            start = *end;
            let is_failed = made.is_err();
            if !made.as_ref().is_ok_and(Refusals::is_empty) {
                outcomes.push((number, made));
            }
            if is_failed {
                break;
            }
        }
        MadeBatch { batch, outcomes }
    }

    fn make(&mut self, file: &SmallFile, content: &[u8]) -> Result<Refusals, MakingError> {
        let name = &file.name;
        let made = self.last.create(&self.staging, name, file.mode);
        let mut made = made.map_err(MakingError::Content)?;
        made.write_all(content)
            .with_context(|| format!("cannot write {name}"))
            .map_err(MakingError::Content)?;
        let mut give = || -> io::Result<Refusals> {
            if file.is_sparse {
                punch(&made)?;
            }
            let known = self.known.entry(file.mode).or_default();
            let new = NewFile::inspect_or(&made, known)?;
            file.given.give(made.as_fd(), new)
        };
        give().map_err(MakingError::Attributes)
    }
}

/// Returns the folder of an entry below the staging folder.
fn folder_of(name: &EntryName) -> &str {
    let split = name.as_str().rsplit_once('/');
    split.map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{borrow::Cow, fs, os::unix::fs::MetadataExt as _};

    fn file(name: &str, mode: u32) -> SmallFile {
        SmallFile {
            name: EntryName::new(name).expect("a name"),
            relative: None,
            mode: 0o600,
            given: GivenAttributes {
                mode: Some(mode),
                owner: (None, None),
                mtime: None,
                xattrs: Cow::default(),
            },
            is_sparse: false,
        }
    }

    /// Adds `count` files to each of three folders and returns the failures, in order.
    fn make(makers: &mut Makers, count: usize) -> Vec<String> {
        let mut failures = Vec::new();
        let mut note = |made: Option<MadeBatch>| {
            let Some(mut made) = made else { return false };
            for (file, outcome) in made.outcomes() {
                if let Err(MakingError::Content(error)) = outcome {
                    failures.push(format!("{}: {error:#}", file.name));
                }
            }
            true
        };
        for number in 0..3 * count {
            let name = format!("data/{}/{number}", number / count);
            let file = file(&name, 0o640);
            if makers.is_complete(&file.name) {
                note(makers.send().expect("sent"));
            }
            makers
                .begin()
                .extend_from_slice(b"left by a file that was not added");
            makers.begin().extend_from_slice(name.as_bytes());
            makers.add(file);
        }
        note(makers.end().expect("made"));
        while note(makers.take().expect("taken")) {}
        failures
    }

    #[test]
    fn threads_make_each_file_with_its_content_and_mode() {
        for (threads, count) in [(1, 3), (1, 900), (2, 20), (3, 300), (64, 900)] {
            let folder = tempfile::tempdir().expect("a folder");
            let threads = Threads::new(threads).expect("some");
            let mut makers = Makers::new(folder.path(), threads);
            assert_eq!(make(&mut makers, count), Vec::<String>::new());
            for number in 0..3 * count {
                let name = format!("data/{}/{number}", number / count);
                let path = folder.path().join(&name);
                assert_eq!(fs::read_to_string(&path).expect("there"), name);
                assert_eq!(path.metadata().expect("there").mode() & 0o7777, 0o640);
            }
        }
    }

    #[test]
    fn the_first_file_that_fails_is_named_first_and_no_file_is_made_after_the_threads_are_gone() {
        for threads in [1, 4] {
            let folder = tempfile::tempdir().expect("a folder");
            for taken in ["data/0/700", "data/2/2100"] {
                fs::create_dir_all(folder.path().join(taken)).expect("made");
            }
            let mut makers = Makers::new(folder.path(), Threads::new(threads).expect("some"));
            let failures = make(&mut makers, 900);
            assert_eq!(failures.len(), 2, "{failures:?}");
            assert!(failures[0].starts_with("data/0/700: cannot create "));
            assert!(failures[1].starts_with("data/2/2100: cannot create "));
            let mut makers = Makers::new(folder.path(), Threads::new(threads).expect("some"));
            for number in 0..BATCH_FILES * 3 {
                let file = file(&format!("more/{number}"), 0o600);
                if makers.is_complete(&file.name) {
                    makers.send().expect("sent");
                }
                makers.add(file);
            }
            drop(makers);
            crate::disk::removal::remove_tree(folder.path()).expect("removed");
        }
    }
}
