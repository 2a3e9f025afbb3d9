//! One file without a name, with copies of all files that a process may be writing.

use std::{
    fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::Arc, thread, time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::fs::{self as sys, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use super::{
    content::Spooled,
    database::Found,
    hash::Outcome,
    hashed::{Hashed, no_file, read},
};
use crate::{
    disk::tree::beneath::{Folders, Look, is_gone, open_file, xattrs},
    model::{
        digest::Hashing,
        engine::Engine,
        limits::{BUFFER_BYTES, SMALL_SOURCE_BYTES},
        relative::RelativeName,
        tree::Modified,
    },
    work::{Advance, space},
};

/// The number of attempts to copy a file that changes meanwhile.
const ATTEMPTS: usize = 3;
/// The wait for a new time stamp. Times of files are those of the kernel's last tick, at most 10 ms apart: two changes
/// within one look the same.
const TICK: Duration = Duration::from_millis(20);
/// One second, in nanoseconds.
const SECOND: i128 = 1_000_000_000;

/// The treatment of a file that begins like a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKinds {
    /// It is copied like any other file.
    Any,
    /// It is not copied: the outcome says that it is a database.
    Plain,
}

/// The copies. Their file system is also the clock: the time that it gives to a file counts.
pub struct Spool {
    file: Arc<File>,
    end: u64,
    scratch: std::path::PathBuf,
    buffer: Vec<u8>,
}

impl Spool {
    /// Creates an empty one in the folder `scratch`.
    pub fn create(scratch: &Path) -> Result<Spool> {
        let file = tempfile::tempfile_in(scratch)
            .with_context(|| format!("cannot make a temporary file in {}", scratch.display()))?;
        Ok(Spool {
            file: Arc::new(file),
            end: 0,
            scratch: scratch.to_owned(),
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Returns the file that holds the copies.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Returns the moment `quiet` before now, and at least a tick before. A file changed within the last tick may be
    /// changed again, and look the same.
    pub fn moment_before(&self, quiet: Duration) -> io::Result<Modified> {
        let quiet = i128::try_from(quiet.max(TICK).as_nanos()).unwrap_or(i128::MAX);
        let moment = nanoseconds(self.now()?).saturating_sub(quiet);
        let seconds = i64::try_from(moment.div_euclid(SECOND)).unwrap_or(i64::MIN);
        let nanoseconds = u32::try_from(moment.rem_euclid(SECOND)).unwrap_or(0);
        Ok(Modified {
            seconds,
            nanoseconds,
        })
    }

    /// Copies a file until the copy shows one moment, in at most three attempts. Fails if the copy cannot be written,
    /// or `step` ends the work. If the file cannot be read, that is an outcome.
    ///
    /// A copy shows one moment if nothing about the file has changed meanwhile. It also does if the file still has the
    /// same bytes after the copy was made: it has only grown, or has another name or mode.
    pub fn copy(
        &mut self,
        folders: &mut Folders<'_>,
        name: &RelativeName,
        kinds: FileKinds,
        step: &Advance<'_>,
    ) -> Result<Outcome> {
        let opened = folders
            .parent(name.as_bytes())
            .and_then(|(parent, name)| open_file(parent, name));
        let file = match opened {
            Ok(opened) => opened,
            Err(error) if is_gone(&error) => return Ok(Outcome::Gone),
            Err(error) => return Ok(Outcome::Failed(error)),
        };
        for attempt in 1.. {
            let look = match self.look(&file) {
                Ok(look) => look,
                Err(error) => return Ok(Outcome::Failed(error)),
            };
            if let Some(kind) = no_file(&look) {
                return Ok(Outcome::Special(kind));
            }
            if kinds == FileKinds::Plain
                && let Some(engine) = engine_of(&file)
            {
                let attributes = xattrs(std::os::fd::AsFd::as_fd(&file));
                return Ok(match attributes {
                    Ok(xattrs) => Outcome::Database(Found {
                        engine,
                        look,
                        xattrs,
                    }),
                    Err(error) => Outcome::Failed(error),
                });
            }
            let is_settled = self.is_settled(&look)?;
            let taken = match self.take(&file, &look, step)? {
                Ok(taken) => taken,
                Err(error) => return Ok(Outcome::Failed(error)),
            };
            let after = Look::of(&file)?;
            let is_whole = taken.size == look.size
                && (is_settled && look.is_unchanged(&after)
                    || self.is_still(&file, taken.size, step)?);
            if is_whole || attempt >= ATTEMPTS {
                let content = Spooled::new(&self.file, self.end, taken.size, &taken.look);
                self.end += taken.size;
                return Ok(match is_whole {
                    true => Outcome::Copied(taken, content),
                    false => Outcome::Torn(taken, content),
                });
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Inspects a file, and waits if it was changed within the same tick: its times would not show a change after the
    /// copy. A small file is compared instead, which is faster.
    fn look(&self, file: &File) -> io::Result<Look> {
        let look = Look::of(file)?;
        let is_small = look.size <= SMALL_SOURCE_BYTES;
        if no_file(&look).is_some() || is_small || self.is_settled(&look)? {
            return Ok(look);
        }
        // The clock of times lags behind by up to a tick of its own.
        thread::sleep(2 * TICK);
        Look::of(file)
    }

    /// Returns true if the first `size` bytes of `file` are those that were copied last.
    fn is_still(&mut self, file: &File, size: u64, step: &Advance<'_>) -> Result<bool> {
        let mut copied = vec![0; self.buffer.len()];
        let mut done = 0;
        while done < size {
            let most =
                usize::try_from(size - done).map_or(copied.len(), |left| left.min(copied.len()));
            let read = match file.read_at(&mut self.buffer[..most], done) {
                Ok(read) if read > 0 => read,
                _ => return Ok(false),
            };
            self.file
                .read_exact_at(&mut copied[..read], self.end + done)?;
            if self.buffer[..read] != copied[..read] {
                return Ok(false);
            }
            step(0)?;
            done += read as u64;
        }
        Ok(true)
    }

    /// Returns true if a change from now on gives the file another time than it has.
    fn is_settled(&self, look: &Look) -> io::Result<bool> {
        let now = self.now()?;
        // A write sets this time too; the removal of a name does not.
        let age = nanoseconds(now) - nanoseconds(look.mtime);
        // A time far in the future is that of another clock, and says nothing about ours.
        Ok(!(-SECOND..TICK.as_nanos() as i128).contains(&age))
    }

    /// Copies the number of bytes that `look` names, behind everything that was copied before.
    fn take(
        &mut self,
        file: &File,
        look: &Look,
        step: &Advance<'_>,
    ) -> Result<Result<Hashed, io::Error>> {
        let xattrs = match xattrs(std::os::fd::AsFd::as_fd(file)) {
            Ok(xattrs) => xattrs,
            Err(error) => return Ok(Err(error)),
        };
        if look.size > SMALL_SOURCE_BYTES {
            space::require(
                &self.scratch,
                look.size,
                "a copy of a file that is being written",
            )?;
        }
        let mut hashing = Hashing::new(io::sink());
        if let Err(error) = io::Seek::rewind(&mut &*file) {
            return Ok(Err(error));
        }
        let mut at = self.end;
        let mut failed = None;
        let result = read(file, look.size, &mut self.buffer, &mut |bytes| {
            let take = || -> Result<()> {
                step(bytes.len() as u64)?;
                let writing = || format!("cannot write a copy in {}", self.scratch.display());
                self.file.write_all_at(bytes, at).with_context(writing)?;
                Ok(())
            };
            take().map_err(|error| {
                failed = Some(error);
                io::Error::from(io::ErrorKind::Other)
            })?;
            at += bytes.len() as u64;
            io::Write::write_all(&mut hashing, bytes)
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let (digest, size) = hashing.finish();
        Ok(result.map(|()| Hashed {
            look: *look,
            xattrs,
            digest,
            size,
        }))
    }

    /// Stores the bytes of `content` behind everything that was copied before, as a copy of the inspected file.
    pub fn keep(
        &mut self,
        content: &mut dyn io::Read,
        look: &Look,
        step: &Advance<'_>,
    ) -> Result<Spooled> {
        let start = self.end;
        loop {
            let count = match content.read(&mut self.buffer) {
                Ok(0) => return Ok(Spooled::new(&self.file, start, self.end - start, look)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot read the copy of a database"),
            };
            step(0)?;
            let writing = || format!("cannot write a copy in {}", self.scratch.display());
            let bytes = &self.buffer[..count];
            self.file
                .write_all_at(bytes, self.end)
                .with_context(writing)?;
            self.end += count as u64;
        }
    }

    fn now(&self) -> io::Result<Modified> {
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_NOW,
            },
        };
        sys::futimens(&self.file, &times).map_err(|error| {
            let scratch = self.scratch.display();
            let message =
                format!("the time of a temporary file in {scratch} cannot be set: {error}");
            // The error kind of a full disk is kept.
            io::Error::new(io::Error::from(error).kind(), message)
        })?;
        Ok(Look::of(&self.file)?.mtime)
    }
}

/// Returns the engine, if the file begins like a database. An unreadable file is not one: the copy reports the error.
fn engine_of(file: &File) -> Option<Engine> {
    let mut head = [0; 16];
    let count = file.read_at(&mut head, 0).ok()?;
    Engine::of(&head[..count])
}

fn nanoseconds(time: Modified) -> i128 {
    i128::from(time.seconds) * SECOND + i128::from(time.nanoseconds)
}
