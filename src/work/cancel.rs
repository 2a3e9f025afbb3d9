//! Cancellation: a signal that came, and readers and writers that then end.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{events::Events, read_at::ReadAt, read_clock::ReadClock};
use crate::error::{Failure, Kind};

/// A callback that counts the bytes of work, and ends the work with an error if the run is cancelled.
pub type Advance<'a> = dyn Fn(u64) -> anyhow::Result<()> + 'a;

/// The number of SIGTERM.
const SIGTERM: usize = 15;

/// The number of the signal that asked hookshot to stop, 0 for none.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    signal: Arc<AtomicUsize>,
}

impl Stop {
    /// Returns the number that a signal handler sets.
    pub fn signal(&self) -> Arc<AtomicUsize> {
        self.signal.clone()
    }

    /// Asks hookshot to stop, as SIGTERM does. Any thread may call it.
    pub fn cancel(&self) {
        self.signal.store(SIGTERM, Ordering::Relaxed);
    }

    /// Fails with [`Kind::Interrupted`] after a signal came.
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

/// A reader or writer that reports the bytes that pass, and ends after a signal.
pub struct Watched<T> {
    inner: T,
    stop: Stop,
    events: Events,
    clock: ReadClock,
}

impl<T> Watched<T> {
    /// Makes a reader or writer over `inner`. `clock` runs while it reads.
    pub fn new(inner: T, stop: Stop, events: Events, clock: ReadClock) -> Watched<T> {
        Watched {
            inner,
            stop,
            events,
            clock,
        }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stop.check()?;
        let count = self.clock.during(|| self.inner.read(buffer))?;
        self.events.advance(count as u64);
        Ok(count)
    }
}

impl<S: ReadAt + ?Sized> ReadAt for Watched<&S> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.stop.check()?;
        self.events.advance(buffer.len() as u64);
        self.clock
            .during(|| self.inner.read_exact_at(buffer, offset))
    }

    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stop.check()?;
        let count = self.inner.write(bytes)?;
        self.events.advance(count as u64);
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
