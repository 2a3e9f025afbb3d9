//! Hashes files in place, on several threads, while others are found and stored.

use std::{
    collections::VecDeque,
    io,
    os::fd::AsFd as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;

use super::{
    Spooled, TreeContext,
    database::{DatabaseHandling, Found},
    folders::FoundFile,
    hashed::{Describer, Hashed, no_file, read},
    opened::OpenDirectory,
    seen::Seen,
    tape::frame,
};
use crate::{
    disk::tree::beneath::{Folders, Look, is_gone, open_file, split, xattrs},
    model::{
        digest::Hashing, engine::Engine, limits::BUFFER_BYTES, relative::RelativeName,
        tree::Modified,
    },
    work::Lost,
};

/// The most threads: more gain nothing, because a disk does not read faster.
const MOST_THREADS: usize = 8;
/// The number of files that a thread takes at a time: they lie beside one another.
const BATCH: usize = 32;
/// The bytes of findings that go along with a batch.
const BATCH_BYTES: usize = 64 << 10;
/// The batches on their way for each thread: they bound memory, and let the others go on while one reads a large file.
const WINDOW: usize = 8;
/// The time between two reports to the caller while threads read large files.
const TICK: Duration = Duration::from_millis(50);
const STACK_BYTES: usize = 512 << 10;

/// The outcome of reading a file.
pub enum Outcome {
    /// It was read as a whole; the result is valid as long as the file stays the inspected one.
    Hashed(HashedLine),
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

/// A hashed file as a line of a listing.
pub struct HashedLine {
    /// The file when reading began.
    pub seen: Seen,
    /// The bytes of the content.
    pub size: u64,
    /// The line.
    pub text: Vec<u8>,
}

/// Files that were changed lately, and may be changed again.
#[derive(Debug, Clone, Copy)]
pub struct Recent {
    /// Files that were touched after this moment.
    pub files: Modified,
    /// Files in folders in which names came or went after this moment: they may vanish as well before they are packed.
    pub folders: Option<Modified>,
}

/// An item on its way.
enum Item {
    /// Findings that are ready.
    Ready(Vec<u8>),
    /// A file to be hashed.
    File(FoundFile),
}

/// An item at its end.
pub enum Done {
    /// Findings, framed.
    Ready(Vec<u8>),
    /// A file, and the outcome of reading it.
    File(FoundFile, Box<Outcome>),
}

type Job = (Vec<Item>, mpsc::SyncSender<Vec<Done>>);

/// Files that are hashed on several threads, and findings between them; all come out in the order in which they were
/// given. A window bounds the number of those on their way.
pub struct Hashers<'a> {
    work: Arc<Work>,
    caller: &'a TreeContext<'a>,
    /// The items that no thread has yet.
    batch: Vec<Item>,
    /// The files, and the bytes of findings, in the batch.
    batch_files: usize,
    batch_bytes: usize,
    team: Option<Team>,
    pending: VecDeque<mpsc::Receiver<Vec<Done>>>,
}

struct Team {
    jobs: mpsc::Sender<Job>,
    threads: Vec<JoinHandle<()>>,
}

impl<'a> Hashers<'a> {
    /// Creates hashers of files in `origin`, except those that were changed lately. They start threads when there is
    /// work for more than one.
    pub fn new(
        origin: &Arc<OpenDirectory>,
        recent: Recent,
        caller: &'a TreeContext<'a>,
    ) -> Hashers<'a> {
        Hashers {
            work: Arc::new(Work {
                origin: origin.clone(),
                recent,
                seeks_databases: matches!(caller.databases, DatabaseHandling::Copied(_)),
                bytes: AtomicU64::new(0),
                is_stopped: AtomicBool::new(false),
                round: AtomicU32::new(0),
            }),
            caller,
            batch: Vec::new(),
            batch_files: 0,
            batch_bytes: 0,
            team: None,
            pending: VecDeque::new(),
        }
    }

    /// Returns true if nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.batch.is_empty() && self.pending.is_empty()
    }

    /// Adds a finding to the batch.
    pub fn add(&mut self, finding: &[u8]) -> Result<()> {
        self.batch_bytes += finding.len();
        match self.batch.last_mut() {
            Some(Item::Ready(findings)) => frame(finding, findings),
            _ => {
                let mut findings = Vec::new();
                frame(finding, &mut findings)?;
                self.batch.push(Item::Ready(findings));
                Ok(())
            }
        }
    }

    /// Adds a file to the batch.
    pub fn add_file(&mut self, found: FoundFile) {
        self.batch_files += 1;
        self.batch.push(Item::File(found));
    }

    /// Returns true if the batch is to be sent.
    pub fn has_batch(&self) -> bool {
        self.batch_files >= BATCH || self.batch_bytes >= BATCH_BYTES
    }

    /// Returns true if results must be taken before the next batch is sent.
    pub fn is_full(&self) -> bool {
        let threads = self.team.as_ref().map_or(1, |team| team.threads.len());
        self.pending.len() >= WINDOW * threads
    }

    /// Gives the batch to the threads.
    pub fn send(&mut self) -> Result<()> {
        self.tell()?;
        let batch = self.take_batch();
        let (reply, result) = mpsc::sync_channel(1);
        let job = (batch, reply);
        let (batch, reply) = match &self.team {
            Some(team) if !team.threads.is_empty() => match team.jobs.send(job) {
                Ok(()) => {
                    self.pending.push_back(result);
                    return Ok(());
                }
                // Each thread has failed.
                Err(mpsc::SendError(_)) => return Err(io::Error::from(Lost).into()),
            },
            Some(_) => job,
            None => {
                self.team = Some(self.start());
                (self.batch, self.batch_files, self.batch_bytes) = (job.0, 0, 0);
                return self.send();
            }
        };
        // A machine that gives us no further thread still has this one.
        let done = self.run_here(batch)?;
        // The receiver is here.
        let _ = reply.send(done);
        self.pending.push_back(result);
        Ok(())
    }

    /// Returns the results of the batch that was given first; `None` if nothing is on its way.
    pub fn take(&mut self) -> Result<Option<Vec<Done>>> {
        let Some(result) = self.pending.pop_front() else {
            return Ok(None);
        };
        loop {
            match result.recv_timeout(TICK) {
                Ok(done) => {
                    self.tell()?;
                    return Ok(Some(done));
                }
                Err(RecvTimeoutError::Timeout) => self.tell()?,
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::from(Lost).into()),
            }
        }
    }

    /// Returns the results of what is in the batch, if it is all there ever was: then no thread is needed.
    pub fn take_small(&mut self) -> Result<Option<Vec<Done>>> {
        if self.team.is_some() || self.batch.is_empty() {
            return Ok(None);
        }
        let batch = self.take_batch();
        self.run_here(batch).map(Some)
    }

    /// Returns true if the batch has items.
    pub fn has_rest(&self) -> bool {
        !self.batch.is_empty()
    }

    fn take_batch(&mut self) -> Vec<Item> {
        (self.batch_files, self.batch_bytes) = (0, 0);
        std::mem::take(&mut self.batch)
    }

    fn run_here(&self, batch: Vec<Item>) -> Result<Vec<Done>> {
        let mut failed = None;
        let done = Hasher::new(&self.work).run(batch, &mut || {
            let told = self.tell();
            let goes_on = told.is_ok();
            failed = failed.take().or(told.err());
            goes_on
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(done),
        }
    }

    /// Forgets the folders that the threads have open: they are listed again.
    pub fn begin_round(&self) {
        self.work.round.fetch_add(1, Ordering::Relaxed);
    }

    fn start(&self) -> Team {
        let (jobs, receiver) = mpsc::channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        let start = |_| {
            let (work, jobs) = (self.work.clone(), receiver.clone());
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            thread.spawn(move || work.serve(&jobs)).ok()
        };
        let count = self.caller.threads.count().get().min(MOST_THREADS);
        Team {
            jobs,
            threads: (0..count).map_while(start).collect(),
        }
    }

    /// Tells the caller how many bytes were read; stops the work if the caller ends it.
    fn tell(&self) -> Result<()> {
        let told = (self.caller.step)(self.work.bytes.swap(0, Ordering::Relaxed));
        if told.is_err() {
            self.work.is_stopped.store(true, Ordering::Relaxed);
        }
        told
    }
}

