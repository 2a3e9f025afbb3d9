//! Hashes files in place, on several threads, while others are found and stored.

mod hasher;
mod outcome;

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;

pub use self::outcome::{Done, Outcome, Recent};
use self::{
    hasher::{Hasher, Work},
    outcome::{Item, Job},
};
use super::{
    TreeContext, database::DatabaseHandling, folders::FoundFile, opened::OpenDirectory, tape::frame,
};
use crate::work::Lost;

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
