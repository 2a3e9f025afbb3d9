//! One thread that hashes files, and the work that it shares with others.

use std::{
    io,
    os::fd::AsFd as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
        mpsc,
    },
};

use super::outcome::{Done, HashedLine, Item, Job, Outcome, Recent};
use crate::{
    disk::tree::beneath::{Folders, Look, is_gone, open_file, split, xattrs},
    model::{digest::Hashing, engine::Engine, limits::BUFFER_BYTES, relative::RelativeName},
    source::tree::{
        database::Found,
        hashed::{Describer, Hashed, no_file, read},
        opened::OpenDirectory,
        seen::Seen,
    },
};

/// The work that threads share.
pub(super) struct Work {
    pub(super) origin: Arc<OpenDirectory>,
    pub(super) recent: Recent,
    pub(super) seeks_databases: bool,
    /// The bytes that were read and not yet reported to the caller.
    pub(super) bytes: AtomicU64,
    pub(super) is_stopped: AtomicBool,
    /// The number of times that folders were listed again.
    pub(super) round: AtomicU32,
}

impl Work {
    /// Works on jobs until no more come.
    pub(super) fn serve(&self, jobs: &Mutex<mpsc::Receiver<Job>>) {
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
pub(super) struct Hasher<'a> {
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
    pub(super) fn new(work: &'a Work) -> Hasher<'a> {
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
    pub(super) fn run(&mut self, batch: Vec<Item>, goes_on: &mut dyn FnMut() -> bool) -> Vec<Done> {
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