impl Drop for Hashers<'_> {
    fn drop(&mut self) {
        self.work.is_stopped.store(true, Ordering::Relaxed);
        if let Some(Team { jobs, threads }) = self.team.take() {
            drop(jobs);
            for thread in threads {
                // One that panicked has lost its results, which was reported.
                let _ = thread.join();
            }
        }
    }
}

struct Work {
    origin: Arc<OpenDirectory>,
    recent: Recent,
    seeks_databases: bool,
    /// The bytes that were read and not yet reported to the caller.
    bytes: AtomicU64,
    is_stopped: AtomicBool,
    /// The number of times that folders were listed again.
    round: AtomicU32,
}

impl Work {
    /// Works on jobs until no more come.
    fn serve(&self, jobs: &Mutex<mpsc::Receiver<Job>>) {
        let mut hasher = Hasher::new(self);
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((batch, reply)) = job else {
                return;
            };
            let done = hasher.run(batch, &mut || !self.is_stopped.load(Ordering::Relaxed));
            let _ = reply.send(done);
        }
    }
}

/// One thread's memory.
struct Hasher<'a> {
    work: &'a Work,
    folders: Folders<'a>,
    describer: Describer,
    buffer: Vec<u8>,
    /// The folder that was inspected last, and true if names came or went in it lately.
    last_folder: Option<(Vec<u8>, bool)>,
    /// The round in which it worked last.
    round: u32,
}

