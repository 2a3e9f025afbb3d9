//! What a verb is told by its caller: time, place, and when to stop.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use chrono::{DateTime, Utc};
use semver::Version;

use crate::{
    archive::Threads,
    disk::{life::Signs, tree::Privilege},
    error::{Failure, Kind},
    store::Environment,
};

/// Everything that a verb may know of the world beside files.
#[derive(Clone)]
pub struct Context {
    /// The time, once for the whole run.
    pub now: DateTime<Utc>,
    /// The name of this machine.
    pub hostname: Option<String>,
    /// The version of this hookshot.
    pub version: Version,
    /// Where copies that nobody keeps may lie.
    pub scratch: PathBuf,
    /// This program, for the helpers that it starts.
    pub program: PathBuf,
    /// Tells the files of this run apart from those of any other.
    pub unique: String,
    /// The signs by which other runs see that this one lives.
    pub signs: Signs,
    /// The variables of the environment.
    pub environment: Environment,
    /// Whether we may give files away.
    pub privileged: bool,
    /// How many threads compress and inflate.
    pub threads: Threads,
    /// When to stop.
    pub stop: Stop,
    /// Who wants to know how far we are.
    pub progress: Arc<dyn Progress>,
}

impl Context {
    /// The time in RFC 3339, UTC.
    pub fn time(&self) -> String {
        self.now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    /// Whether what is restored can be given to its owners.
    pub fn privilege(&self) -> Privilege {
        match self.privileged {
            true => Privilege::Root,
            false => Privilege::Ours,
        }
    }

    /// A reader that reports what passes and ends when we are to stop.
    pub fn watch<R>(&self, inner: R) -> Watched<R> {
        Watched {
            inner,
            stop: self.stop.clone(),
            progress: self.progress.clone(),
        }
    }

    /// Reports bytes that were read, and ends the work when we are to stop.
    pub fn step(&self) -> impl Fn(u64) -> anyhow::Result<()> + '_ {
        |bytes| {
            self.progress.advance(bytes);
            Ok(self.stop.check()?)
        }
    }

    /// Says what begins, and over how many bytes it goes.
    pub fn begin(&self, what: &'static str, total: Option<u64>) {
        self.progress.begin(what, total);
    }
}

/// Somebody who wants to know how far we are.
pub trait Progress: Send + Sync {
    /// Something new begins, over `total` bytes where that is known.
    fn begin(&self, what: &'static str, total: Option<u64>);
    /// So many more bytes are done.
    fn advance(&self, bytes: u64);
}

/// Nobody who wants to know.
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _: &'static str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
}

/// The number of the signal that asked us to stop, 0 for none.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    signal: Arc<AtomicUsize>,
}

impl Stop {
    /// The place where a signal handler leaves its number.
    pub fn signal(&self) -> Arc<AtomicUsize> {
        self.signal.clone()
    }

    /// Fails with [`Kind::Interrupted`] once a signal has come.
    pub fn check(&self) -> Result<(), Failure> {
        match self.signal.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => {
                let failure = Failure::new(
                    Kind::Interrupted(u8::try_from(signal).unwrap_or(0)),
                    "interrupted",
                );
                Err(failure.hint("nothing half-done stays; run it again when you like"))
            }
        }
    }
}

/// A reader or writer that reports what passes and ends when it is to stop.
pub struct Watched<T> {
    inner: T,
    stop: Stop,
    progress: Arc<dyn Progress>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stop.check()?;
        let count = self.inner.read(buffer)?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stop.check()?;
        let count = self.inner.write(bytes)?;
        self.progress.advance(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<S: Seek> Seek for Watched<S> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}