impl<'a> Hasher<'a> {
    fn new(work: &'a Work) -> Hasher<'a> {
        Hasher {
            work,
            folders: Folders::new(&work.origin.top),
            describer: Describer::new(work.origin.name.clone()),
            buffer: vec![0; BUFFER_BYTES],
            last_folder: None,
            round: 0,
        }
    }

    /// Hashes the files of a batch, as long as `goes_on` returns true.
    fn run(&mut self, batch: Vec<Item>, goes_on: &mut dyn FnMut() -> bool) -> Vec<Done> {
        let round = self.work.round.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.round, round) != round {
            // A path may lead to another folder by now.
            self.folders = Folders::new(&self.work.origin.top);
            self.last_folder = None;
        }
        let mut done = Vec::with_capacity(batch.len());
        for item in batch {
            match item {
                Item::Ready(findings) => done.push(Done::Ready(findings)),
                Item::File(_) if !goes_on() => return done,
                Item::File(found) => {
                    let outcome = self.hash(&found.name, goes_on);
                    let outcome = outcome.unwrap_or_else(|error| match is_gone(&error) {
                        true => Outcome::Gone,
                        false => Outcome::Failed(error),
                    });
                    done.push(Done::File(found, Box::new(outcome)));
                }
            }
        }
        done
    }

    fn hash(
        &mut self,
        relative: &RelativeName,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> io::Result<Outcome> {
        let work = self.work;
        let (parent, name) = self.folders.parent(relative.as_bytes())?;
        let file = open_file(parent, name)?;
        let look = Look::of(&file)?;
        if let Some(kind) = no_file(&look) {
            return Ok(Outcome::Special(kind));
        }
        if look.ctime.is_after(work.recent.files) || self.is_in_recent_folder(relative)? {
            return Ok(Outcome::Unsettled);
        }
        let xattrs = xattrs(file.as_fd())?;
        let mut hashing = Hashing::new(io::sink());
        let (mut is_beginning, mut engine) = (work.seeks_databases, None);
        let result = read(&file, look.size, &mut self.buffer, &mut |bytes| {
            if std::mem::take(&mut is_beginning) {
                engine = Engine::of(bytes);
                if engine.is_some() {
                    return Err(io::ErrorKind::Other.into());
                }
            }
            work.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
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
        let record = self.describer.record(
            relative,
            Hashed {
                look,
                xattrs,
                digest,
                size,
            },
        );
        Ok(Outcome::Hashed(HashedLine {
            seen: Seen::of(&look),
            size,
            text: self.describer.file(relative, record),
        }))
    }

    /// Returns true if names came or went lately in the folder of a file.
    fn is_in_recent_folder(&mut self, relative: &RelativeName) -> io::Result<bool> {
        let Some(recent) = self.work.recent.folders else {
            return Ok(false);
        };
        let folder = split(relative.as_bytes()).0;
        if let Some((path, is_recent)) = &self.last_folder
            && path == folder
        {
            return Ok(*is_recent);
        }
        let is_recent = Look::of(self.folders.at(folder)?)?.mtime.is_after(recent);
        self.last_folder = Some((folder.to_vec(), is_recent));
        Ok(is_recent)
    }
}
